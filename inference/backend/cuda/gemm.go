package cuda

import (
	"fmt"
	"math"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// gemmMode says what becomes of the sums of a product.
type gemmMode int32

const (
	gemmStore        gemmMode = iota // out = sums, float32
	gemmAdd                          // out += sums
	gemmSwiGLU                       // out = silu(gate)·up of one gateUp part, float32
	gemmSwiGLUPacked                 // the same as packed bf16, for the product that follows
)

// gemmPart is one matrix of bf16 in fragment order. Its columns of the output follow
// those of the part before it.
type gemmPart struct {
	w     driver.Ptr
	order rowOrder
	bias  backend.Tensor // F32, F16 or BF16 by output row; Data nil: none
}

// gemmCall is out (+)= x·Wᵀ + b for n rows of k. All parts have rows padded to kp.
//
// out is [n × ldd] float32, or packed with gemmSwiGLUPacked, and then zero from k of the
// next product on where that is no multiple of 64.
type gemmCall struct {
	out, x  driver.Ptr // x packed
	n, k    int
	kp, ldd int
	mode    gemmMode
	parts   []gemmPart // up to 3
}

// gemmKernel is one kernel with the tile that a block of it computes.
type gemmKernel struct {
	name            string
	rows, tokens    int // of a tile
	cluster         int // blocks that share activations, 1: none
	threads, shared int
	speed           float64 // of arithmetic, in parts of the fastest
	halves          bool    // halves its last tiles where they would keep at most half of the GPU busy
	programmatic    bool    // waits itself for the kernel before it
	function        driver.Function
	processors      int // of the GPU
	resident        int // blocks that run at a time
}

// ring is the shared memory of wgmma kernels: stages of so many blocks of 32 k of rows and
// tokens with two barriers each, from a multiple of 1024.
func ring(rows, tokens, stages, blocks int) int { return 1024 + stages*((rows+tokens)*blocks*64+16) }

var (
	wgmmaKernels = []gemmKernel{
		{name: "gemm_wgmma_64x64", rows: 64, tokens: 64, cluster: 1, threads: 192, shared: ring(64, 64, 6, 2), speed: 0.5, programmatic: true},
		{name: "gemm_wgmma_64x128", rows: 64, tokens: 128, cluster: 1, threads: 192, shared: ring(64, 128, 4, 2), speed: 0.64, programmatic: true},
		{name: "gemm_wgmma_128x128", rows: 128, tokens: 128, cluster: 2, threads: 384, shared: ring(128, 128, 6, 2), speed: 0.85, programmatic: true},
		{name: "gemm_wgmma_128x256", rows: 128, tokens: 256, cluster: 2, threads: 384, shared: ring(128, 256, 9, 1), speed: 1, halves: true, programmatic: true},
	}
	mmaKernels = []gemmKernel{{name: "gemm_mma", rows: 128, tokens: 128, cluster: 1, threads: 256, shared: 6 * 128 * 64, speed: 1}}
)

// gemms are the kernels of products of prompts and of what packs their activations.
type gemms struct {
	modules                    []driver.Module
	kernels                    []gemmKernel // those of this GPU
	pack, packNorm, packSwiGLU driver.Function
}

// loadGemms loads what runs on the current device, whose ordinal is given.
func loadGemms(drv driver.Driver, ordinal int, images map[string]string) (*gemms, error) {
	g := &gemms{}
	m, err := g.module(drv, images, "pack")
	if err != nil {
		return g, err
	}
	for name, f := range map[string]*driver.Function{"pack": &g.pack, "pack_norm": &g.packNorm, "pack_swiglu": &g.packSwiGLU} {
		if *f, err = drv.ModuleFunction(m, name); err != nil {
			return g, fmt.Errorf("cuda: kernel %s: %w", name, err)
		}
	}
	if g.kernels, err = g.load(drv, ordinal, images, "gemm_wgmma", wgmmaKernels); err != nil || g.kernels != nil {
		return g, err
	}
	g.kernels, err = g.load(drv, ordinal, images, "gemm_mma", mmaKernels)
	return g, err
}

func (g *gemms) module(drv driver.Driver, images map[string]string, name string) (driver.Module, error) {
	m, err := drv.ModuleLoad(images[name])
	if err != nil {
		return 0, fmt.Errorf("cuda: kernels of %s: %w", name, err)
	}
	g.modules = append(g.modules, m)
	return m, nil
}

// load returns the kernels of a module ready to launch, nil where the module has no code
// of them for this GPU: such kernels are compiled for one warp.
func (g *gemms) load(drv driver.Driver, ordinal int, images map[string]string, module string, kernels []gemmKernel) ([]gemmKernel, error) {
	m, err := g.module(drv, images, module)
	if err != nil {
		return nil, err
	}
	processors, err := drv.DeviceAttribute(ordinal, driver.Multiprocessors)
	if err != nil {
		return nil, err
	}
	var ready []gemmKernel
	for _, k := range kernels {
		if k.function, err = drv.ModuleFunction(m, k.name); err != nil {
			return nil, fmt.Errorf("cuda: kernel %s: %w", k.name, err)
		}
		most, err := drv.FunctionAttribute(k.function, driver.FunctionMaxThreads)
		if err != nil || most < k.threads {
			return nil, err
		}
		if err := drv.SetFunctionAttribute(k.function, driver.FunctionMaxShared, k.shared); err != nil {
			return nil, err
		}
		blocks, err := drv.Occupancy(k.function, k.threads, int64(k.shared))
		if err != nil {
			return nil, err
		}
		k.processors, k.resident = processors, blocks*processors/k.cluster*k.cluster
		ready = append(ready, k)
	}
	return ready, nil
}

func (g *gemms) close(drv driver.Driver) (errs []error) {
	for _, m := range g.modules {
		errs = append(errs, drv.ModuleUnload(m))
	}
	return errs
}

// tiles returns how many row tiles of k there are, by part where each begins.
func (c *gemmCall) tiles(k *gemmKernel) (begin [3]int, n int) {
	for i, part := range c.parts {
		begin[i] = n
		n += (16*part.order.strips() + k.rows - 1) / k.rows
	}
	return begin, n
}

// blocks is how many blocks of k c has work for.
func (c *gemmCall) blocks(k *gemmKernel) int {
	_, rows := c.tiles(k)
	return (rows + k.cluster - 1) / k.cluster * k.cluster * ((c.n + k.tokens - 1) / k.tokens)
}

// kernelFor is the kernel that should take the shortest. Bits are the same with each.
func (c *gemmCall) kernelFor(kernels []gemmKernel) *gemmKernel {
	best, least := &kernels[0], math.Inf(1)
	for i := range kernels {
		if cost := c.cost(&kernels[i]); cost < least {
			best, least = &kernels[i], cost
		}
	}
	return best
}

// cost estimates the time of k: multiprocessors compute tiles in turn, and the busiest
// counts. One small tile alone has a multiprocessor wait for memory: it takes 0.8 times as
// long as two beside each other, as measured on an H200.
func (c *gemmCall) cost(k *gemmKernel) float64 {
	blocks := c.blocks(k)
	turns, last := float64((blocks+k.resident-1)/k.resident), blocks%k.resident
	if k.halves && turns > 1 && last > 0 && 2*last <= k.resident {
		turns -= 0.2
	}
	beside := float64((min(blocks, k.resident) + k.processors - 1) / k.processors)
	if most := k.resident / k.processors; most > 1 {
		beside = max(beside, 0.8*float64(most))
	}
	return turns * float64(k.rows*k.tokens) * beside / k.speed
}

// params are those of a launch of k, and the blocks of its grid.
func (c *gemmCall) params(k *gemmKernel) (p gemmParams, blocks int) {
	begin, rowTiles := c.tiles(k)
	p = gemmParams{
		x: c.x, out: c.out, parts: int32(len(c.parts)), n: int32(c.n), groups: int32((c.n + 7) / 8),
		blocks: int32((c.k + 63) / 64 * 2), stride: int32(c.kp / 16), ldd: int32(c.ldd), mode: int32(c.mode),
		rowTiles: int32(rowTiles), tokenTiles: int32((c.n + k.tokens - 1) / k.tokens),
	}
	column := 0
	for i, part := range c.parts {
		p.part[i] = gemmPartParams{
			w: part.w, bias: address(part.bias), strips: int32(part.order.strips()), kind: int32(part.order.kind),
			unit: int32(part.order.unit()), column: int32(column), tile: int32(begin[i]), biasFormat: int32(part.bias.Type),
		}
		column += part.order.rows
	}
	if blocks = c.blocks(k); k.programmatic { // those kernels take tile after tile
		blocks = min(blocks, k.resident)
	}
	return p, blocks
}

// gemm computes c. The bits of a row do not depend on the others.
func (d *Device) gemm(g *gemms, c *gemmCall) { d.gemmBy(c.kernelFor(g.kernels), c) }

func (d *Device) gemmBy(k *gemmKernel, c *gemmCall) {
	if d.dead() || c.n == 0 {
		return
	}
	p, blocks := c.params(k)
	shape := driver.LaunchConfig{
		Grid: grid(blocks, 1), Block: [3]uint32{uint32(k.threads)}, Shared: uint32(k.shared), Programmatic: k.programmatic,
	}
	if k.cluster > 1 {
		shape.Cluster = uint32(k.cluster)
	}
	d.check(d.drv.Launch(k.function, d.stream, shape, driver.Params(&p)))
}

// packRows: dst = x [n × k] packed, with the norm of weight w before where w has data.
func (d *Device) packRows(g *gemms, dst, x driver.Ptr, n, k int, w backend.Tensor, eps float32) {
	f := g.pack
	if w.Data != nil {
		f = g.packNorm
	}
	launch(d, f, grid(n, 1), 256, &packParams{
		dst: dst, x: x, w: address(w), cols: int32(k), groups: int32((n + 7) / 8), format: int32(w.Type), eps: eps,
	})
}

// packGated: dst = silu(gate)·up packed, of x [n × 2·k], gate then up.
func (d *Device) packGated(g *gemms, dst, x driver.Ptr, n, k int) {
	launch(d, g.packSwiGLU, grid(n, 1), 256, &packParams{
		dst: dst, x: x, cols: int32(k), groups: int32((n + 7) / 8), format: int32(tensor.F32),
	})
}
