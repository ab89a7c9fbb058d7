package cuda

import "llorch/inference/backend/cuda/driver"

// Where a projection has many strips, blocks own but some of them and take the others by
// ticket (project.cu): multiprocessors get different shares of the memory's bandwidth.
// Each launch of a plan has a counter of its own; all are zero when a plan begins.
const mostTickets = 1024

// ownStrips is how many strips each of so many blocks owns where others go by ticket, 0
// where it owns its share of all. Blocks own enough to fill the ring before the kernel in
// front has ended, since a ticket can be drawn only then.
func ownStrips(strips, blocks, passes int) int32 {
	if own := strips/blocks - 2; passes == 1 && own >= 3 {
		return int32(own)
	}
	return 0
}

// resetTickets sets all counters to zero, in the order of the stream.
func (d *Device) resetTickets() {
	d.drawn = 0
	if !d.broken() {
		d.check(d.drv.Memset8Async(d.tickets, 0, 4*mostTickets, d.stream))
	}
}

// nextTickets is a counter for one launch, 0 where there is none left.
func (d *Device) nextTickets() driver.Ptr {
	if d.drawn == mostTickets {
		return 0
	}
	d.drawn++
	return d.tickets + driver.Ptr(4*(d.drawn-1))
}
