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
	rows := len(p)
	for i := range d.drawing {
		rows += len(d.drawing[i].params)
	}
	if rows > mostIDs || logits.Cols > mostVocab {
		d.fail(fmt.Errorf("cuda: tokens of %d rows of a step, of a vocabulary of %d: there is room for %d, of %d", rows, logits.Cols, mostIDs, mostVocab))
		return
	}
	d.drawing = append(d.drawing, drawing{dst, logits, p})
}

// drawBehind puts the choices behind their logits. The kernels leave them on the host, too, in pinned memory: a copy would be one
// more thing between two steps.
func (d *Device) drawBehind(host driver.Ptr) {
	n := 0
	for i := range d.drawing {
		d.choose(&d.drawing[i], n, host)
		n += len(d.drawing[i].params)
	}
}

// handOut gives what was asked its choices.
func (d *Device) handOut(drawing []drawing, ids []int32) {
	for i := range drawing {
		d.take(&drawing[i], ids)
		ids = ids[len(drawing[i].params):]
	}
	clear(drawing)
}

// sampleAll waits for what was asked, and hands out the choices.
func (d *Device) sampleAll() {
	s := &d.steps[0]
	d.drawBehind(s.chosen)
	if !d.dead() { // also after a failure: what was launched before it must not run on
		d.check(d.drv.StreamSynchronize(d.stream))
	}
	d.handOut(d.drawing, words32(s.ids))
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
