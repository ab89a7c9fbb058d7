package callback

import (
	"crypto/rand"
	"fmt"
	"time"
)

// NewEpoch names one life of a process: the time it started in milliseconds and 64 random bits, both in hexadecimal.
// Of two epochs the one that sorts later started later, as far as the clocks agree, and no two are the same.
func NewEpoch(started time.Time) string {
	var random [8]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the program rather than return an error
	return fmt.Sprintf("%012x-%x", max(0, started.UnixMilli()), random)
}
