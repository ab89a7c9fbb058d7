package cpu

// #include "llo.h"
import "C"

import (
	"fmt"
	"time"

	"llorch/inference/backend"
)

// Limits are what this host did in one short measurement: the figures to hold
// against a step that ran in the same minute.
type Limits struct {
	ReadGBs1, ReadGBsN     float64 // memory read by one thread and by all, 10⁹ B/s
	FMAGFlops1, FMAGFlopsN float64 // float32 fused multiply-adds on registers, 10⁹ FLOP/s
}

const (
	limitBytes = 512 << 20 // far beyond any cache that one tenant gets
	limitTime  = 100 * time.Millisecond
)

// Measure takes the limits with the best instruction set of the host, on one
// thread and on threads (0 = the device's default), in about a second.
func Measure(threads int) (Limits, error) {
	if threads == 0 {
		threads = defaultThreads()
	}
	buf, err := mapBlock(backend.Scratch, limitBytes)
	if err != nil {
		return Limits{}, err
	}
	defer buf.unmap()
	l := Limits{}
	if l.ReadGBs1, l.FMAGFlops1, err = measure(buf, 1); err != nil {
		return Limits{}, err
	}
	l.ReadGBsN, l.FMAGFlopsN, err = measure(buf, threads)
	return l, err
}

// measure returns the best of the passes that fit into limitTime each.
func measure(buf block, threads int) (gbs, gflops float64, err error) {
	m, err := newMeter(buf, threads)
	if err != nil {
		return 0, 0, err
	}
	defer m.close()
	for start := time.Now(); gbs == 0 || time.Since(start) < limitTime; {
		gbs = max(gbs, m.read())
	}
	for start := time.Now(); gflops == 0 || time.Since(start) < limitTime; {
		gflops = max(gflops, m.fma())
	}
	return gbs, gflops, nil
}

// meter measures on a pool of its own.
type meter struct {
	kern *C.llo_kernels
	pool *C.llo_pool
	buf  block
}

func newMeter(buf block, threads int) (*meter, error) {
	kern, err := chooseISA("")
	if err != nil {
		return nil, err
	}
	pool, err := C.llo_pool_open(C.int(threads))
	if pool == nil {
		return nil, fmt.Errorf("cpu: start %d threads: %w", threads, err)
	}
	return &meter{kern, pool, buf}, nil
}

// read returns 10⁹ bytes a second of one pass over the buffer.
func (m *meter) read() float64 {
	s := C.llo_read_seconds(m.pool, m.kern, bytes(m.buf.addr), C.int64_t(m.buf.bytes))
	return float64(m.buf.bytes) / float64(s) * 1e-9
}

// fma returns 10⁹ FLOP a second of some milliseconds.
func (m *meter) fma() float64 {
	var flops C.double
	s := C.llo_fma_seconds(m.pool, m.kern, 1<<20, &flops)
	return float64(flops) / float64(s) * 1e-9
}

func (m *meter) close() { C.llo_pool_close(m.pool) }
