//go:build cgo

package cpu

import "llorch/inference/backend"

var _ backend.Limiter = (*Device)(nil)

// Limits implements backend.Limiter with the device's number of threads and its
// instruction set.
func (d *Device) Limits() (backend.Limits, error) {
	l, err := Measure(d.threads, d.Info().ISA)
	return backend.Limits{
		ReadGBs: l.ReadGBsN, GFlops: l.FMAGFlopsN, IntGops: l.IntGopsN, PairGFlops: l.PairGFlopsN, TileGFlops: l.TileGFlopsN,
	}, err
}
