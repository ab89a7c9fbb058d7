package agent

import (
	"time"

	"golang.org/x/sys/unix"
)

// readClocks reads the clocks of this moment. A clock that cannot be read stands
// at 0, where nothing passes and nothing is concluded.
func readClocks() clocks {
	read := func(id int32) time.Duration {
		var t unix.Timespec
		if unix.ClockGettime(id, &t) != nil {
			return 0
		}
		return time.Duration(t.Nano())
	}
	return clocks{mono: read(unix.CLOCK_MONOTONIC), boot: read(unix.CLOCK_BOOTTIME), wall: read(unix.CLOCK_REALTIME)}
}
