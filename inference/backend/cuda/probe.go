package cuda

import (
	"errors"
	"fmt"

	"llorch/inference/backend/cuda/driver"
)

// probeParams is Params of kernels/probe.cu.
type probeParams struct{ out driver.Ptr }

// Probe launches kernels/probe.cu and compares the code that ran with what the
// build should give this device: a launch that reaches it, and no older code than
// there is.
func Probe(d driver.Driver, k *Kernels, b Build, f DeviceFacts) error {
	fn, err := k.Function("probe")
	if err != nil {
		return err
	}
	p := probeParams{}
	if p.out, err = d.MemAlloc(8); err != nil {
		return fmt.Errorf("cuda: probe: %w", err)
	}
	out := [2]uint32{}
	err = errors.Join(
		d.Launch(fn, 0, driver.Blocks(1, 32), driver.Params(&p)),
		d.Synchronize(),
		d.CopyDtoH(driver.Bytes(out[:]), p.out),
		d.MemFree(p.out),
	)
	if err != nil {
		return fmt.Errorf("cuda: probe: %w", err)
	}
	want, _ := b.For(f.Capability)
	if int(out[0]) != 10*want.Capability || (out[1] == 1) != want.Exact {
		return fmt.Errorf("cuda: %s runs code for %d (exact: %d), the build has %v for it", f.Name, out[0]/10, out[1], want)
	}
	return nil
}
