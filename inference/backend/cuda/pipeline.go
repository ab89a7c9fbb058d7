package cuda

import (
	"errors"
	"fmt"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/sample"
)

var _ backend.Pipeliner = (*Device)(nil)

// step is one that was begun. Device.steps has the last one last. Steps follow each other in the stream, so that one finds the
// choices of the one before in d.ids; on the host each of two has a place of its own.
type step struct {
	drawing []drawing
	ids     []byte       // pinned
	chosen  driver.Ptr   // the same, as kernels find it
	done    driver.Event // the choices are there
}

// startSteps pins the memory through which ids go, chosen ones and those that were seen.
func (d *Device) startSteps() (err error) {
	const chosen, seen = 4 * mostIDs, 4 * mostSeen
	if d.chosen, err = d.drv.HostAlloc(int64(len(d.steps) * (chosen + seen))); err != nil {
		return err
	}
	rest := d.chosen.Bytes
	for i := range d.steps {
		s := &d.steps[i]
		s.ids, rest = rest[:chosen], rest[chosen:]
		s.chosen = d.chosen.Device + driver.Ptr(i*chosen)
		if s.done, err = d.drv.EventCreate(false); err != nil {
			return err
		}
	}
	return d.seen.start(d, rest)
}

func (d *Device) freeSteps() error {
	errs := []error{d.seen.free(d.drv)}
	for i := range d.steps {
		if e := d.steps[i].done; e != 0 {
			errs = append(errs, d.drv.EventDestroy(e))
		}
	}
	if d.chosen.Bytes != nil {
		errs = append(errs, d.drv.HostFree(d.chosen))
	}
	return errors.Join(errs...)
}

// Chooses implements backend.Pipeliner.
func (d *Device) Chooses(vocab int, p []sample.Params) bool {
	return vocab <= mostVocab && 0 < len(p) && len(p) <= mostIDs
}

// Begin implements backend.Pipeliner.
func (d *Device) Begin() error {
	d.flush()
	s := &d.steps[0] // not under way, unless both are
	if d.under == len(d.steps) {
		d.fail(fmt.Errorf("cuda: a step begins while %d are under way", d.under))
	} else {
		d.drawBehind(s.chosen)
	}
	if !d.broken() {
		d.check(d.drv.EventRecord(s.done, d.stream))
	}
	if d.broken() {
		if !d.dead() { // what was launched must not run on
			d.check(d.drv.StreamSynchronize(d.stream))
		}
		d.drawing = d.drawing[:0]
		return d.failed()
	}
	s.drawing, d.drawing = d.drawing, s.drawing[:0]
	d.steps[0], d.steps[1] = d.steps[1], d.steps[0]
	d.under++
	return d.failed()
}

// Await implements backend.Pipeliner.
func (d *Device) Await() error {
	if d.under == 0 {
		return errors.Join(d.failed(), errors.New("cuda: no step is under way"))
	}
	s := &d.steps[len(d.steps)-d.under]
	d.under--
	if !d.dead() {
		d.check(d.drv.EventSynchronize(s.done))
	}
	d.handOut(s.drawing, words32(s.ids))
	return d.failed()
}
