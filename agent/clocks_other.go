//go:build !linux

package agent

import "time"

var clocksBegan = time.Now()

// readClocks reads the clocks of this moment. Where there is no clock that counts
// the machine's sleep, the wall clock's jump tells of it.
func readClocks() clocks {
	mono := time.Since(clocksBegan)
	return clocks{mono: mono, boot: mono, wall: time.Duration(time.Now().UnixNano())}
}
