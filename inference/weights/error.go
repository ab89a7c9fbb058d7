package weights

import (
	"errors"
	"strconv"
	"strings"

	"llorch/inference/weights/strictjson"
)

// Error is what a malformed, missing or changed model file is answered with.
type Error struct {
	File   string // path of the file, or of the folder
	Tensor string // the tensor's name, "" where the error is about no tensor
	Key    string // the key of a GGUF file's metadata, "" where the error is about none
	Offset int64  // the byte of File it is about, negative where about none
	Reason string // what is wrong and, where there is a way out, what to do
	Err    error  // the cause, if any: fs.ErrNotExist, ErrChanged, …
}

// Sentinels found in an Error with errors.Is.
var (
	// ErrChanged: a file was truncated, grown, rewritten or replaced since Open.
	ErrChanged = errors.New("file changed since it was opened")
	// ErrUnsupported: a container that is known and not read here (pickle).
	ErrUnsupported = errors.New("unsupported container")
)

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("weights: ")
	b.WriteString(e.File)
	if e.Tensor != "" {
		b.WriteString(": tensor ")
		b.WriteString(strictjson.Quote(e.Tensor))
	}
	if e.Key != "" {
		b.WriteString(": key ")
		b.WriteString(strictjson.Quote(e.Key))
	}
	if e.Offset >= 0 {
		b.WriteString(": byte ")
		b.WriteString(strconv.FormatInt(e.Offset, 10))
	}
	b.WriteString(": ")
	b.WriteString(e.Reason)
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

func fileError(file, reason string, err error) *Error {
	return &Error{File: file, Offset: -1, Reason: reason, Err: err}
}
