package cuda

import (
	"math"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
)

// epiloguePacked is SwiGLU whose result is bf16 in operand order, for the product that
// follows. It is epilogue of these kernels only.
const epiloguePacked = epilogueRope + 1

// gemmCall is out (+)= x·Wᵀ + b for n rows of k, of x in operand order and weights in
// fragment order with so many tiles a strip. Biases are F32, F16 or BF16.
//
// out is [n × ldd] float32, or in operand order with epiloguePacked, and then zero from k
// of the next product on where that is no multiple of 64.
type gemmCall struct {
	out, x     driver.Ptr
	n, k       int
	tiles, ldd int
	epilogue   int
	parts      []part          // up to 3
	rope       ropeStoreParams // with epilogueRope: what becomes of q, k and v; its qkv is not used
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
	kernels        []gemmKernel // those of this GPU
	pack, packNorm driver.Function
}

// findGemms looks up what runs on the current device, whose ordinal is given.
func findGemms(drv driver.Driver, ordinal int, k *Kernels) (*gemms, error) {
	g := &gemms{}
	for name, f := range map[string]*driver.Function{"pack_rows": &g.pack, "pack_norm": &g.packNorm} {
		var err error
		if *f, err = k.Function(name); err != nil {
			return nil, err
		}
	}
	processors, err := drv.DeviceAttribute(ordinal, driver.Multiprocessors)
	if err != nil {
		return nil, err
	}
	if g.kernels, err = readyKernels(drv, processors, k, wgmmaKernels); err == nil && g.kernels == nil {
		g.kernels, err = readyKernels(drv, processors, k, mmaKernels)
	}
	return g, err
}

// readyKernels returns kernels ready to launch, nil where there is no code of them for
// this GPU: such kernels are compiled for one warp.
func readyKernels(drv driver.Driver, processors int, all *Kernels, kernels []gemmKernel) (ready []gemmKernel, err error) {
	for _, k := range kernels {
		if k.function, err = all.Function(k.name); err != nil {
			return nil, err
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

// rowTiles returns how many row tiles of k there are, and where each part begins.
func (c *gemmCall) rowTiles(k *gemmKernel) (begin [3]int32, n int) {
	for i, part := range c.parts {
		begin[i] = int32(n)
		n += ceilDiv(16*int(part.strips), k.rows)
	}
	return begin, n
}

// blocks is how many blocks of k c has work for.
func (c *gemmCall) blocks(k *gemmKernel) int {
	_, rows := c.rowTiles(k)
	return ceilDiv(rows, k.cluster) * k.cluster * ceilDiv(c.n, k.tokens)
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
	turns, last := float64(ceilDiv(blocks, k.resident)), blocks%k.resident
	if k.halves && turns > 1 && last > 0 && 2*last <= k.resident {
		turns -= 0.2
	}
	beside := float64(ceilDiv(min(blocks, k.resident), k.processors))
	if most := k.resident / k.processors; most > 1 {
		beside = max(beside, 0.8*float64(most))
	}
	return turns * float64(k.rows*k.tokens) * beside / k.speed
}

// params are those of a launch of k, and the blocks of its grid.
func (c *gemmCall) params(k *gemmKernel) (p gemmParams, blocks int) {
	begin, rowTiles := c.rowTiles(k)
	p = gemmParams{
		x: c.x, out: c.out, parts: int32(len(c.parts)), n: int32(c.n), groups: int32(ceilDiv(c.n, 8)),
		blocks: int32(2 * ceilDiv(c.k, 64)), stride: int32(c.tiles), ldd: int32(c.ldd), epilogue: int32(c.epilogue),
		rowTiles: int32(rowTiles), tokenTiles: int32(ceilDiv(c.n, k.tokens)), tile: begin,
		rope: c.rope,
	}
	copy(p.part[:], c.parts)
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

// A block of kernels/pack.cu has so many rows.
const packRowsOf, packThreads = 4, 512

// packRows: dst = x [n × k] in operand order, with the norm of weight w before where w has data.
func (d *Device) packRows(g *gemms, dst, x driver.Ptr, n, k int, w backend.Tensor, eps float32) {
	f := g.pack
	if w.Data != nil {
		f = g.packNorm
	}
	launch(d, f, grid(ceilDiv(n, packRowsOf), 1), packThreads, &packParams{
		dst: dst, x: x, w: address(w), cols: int32(k), groups: int32(ceilDiv(n, 8)), format: int32(w.Type), eps: eps, n: int32(n),
	})
}
