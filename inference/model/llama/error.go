package llama

import (
	"fmt"
	"strings"
)

// ConfigError says which field of which file is wrong, and what to do.
type ConfigError struct {
	File   string
	Field  string // path of the field, "rope_scaling.factor"; "" where the error is about the whole file
	Reason string
	Err    error // the cause, if any: *strictjson.Error with the byte
}

func (e *ConfigError) Error() string {
	var b strings.Builder
	b.WriteString("llama: " + e.File)
	if e.Field != "" {
		b.WriteString(": " + e.Field)
	}
	b.WriteString(": " + e.Reason)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *ConfigError) Unwrap() error { return e.Err }

// UnknownArchitecture is the *ConfigError for a model whose family is not among
// known.
func UnknownArchitecture(file, got string, known []string) error {
	return &ConfigError{File: file, Field: "model_type", Reason: fmt.Sprintf("architecture %.80q is not supported; supported: %s", got, strings.Join(known, ", "))}
}
