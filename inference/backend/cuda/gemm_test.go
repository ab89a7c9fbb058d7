package cuda

import "testing"

// TestGemmParams: tiles and grids of a projection in three parts.
func TestGemmParams(t *testing.T) {
	c := &gemmCall{n: 300, k: 200, tiles: 16, ldd: 1000, parts: []part{{strips: 16}, {strips: 8}, {strips: 2}}}
	k := gemmKernel{rows: 128, tokens: 256, cluster: 2, resident: 6, programmatic: true}
	p, blocks := c.params(&k)
	if p.groups != 38 || p.blocks != 8 || p.stride != 16 || p.rowTiles != 4 || p.tokenTiles != 2 || blocks != 6 || p.tile != [3]int32{0, 2, 3} {
		t.Errorf("%+v, %d blocks", p, blocks)
	}
	k = gemmKernel{rows: 64, tokens: 128, cluster: 1}
	if _, blocks = c.params(&k); blocks != 7*3 {
		t.Errorf("%d blocks", blocks)
	}
}

// TestKernelFor: large tiles where they fill the GPU, smaller ones where they do not.
func TestKernelFor(t *testing.T) {
	var kernels []gemmKernel
	for _, k := range wgmmaKernels {
		k.processors, k.resident = 132, 132
		if k.rows == 64 {
			k.resident = 264
		}
		kernels = append(kernels, k)
	}
	for _, s := range []struct {
		n, rows int
		want    string
	}{
		{2048, 4096, "gemm_wgmma_128x256"}, {2048, 12288, "gemm_wgmma_128x256"}, {2048, 22016, "gemm_wgmma_128x256"},
		{512, 4096, "gemm_wgmma_128x128"}, {64, 4096, "gemm_wgmma_64x64"}, {1, 12288, "gemm_wgmma_64x64"},
	} {
		c := &gemmCall{n: s.n, k: 4096, tiles: 256, parts: []part{{strips: int32(s.rows / 16)}}}
		if k := c.kernelFor(kernels); k.name != s.want {
			t.Errorf("%d rows of %d: %s, want %s", s.n, s.rows, k.name, s.want)
		}
	}
}
