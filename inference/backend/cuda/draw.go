package cuda

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"llorch/inference/backend/cuda/driver"
	"llorch/inference/sample"
)

// drawRoom is the logits of a step on the host. Pinned memory is copied to several times
// as fast as other.
type drawRoom struct {
	pinned   driver.Pinned
	choosers []sample.Chooser // one for each goroutine
	errs     []error          // by row
}

// draw chooses on the host, rows beside each other: their rules are package sample's, and
// a row takes it up to a millisecond. A row without an honest choice gets −1.
func (d *Device) draw(s *drawing) {
	for i := range s.params {
		s.dst[i] = -1
	}
	all := d.hostLogits(s.logits.Rows * s.logits.Cols)
	if d.broken() {
		return
	}
	if d.Download(driver.Bytes(all), s.logits); d.broken() {
		return
	}
	d.draws.choose(s, all)
	for i, err := range d.draws.errs {
		if err != nil {
			d.odd(fmt.Errorf("cuda: row %d: %w", i, err))
		}
	}
}

// choose draws every row; nobody talks to the driver meanwhile.
func (r *drawRoom) choose(s *drawing, logits []float32) {
	n, vocab := len(s.params), s.logits.Cols
	r.errs = append(r.errs[:0], make([]error, n)...)
	workers := min(n, runtime.GOMAXPROCS(0))
	if len(r.choosers) < workers {
		r.choosers = make([]sample.Chooser, workers)
	}
	var next atomic.Int64
	run := func(c *sample.Chooser) {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			id, err := c.Choose(logits[i*vocab:(i+1)*vocab], &s.params[i])
			if r.errs[i] = err; err == nil {
				s.dst[i] = id
			}
		}
	}
	var others sync.WaitGroup
	for w := 1; w < workers; w++ {
		others.Go(func() { run(&r.choosers[w]) })
	}
	run(&r.choosers[0])
	others.Wait()
}

// hostLogits is room for n of them, which grows.
func (d *Device) hostLogits(n int) []float32 {
	r := &d.draws
	if len(r.pinned.Bytes) < 4*n {
		pinned, err := d.drv.HostAlloc(int64(4 * n))
		if err != nil {
			d.fail(fmt.Errorf("cuda: %d bytes of pinned memory: %w", 4*n, named(err)))
			return nil
		}
		err = r.free(d.drv)
		if r.pinned = pinned; err != nil {
			d.check(err)
		}
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&r.pinned.Bytes[0])), n)
}

func (r *drawRoom) free(drv driver.Driver) error {
	if r.pinned.Bytes == nil {
		return nil
	}
	p := r.pinned
	r.pinned = driver.Pinned{}
	return drv.HostFree(p)
}
