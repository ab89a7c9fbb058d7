package cuda

import (
	"errors"
	"fmt"
	"runtime"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/sample"
	"llorch/inference/tensor"
)

// Device is one opened GPU. All calls come from one goroutine on one OS thread,
// which holds the context.
//
// Ops are put into a stream; nothing waits for the GPU but Sync, Upload and
// Download. The first failure is kept for Sync. One that has spoiled the context
// is latched: nothing is launched or copied any more.
type Device struct {
	memory
	ordinal int
	name    string
	kern    *kernels
	loader  *loader
	stream  driver.Stream
	batch   batch
	splits  splitRoom
	drawing []drawing // Sample calls that wait for their logits
	chooser sample.Chooser
	logits  []float32 // their rows on the host
	err     error     // first failure since the last Sync
	fault   *backend.Fault
}

var _ backend.Device = (*Device)(nil)

// newDevice opens a device through drv with the kernels in images. The calling
// goroutine stays on its OS thread from then on.
func newDevice(drv driver.Driver, ordinal int, images map[string]string) (*Device, error) {
	runtime.LockOSThread()
	ctx, err := drv.RetainPrimary(ordinal, driver.Spin)
	if err != nil {
		return nil, err
	}
	d := &Device{memory: memory{drv: drv}, ordinal: ordinal}
	if err := d.open(ctx, images); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Device) open(ctx driver.Context, images map[string]string) (err error) {
	if err = d.drv.SetCurrent(ctx); err != nil {
		return err
	}
	if d.name, err = d.drv.DeviceName(d.ordinal); err != nil {
		return err
	}
	if d.kern, err = loadKernels(d.drv, images); err != nil {
		return err
	}
	if d.stream, err = d.drv.StreamCreate(0); err != nil {
		return err
	}
	if d.batch.passed, err = d.drv.EventCreate(false); err != nil {
		return err
	}
	if d.loader, err = newLoader(d.drv); err != nil {
		return err
	}
	return d.batchRoom(1)
}

// Info implements backend.Device.
func (d *Device) Info() backend.Info {
	return backend.Info{Kind: "cuda", Index: d.ordinal, Name: d.name, Architecture: "vram-only"}
}

// Computes: every format, as files have it.
func (d *Device) Computes(tensor.DType) bool { return true }

// Sync waits for what was asked, chooses the tokens that were to be sampled, and
// returns the first failure since the last Sync, or the fault that was latched.
func (d *Device) Sync() error {
	if !d.dead() {
		d.check(d.drv.StreamSynchronize(d.stream))
	}
	for _, s := range d.drawing {
		d.draw(s)
	}
	clear(d.drawing)
	d.drawing, d.batch.of = d.drawing[:0], nil
	err := d.err
	d.err = nil
	if d.fault != nil {
		return d.fault
	}
	return err
}

// dead tells whether the device has faulted.
func (d *Device) dead() bool { return d.fault != nil }

// check keeps the failure of a call of the driver.
func (d *Device) check(err error) {
	if err != nil {
		d.fail(d.latched(fmt.Errorf("cuda: %w", err)))
	}
}

// fail keeps the first failure for Sync.
func (d *Device) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// latched latches err where it has spoiled the context, and returns it.
func (d *Device) latched(err error) error {
	var e *driver.Error
	if errors.As(err, &e) && e.Sticky() && d.fault == nil {
		d.fault = &backend.Fault{Class: "driver", Reason: err.Error()}
	}
	return err
}

// Close frees everything. It is safe after a failed open.
func (d *Device) Close() error {
	if d.drv == nil {
		return nil
	}
	errs := []error{}
	if d.stream != 0 && !d.dead() {
		errs = append(errs, d.drv.StreamSynchronize(d.stream))
	}
	if d.loader != nil {
		errs = append(errs, d.loader.close())
	}
	errs = append(errs, d.freeBatch())
	if d.batch.passed != 0 {
		errs = append(errs, d.drv.EventDestroy(d.batch.passed))
	}
	errs = append(errs, d.memory.free())
	if d.kern != nil {
		for _, m := range d.kern.modules {
			errs = append(errs, d.drv.ModuleUnload(m))
		}
	}
	if d.stream != 0 {
		errs = append(errs, d.drv.StreamDestroy(d.stream))
	}
	errs = append(errs, d.drv.ReleasePrimary(d.ordinal))
	d.drv = nil
	runtime.UnlockOSThread()
	if d.dead() { // each of these calls repeats the fault
		return nil
	}
	return errors.Join(errs...)
}

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

// draw chooses the tokens of one Sample. A row without an honest choice gets −1.
func (d *Device) draw(s drawing) {
	n := s.logits.Cols
	if cap(d.logits) < s.logits.Rows*n {
		d.logits = make([]float32, s.logits.Rows*n)
	}
	all := d.logits[:s.logits.Rows*n]
	d.Download(driver.Bytes(all), s.logits)
	for i := range s.params {
		s.dst[i] = -1
		if d.dead() {
			continue
		}
		id, err := d.chooser.Choose(all[i*n:(i+1)*n], &s.params[i])
		if err != nil {
			d.fail(fmt.Errorf("cuda: row %d: %w", i, err))
			id = -1
		}
		s.dst[i] = id
	}
}
