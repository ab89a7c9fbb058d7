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

// byDevice tells whether the device has the rules of every row: the most likely token, or
// one drawn from all.
func (s *drawing) byDevice() bool {
	for i := range s.params {
		p := &s.params[i]
		all := (p.TopK <= 0 || p.TopK >= s.logits.Cols) && p.TopP >= 1 && p.MinP <= 0
		if p.Penalizes() || p.Temperature != 0 && !all {
			return false
		}
	}
	return len(s.params) > 0
}

// onDevice puts the choice of rows, into ids from row `to` on, behind their logits.
func (d *Device) onDevice(s *drawing, to int) {
	if s.greedy() {
		launch(d, d.kern.greedy, grid(len(s.params), 1), 1024, &greedyParams{
			dst: d.ids + driver.Ptr(4*to), logits: address(s.logits), vocab: int64(s.logits.Cols),
		})
		return
	}
	for from := 0; from < len(s.params); from += drawRows {
		rows := s.params[from:min(from+drawRows, len(s.params))]
		p := drawParams{dst: d.ids + driver.Ptr(4*(to+from)), logits: rowOf(s.logits, from), vocab: int64(s.logits.Cols)}
		for i := range rows {
			r := &rows[i]
			p.row[i] = drawRow{r.Temperature, [2]uint32{uint32(r.Seed), uint32(r.Seed >> 32)}, [2]uint32{uint32(r.Position), uint32(r.Position >> 32)}}
		}
		launch(d, d.kern.draw, grid(len(rows), 1), 1024, &p)
	}
}

// drawBehind puts the choices that the device has the rules for behind their logits, and has
// them copied to the host.
func (d *Device) drawBehind(host []byte) {
	n := 0
	for i := range d.drawing {
		s := &d.drawing[i]
		if s.byDevice() && n+len(s.params) <= mostIDs {
			d.onDevice(s, n)
			n += len(s.params)
		}
	}
	if n > 0 && !d.broken() {
		d.check(d.drv.CopyDtoHAsync(host[:4*n], d.ids, d.stream))
	}
}

// handOut gives what was asked its choices: those that the device has made lie in ids, the
// others are made now, by package sample.
func (d *Device) handOut(drawing []drawing, ids []int32) {
	n := 0
	for i := range drawing {
		s := &drawing[i]
		if s.byDevice() && n+len(s.params) <= mostIDs {
			d.take(s, ids[n:])
			n += len(s.params)
		} else {
			d.draw(s)
		}
	}
	clear(drawing)
}

// sampleAll waits for what was asked and chooses: on the device where it has the rules,
// else on the host.
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
