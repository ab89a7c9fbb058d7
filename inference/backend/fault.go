package backend

import (
	"errors"
	"fmt"
)

// Fault is a failure after which the device's results can no longer be
// trusted. It never clears: streams end, /health says 503, the process exits
// with its restart code.
type Fault struct {
	Class  string // one word for metrics: "sigbus", "nan", "driver" …
	Reason string
}

func (f *Fault) Error() string { return fmt.Sprintf("device fault (%s): %s", f.Class, f.Reason) }

// IsFault reports whether err holds a latched device fault.
func IsFault(err error) bool {
	var f *Fault
	return errors.As(err, &f)
}

// ErrMemory is wrapped when an allocation does not fit.
var ErrMemory = errors.New("out of device memory")
