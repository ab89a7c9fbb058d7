package cuda

import "testing"

// TestGemmParams: tiles, columns and grids of a projection in three parts.
func TestGemmParams(t *testing.T) {
	c := &gemmCall{n: 300, k: 200, kp: 256, ldd: 1000, parts: []gemmPart{
		{order: rowOrder{rotaryHalves, 256, 128}}, {order: rowOrder{rotaryHalves, 128, 128}}, {order: rowOrder{natural, 20, 0}},
	}}
	k := gemmKernel{rows: 128, tokens: 256, cluster: 2, resident: 6}
	p, blocks := c.params(&k)
	if p.groups != 38 || p.blocks != 4 || p.stride != 16 || p.rowTiles != 4 || p.tokenTiles != 2 || blocks != 6 {
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

func TestKernelFor(t *testing.T) {
	for n, want := range map[int]string{1: "gemm_wgmma_64", 64: "gemm_wgmma_64", 65: "gemm_wgmma_128", 128: "gemm_wgmma_128", 129: "gemm_wgmma_256", 5000: "gemm_wgmma_256"} {
		if k := kernelFor(wgmmaKernels, n); k.name != want {
			t.Errorf("%d rows: %s, want %s", n, k.name, want)
		}
	}
}
