package inference

import (
	"errors"

	"llorch/inference/backend"
)

// FaultClass is the one word for metrics of a device fault ("sigbus", "nan",
// "driver" …), "" for any other error.
func FaultClass(err error) string {
	var f *backend.Fault
	if errors.As(err, &f) {
		return f.Class
	}
	return ""
}
