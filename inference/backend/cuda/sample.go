package cuda

import (
	"fmt"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/sample"
)

// drawing is one Sample that waits for its logits.
type drawing struct {
	dst    []int32
	logits backend.Tensor
	params []sample.Params
}

// Sample records the choice of a token for each row.
func (d *Device) Sample(dst []int32, logits backend.Tensor, p []sample.Params) {
	d.drawing = append(d.drawing, drawing{dst, logits, p})
}

// greedy tells whether every row takes its most likely token, whatever was said before.
func (s *drawing) greedy() bool {
	for i := range s.params {
		if s.params[i].Temperature != 0 || s.params[i].Penalizes() {
			return false
		}
	}
	return len(s.params) > 0
}

// sampleAll waits for what was asked and chooses. Greedy rows are chosen on the
// device, others, whose rules package sample has, on the host.
func (d *Device) sampleAll() {
	n := 0
	for i := range d.drawing {
		s := &d.drawing[i]
		if s.greedy() && n+len(s.params) <= mostIDs {
			launch(d, d.kern.greedy, grid(len(s.params), 1), 1024, &greedyParams{
				dst: d.ids + driver.Ptr(4*n), logits: address(s.logits), vocab: int64(s.logits.Cols),
			})
			n += len(s.params)
		}
	}
	if n > 0 && !d.broken() {
		d.check(d.drv.CopyDtoHAsync(d.chosen.Bytes[:4*n], d.ids, d.stream))
	}
	if !d.dead() { // also after a failure: what was launched before it must not run on
		d.check(d.drv.StreamSynchronize(d.stream))
	}
	n = 0
	for i := range d.drawing {
		s := &d.drawing[i]
		if s.greedy() && n+len(s.params) <= mostIDs {
			d.take(s, words32(d.chosen.Bytes)[n:])
			n += len(s.params)
		} else {
			d.draw(s)
		}
	}
	clear(d.drawing)
	d.drawing = d.drawing[:0]
}

// take hands out what the device has chosen.
func (d *Device) take(s *drawing, ids []int32) {
	for i := range s.params {
		s.dst[i] = -1
		if d.broken() {
			continue
		}
		if s.dst[i] = ids[i]; ids[i] < 0 {
			d.odd(fmt.Errorf("cuda: row %d: %w", i, sample.ErrNotFinite))
		}
	}
}

// odd keeps the first row without an honest choice: its neighbours are right.
func (d *Device) odd(err error) {
	if d.rowErr == nil {
		d.rowErr = err
	}
}
