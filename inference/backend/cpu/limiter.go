//go:build cgo

package cpu

import (
	"cmp"
	"slices"
	"unsafe"

	"llorch/inference/backend"
)

var _ backend.Limiter = (*Device)(nil)

// Limits implements backend.Limiter with the device's number of threads and its
// instruction set.
func (d *Device) Limits() (backend.Limits, error) {
	l, err := Measure(d.threads, d.Info().ISA)
	if err != nil {
		return backend.Limits{}, err
	}
	weights, err := readLimit(joined(d.hosts), d.threads)
	return backend.Limits{
		ReadGBs: l.ReadGBsN, WeightsGBs: weights, GFlops: l.FMAGFlopsN, IntGops: l.IntGopsN, PairGFlops: l.PairGFlopsN, TileGFlops: l.TileGFlopsN,
	}, err
}

// readPasses are there at least over the weights: one alone, of gigabytes, was at times a fifth slower.
const readPasses = 3

// readLimit returns 10⁹ bytes a second of passes over blocks, 0 where they are so few that
// caches could hold them.
func readLimit(blocks []block, threads int) (float64, error) {
	total := int64(0)
	for _, b := range blocks {
		total += b.bytes
	}
	if total < limitBytes {
		return 0, nil
	}
	m, err := newMeter(block{}, threads, "")
	if err != nil {
		return 0, err
	}
	defer m.close()
	most := 0.0
	for range readPasses {
		most = max(most, best(func() float64 {
			seconds := 0.0
			for _, m.buf = range blocks {
				seconds += float64(m.buf.bytes) / m.read()
			}
			return float64(total) / seconds
		}))
	}
	return most, nil
}

// joined are stretches of memory as blocks, those as one that follow each other but for less
// than a line.
func joined(hosts [][]byte) (blocks []block) {
	hosts = slices.Clone(hosts)
	slices.SortFunc(hosts, func(a, b []byte) int { return cmp.Compare(begin(a), begin(b)) })
	for _, h := range hosts {
		if n := len(blocks); n > 0 {
			last := &blocks[n-1]
			if gap := begin(h) - int64(uintptr(last.addr)) - last.bytes; 0 <= gap && gap < 64 {
				last.bytes += gap + int64(len(h))
				continue
			}
		}
		blocks = append(blocks, block{use: backend.Weights, addr: unsafe.Pointer(unsafe.SliceData(h)), bytes: int64(len(h))})
	}
	return blocks
}

func begin(b []byte) int64 { return int64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
