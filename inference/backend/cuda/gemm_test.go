package cuda

import "testing"

// TestGemmParams: tiles, columns and grids of a projection in three parts.
func TestGemmParams(t *testing.T) {
	c := &gemmCall{n: 300, k: 200, kp: 256, ldd: 1000, parts: []gemmPart{
		{order: rowOrder{rotaryHalves, 256, 128}}, {order: rowOrder{rotaryHalves, 128, 128}}, {order: rowOrder{natural, 20, 0}},
	}}
	k := gemmKernel{rows: 128, tokens: 256, cluster: 2, resident: 6, programmatic: true}
	p, blocks := c.params(&k)
	if p.groups != 38 || p.blocks != 8 || p.stride != 16 || p.rowTiles != 4 || p.tokenTiles != 2 || blocks != 6 {
		t.Errorf("%+v, %d blocks", p, blocks)
	}
	for i, want := range [][4]int32{{16, 128, 0, 0}, {8, 128, 256, 2}, {2, 20, 384, 3}} {
		if q := p.part[i]; [4]int32{q.strips, q.unit, q.column, q.tile} != want {
			t.Errorf("part %d: %+v, want %v", i, q, want)
		}
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
		c := &gemmCall{n: s.n, k: 4096, kp: 4096, parts: []gemmPart{{order: rowOrder{natural, s.rows, 0}}}}
		if k := c.kernelFor(kernels); k.name != s.want {
			t.Errorf("%d rows of %d: %s, want %s", s.n, s.rows, k.name, s.want)
		}
	}
}
