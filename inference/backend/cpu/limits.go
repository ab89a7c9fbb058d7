package cpu

// #include "llo.h"
import "C"

import (
	"fmt"
	"time"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// Limits are what this host did in one short measurement: the figures to hold
// against a step that ran in the same minute. 1 is one thread, N all of them.
type Limits struct {
	ReadGBs1, ReadGBsN       float64 // memory read, 10⁹ B/s
	FMAGFlops1, FMAGFlopsN   float64 // float32 fused multiply-adds on registers, 10⁹ FLOP/s
	IntGops1, IntGopsN       float64 // 8-bit dot products on registers, 10⁹ op/s; 0 where there are none
	PairGFlops1, PairGFlopsN float64 // dot products of pairs of bf16, 10⁹ FLOP/s; 0 where the instruction set uses none
	TileGFlops1, TileGFlopsN float64 // bf16 products of a matrix unit on its registers, 10⁹ FLOP/s; 0 where there is none
}

const (
	limitBytes = 512 << 20 // far beyond any cache that one tenant gets
	limitTime  = 100 * time.Millisecond
)

// Measure takes the limits on one thread and on threads (0 = the device's
// default), in about a second. Memory is read with the best instruction set of
// the host, arithmetic is that of isa ("" = the best).
func Measure(threads int, isa string) (Limits, error) {
	if threads == 0 {
		threads = defaultThreads()
	}
	buf, err := mapBlock(backend.Scratch, limitBytes)
	if err != nil {
		return Limits{}, err
	}
	defer buf.unmap()
	var one, all limits
	if err = one.measure(buf, 1, isa); err != nil {
		return Limits{}, err
	}
	err = all.measure(buf, threads, isa)
	return Limits{
		ReadGBs1: one.read, ReadGBsN: all.read, FMAGFlops1: one.fma, FMAGFlopsN: all.fma, IntGops1: one.int8, IntGopsN: all.int8,
		PairGFlops1: one.pairs, PairGFlopsN: all.pairs, TileGFlops1: one.tiles, TileGFlopsN: all.tiles,
	}, err
}

// limits are those of one number of threads.
type limits struct{ read, fma, int8, pairs, tiles float64 }

// measure keeps the best of the passes that fit into limitTime each.
func (l *limits) measure(buf block, threads int, isa string) error {
	m, err := newMeter(buf, threads, isa)
	if err != nil {
		return err
	}
	defer m.close()
	l.read = best(m.read)
	l.fma = best(m.fma)
	if f := C.llo_int8_peak(m.kern); f != nil {
		l.int8 = best(func() float64 { return m.peak(f) })
	}
	if m.kern.pairs != nil {
		l.pairs = best(func() float64 { return m.peak(m.kern.pairs) })
	}
	if m.kern.tiles != nil {
		l.tiles = best(func() float64 { return m.peak(m.kern.tiles) })
	}
	return nil
}

func best(pass func() float64) (most float64) {
	for start := time.Now(); most == 0 || time.Since(start) < limitTime; {
		most = max(most, pass())
	}
	return most
}

// meter measures on a pool of its own.
type meter struct {
	reader *C.llo_kernels // reads memory
	kern   *C.llo_kernels // computes
	pool   *C.llo_pool
	buf    block
}

func newMeter(buf block, threads int, isa string) (*meter, error) {
	reader, err := chooseISA("")
	if err != nil {
		return nil, err
	}
	kern, err := chooseISA(isa)
	if err != nil {
		return nil, err
	}
	pool, err := C.llo_pool_open(C.int(threads))
	if pool == nil {
		return nil, fmt.Errorf("cpu: start %d threads: %w", threads, err)
	}
	return &meter{reader, kern, pool, buf}, nil
}

// read returns 10⁹ bytes a second of one pass over the buffer.
func (m *meter) read() float64 {
	s := C.llo_read_seconds(m.pool, m.reader, bytes(m.buf.addr), C.int64_t(m.buf.bytes))
	return float64(m.buf.bytes) / float64(s) * 1e-9
}

func (m *meter) fma() float64 { return m.peak(m.kern.fma) }

// peak returns 10⁹ operations a second of some milliseconds.
func (m *meter) peak(f C.llo_peak) float64 {
	var ops C.double
	s := C.llo_peak_seconds(m.pool, f, 1<<20, &ops)
	return float64(ops) / float64(s) * 1e-9
}

func (m *meter) close() { C.llo_pool_close(m.pool) }

// unit is the peak of what multiplies numbers rounded to t.
func (m *meter) unit(t tensor.DType) C.llo_peak {
	switch {
	case t == tensor.Q8_0:
		return C.llo_int8_peak(m.kern)
	case t == tensor.BF16 && m.kern.tiles != nil:
		return m.kern.tiles
	case t == tensor.BF16 && m.kern.pairs != nil:
		return m.kern.pairs
	}
	return m.kern.fma
}
