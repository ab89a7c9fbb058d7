package tokenize

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrMissing: the model folder holds no tokenizer.json. The *Error around it says what was found instead.
	ErrMissing = errors.New("tokenizer.json not found")
	// ErrTooLong: the text is longer than Options.MaxTextBytes; nothing was encoded.
	ErrTooLong = errors.New("text too long")
	// ErrNotEncodable: the vocabulary has no way to write a character of the text, and dropping it in silence is refused.
	ErrNotEncodable = errors.New("text cannot be encoded")
	// ErrNoTokens: a text that is not empty came back without a token. The library reports its own failures and a
	// text that the tokenizer drops entirely in the same way, so the two cannot be told apart here.
	ErrNoTokens = errors.New("the tokenizer gave no tokens")
	// ErrClosed: Encode after Close.
	ErrClosed = errors.New("tokenizer is closed")
)

// Error is a tokenizer file that cannot be used: which file, where in it, and why.
type Error struct {
	Path   string // the file; empty when the bytes did not come from one
	Field  string // dotted name of the JSON field, such as model.merges; empty when the whole file is meant
	Offset int64  // byte offset in the file of what was refused; -1 when no single place is to blame
	Reason string
	Err    error // the cause, when there is one
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("tokenize: ")
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Reason)
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " (byte %d)", e.Offset)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// refuse is an Error about a field as a whole.
func refuse(field, reason string, args ...any) *Error {
	return &Error{Field: field, Offset: -1, Reason: fmt.Sprintf(reason, args...)}
}

// under puts the name of the enclosing field before that of an Error from inside it; other errors pass unchanged.
func under(field string, err error) error {
	e, ok := err.(*Error)
	if !ok {
		return err
	}
	if e.Field == "" || strings.HasPrefix(e.Field, "[") {
		e.Field = field + e.Field
	} else {
		e.Field = field + "." + e.Field
	}
	return e
}
