package cuda

import (
	"errors"
	"fmt"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
)

var _ backend.Limiter = (*Device)(nil)

const (
	limitBytes  = 4 << 30 // read in one pass, far beyond any L2; less where that is not free
	limitLeast  = 256 << 20
	limitPasses = 8 // of each, of which the fastest counts

	// Some milliseconds a pass on an H200.
	fmaRounds, matrixRounds = 1 << 14, 1500
)

// Limits implements backend.Limiter, by the GPU's own clock, between steps. What is read
// is allocated for it. Products of integers are not measured.
func (d *Device) Limits() (l backend.Limits, err error) {
	d.flush()
	if d.dead() {
		return l, d.fault
	}
	m := limitMeter{d: d}
	defer func() { err = errors.Join(err, m.close()) }()
	if m.from, err = d.drv.EventCreate(true); err != nil {
		return l, d.latched(err)
	}
	if m.to, err = d.drv.EventCreate(true); err != nil {
		return l, d.latched(err)
	}
	if l.ReadGBs, err = m.read(); err != nil {
		return l, d.latched(err)
	}
	if l.GFlops, err = m.peak("fma_peak", 2, 512, fmaRounds); err != nil {
		return l, d.latched(err)
	}
	l.TileGFlops, err = m.peak("matrix_peak", 1, 256, matrixRounds)
	return l, d.latched(err)
}

// limitMeter times kernels between two events.
type limitMeter struct {
	d        *Device
	from, to driver.Event
}

func (m *limitMeter) close() (err error) {
	for _, e := range []driver.Event{m.from, m.to} {
		if e != 0 {
			err = errors.Join(err, m.d.drv.EventDestroy(e))
		}
	}
	return err
}

// best returns the seconds of the fastest of limitPasses runs of a kernel.
func (m *limitMeter) best(f driver.Function, blocks, threads int, params []byte) (seconds float64, err error) {
	drv, stream := m.d.drv, m.d.stream
	for range limitPasses {
		err := errors.Join(
			drv.EventRecord(m.from, stream),
			drv.Launch(f, stream, driver.LaunchConfig{Grid: grid(blocks, 1), Block: [3]uint32{uint32(threads)}}, params),
			drv.EventRecord(m.to, stream),
			drv.EventSynchronize(m.to),
		)
		if err != nil {
			return 0, err
		}
		ms, err := drv.EventElapsed(m.from, m.to)
		if err != nil {
			return 0, err
		}
		if s := ms / 1e3; seconds == 0 || s < seconds {
			seconds = s
		}
	}
	return seconds, nil
}

// read returns 10⁹ bytes a second of kernel stream_read.
func (m *limitMeter) read() (gbs float64, err error) {
	f, err := m.d.kernels.Function("stream_read")
	if err != nil {
		return 0, err
	}
	p, bytes, err := m.room()
	if err != nil {
		return 0, err
	}
	seconds, err := m.best(f, 4*m.d.blocks, 512, driver.Params(&readParams{from: p, n: bytes / 16, sink: m.d.ids}))
	if err := errors.Join(err, m.d.drv.MemFree(p)); err != nil {
		return 0, err
	}
	return float64(bytes) / seconds / 1e9, nil
}

// room allocates up to limitBytes and writes them: every digit is another one than its
// neighbour's.
func (m *limitMeter) room() (p driver.Ptr, bytes int64, err error) {
	for bytes = limitBytes; ; bytes /= 2 {
		if p, err = m.d.drv.MemAlloc(bytes); err == nil {
			break
		}
		if !driver.IsOOM(err) || bytes <= limitLeast {
			return 0, 0, fmt.Errorf("cuda: %d bytes to measure how fast memory is read: %w", bytes, named(err))
		}
	}
	if err := m.d.drv.Memset32Async(p, 0x9a3c5ec7, bytes/4, m.d.stream); err != nil {
		return 0, 0, errors.Join(err, m.d.drv.MemFree(p))
	}
	return p, bytes, nil
}

// peak returns 10⁹ operations a second of a kernel that says how many a block computes.
func (m *limitMeter) peak(name string, perMultiprocessor, threads int, rounds int32) (float64, error) {
	f, err := m.d.kernels.Function(name)
	if err != nil {
		return 0, err
	}
	blocks := perMultiprocessor * m.d.blocks
	seconds, err := m.best(f, blocks, threads, driver.Params(&peakParams{ops: m.d.ids, sink: m.d.ids + 8, rounds: rounds}))
	if err != nil {
		return 0, err
	}
	var ops [1]float64
	if err := m.d.drv.CopyDtoH(driver.Bytes(ops[:]), m.d.ids); err != nil {
		return 0, err
	}
	return ops[0] * float64(blocks) / seconds / 1e9, nil
}
