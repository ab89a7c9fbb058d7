package cuda

import (
	"fmt"

	"llorch/inference/backend"
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

// drawBehind puts the choices behind their logits, and has them copied to the host.
func (d *Device) drawBehind(host []byte) {
	n := 0
	for i := range d.drawing {
		d.choose(&d.drawing[i], n)
		n += len(d.drawing[i].params)
	}
	if n > 0 && !d.broken() {
		d.check(d.drv.CopyDtoHAsync(host[:4*n], d.ids, d.stream))
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
	host := d.chosen.Bytes[:4*mostIDs]
	d.drawBehind(host)
	if !d.dead() { // also after a failure: what was launched before it must not run on
		d.check(d.drv.StreamSynchronize(d.stream))
	}
	d.handOut(d.drawing, words32(host))
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
