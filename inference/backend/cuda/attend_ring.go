package cuda

import (
	"errors"
	"fmt"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// ringShape is an instance of kernels/attend_ring.cu: heads of dim, up to so many query heads of a key head,
// and blocks of a multiprocessor.
type ringShape struct{ dim, queries, blocks int }

// ringShapes are those that there are, for each format of caches. Narrow ones come first.
var ringShapes = []ringShape{{128, 1, 4}, {128, 4, 3}, {128, 8, 3}, {64, 1, 4}, {64, 4, 4}, {64, 8, 4}}

// shared is the shared memory of a block, in bytes: TILES_AT of the kernel and a tile of each warp.
func (s ringShape) shared() int {
	pairs := min(s.queries, 2) * ((s.queries + 1) / 2)
	return 2048 + s.queries*(4*s.dim+256) + 32*s.dim*pairs + attendThreads/32*2*decodeTile*2*s.dim
}

// ringKernel is one of them, for one format of caches.
type ringKernel struct {
	ringShape
	f, cluster driver.Function
	teams      map[int]driver.Function // by the teams of a block
}

// attendRings are the kernels by format: none where what runs has no code for Hopper.
type attendRings map[tensor.DType][]ringKernel

func findRings(drv driver.Driver, k *Kernels) (attendRings, error) {
	all := attendRings{}
	for _, t := range attendFormats {
		for _, s := range ringShapes {
			f, err := k.Function(fmt.Sprintf("attend_ring_%v_%d_%d", t, s.dim, s.queries))
			if errors.Is(err, errNoKernel) {
				return nil, nil
			}
			if err == nil {
				err = drv.SetFunctionAttribute(f, driver.FunctionMaxShared, s.shared())
			}
			if err == nil {
				err = drv.SetFunctionAttribute(f, driver.FunctionCarveout, 100)
			}
			if err != nil {
				return nil, fmt.Errorf("cuda: attention through shared memory, %v, heads of %d: %w", t, s.dim, err)
			}
			r := ringKernel{ringShape: s, f: f}
			if err = r.findCluster(drv, k, t); err != nil {
				return nil, fmt.Errorf("cuda: attention of clusters, %v, heads of %d: %w", t, s.dim, err)
			}
			if err = r.findTeams(drv, k, t); err != nil {
				return nil, fmt.Errorf("cuda: attention of teams, %v, heads of %d: %w", t, s.dim, err)
			}
			all[t] = append(all[t], r)
		}
	}
	return all, nil
}

// of is the kernel for a cache with pages of so many positions; its f is 0 where there is none.
func (all attendRings) of(kind attendKind, h backend.Heads, page int) ringKernel {
	for _, r := range all[kind.cache] {
		if r.dim == h.Dim && min(h.Q/h.KV, decodeQueries) <= r.queries && page >= decodeTile {
			return r
		}
	}
	return ringKernel{}
}
