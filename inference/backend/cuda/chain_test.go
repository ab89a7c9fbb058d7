package cuda

import (
	"slices"
	"testing"
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// TestExchange: words of projections do not overlap, and lie where two are read at once.
func TestExchange(t *testing.T) {
	for _, k := range []int{320, 704, 4096, 14336, 16384} {
		e, end := exchange{at: 1 << 20, k: k}, driver.Ptr(1<<20+exchangeHead)
		for i := range chainPhases - 1 {
			results, squares := e.words(i)
			inPairs := ceilDiv(k, pairSpan) * pairSpan / 2
			if results < end || results%16 != 0 || squares%16 != 0 || squares < results+driver.Ptr(4*max(k, inPairs)) {
				t.Errorf("k %d: words of projection %d at %#x and %#x, after %#x", k, i, results, squares, end)
			}
			end = squares + driver.Ptr(4*ceilDiv(ceilDiv(k, 16), squareSpan)*squareSpan)
		}
		if side := driver.Ptr(4 * e.side()); end > e.first()+side || side%16 != 0 || e.first()+2*side > e.at+driver.Ptr(e.bytes()) {
			t.Errorf("k %d: words of a side end at %#x, sides of %d bytes from %#x on, memory at %#x", k, end, side, e.first(), e.at+driver.Ptr(e.bytes()))
		}
	}
}

// TestChainRing: beside the longest row of activations there is a ring, of more stages than are under
// way at once.
func TestChainRing(t *testing.T) {
	for _, formats := range [][]tensor.DType{nil, {tensor.Q8_0}, {tensor.Q4_0}, {tensor.Q4_K}, {tensor.Q6_K}, {tensor.Q4_K, tensor.Q6_K}} {
		p, slot := &projection{k: chainRecords * recordK, tiles: tilesFor(chainRecords * recordK), formats: formats}, chunkBytes
		if len(formats) > 0 {
			slot = quantSlot
		}
		for _, f := range formats {
			if stage := quantFormats[f].stage * recordBytes(f); stage > slot {
				t.Errorf("%v: a stage of %d bytes, a slot of %d", f, stage, slot)
			}
		}
		slots := (chainShared - chainRow(p)) / slot
		for _, p.strips = range []int{1, 1 << 16} {
			flight := paceOf(p, 132, slots).flight
			if most := slices.Max(flight[:]); slots <= int(most) || slices.Min(flight[:]) < 1 || flight[0] > flight[1] {
				t.Errorf("%v, %d strips: %d stages, %d of them under way", formats, p.strips, slots, flight)
			}
		}
	}
}

// chainRig is a device that knows the projections of a layer, and the ops of one row through it.
func chainRig(formats ...tensor.DType) (*Device, []op) {
	d := &Device{blocks: 132, hopper: true, streamFrom: streamFrom, projections: map[unsafe.Pointer]*projection{}}
	room := func(cols int) backend.Tensor {
		v := make([]float32, cols)
		return backend.Tensor{Type: tensor.F32, Rows: 1, Cols: cols, Data: unsafe.Pointer(&v[0])}
	}
	linear := func(rows, k int, kind rowKind) backend.Linear {
		w := backend.Tensor{Type: tensor.BF16, Rows: rows, Cols: k, Data: unsafe.Pointer(new([64]byte))}
		d.projections[w.Data] = &projection{k: k, tiles: tilesFor(k), strips: rows / 16, pairs: kind, formats: formats, parts: make([]part, 1)}
		return backend.Linear{{W: w}}
	}
	const hidden, ffn = 512, 1024
	x, h, att, qkv, pairs, act := room(hidden), room(hidden), room(hidden), room(3*hidden), room(2*ffn), room(ffn)
	last, logits, w := room(hidden), room(4096), room(hidden)
	kv := backend.KV{K: backend.Tensor{Type: tensor.F16}}
	return d, []op{
		{kind: opLinear, dst: x, x: att, linear: linear(hidden, hidden, natural), add: true, decode: 1},
		{kind: opNorm, dst: h, x: x, w: w}, {kind: opLinear, dst: pairs, x: h, linear: linear(2*ffn, hidden, gateUp), decode: 1},
		{kind: opSwiGLU, dst: act, x: pairs}, {kind: opLinear, dst: x, x: act, linear: linear(hidden, ffn, natural), add: true, decode: 1},
		{kind: opNorm, dst: h, x: x, w: w}, {kind: opLinear, dst: qkv, x: h, linear: linear(3*hidden, hidden, halves), decode: 1},
		{kind: opRopeStore, dst: qkv, kv: kv}, {kind: opAttend, dst: att, x: qkv, kv: kv},
		{kind: opLinear, dst: x, x: att, linear: linear(hidden, hidden, natural), add: true, decode: 1},
		{kind: opNorm, dst: h, x: x, w: w}, {kind: opLinear, dst: pairs, x: h, linear: linear(2*ffn, hidden, gateUp), decode: 1},
		{kind: opSwiGLU, dst: act, x: pairs}, {kind: opLinear, dst: x, x: act, linear: linear(hidden, ffn, natural), add: true, decode: 1},
		{kind: opRows, dst: last, x: x}, {kind: opNorm, dst: last, x: last, w: w}, {kind: opLinear, dst: logits, x: last, linear: linear(4096, hidden, natural), decode: 1},
	}
}

// TestLinks: which ops become a chain.
func TestLinks(t *testing.T) {
	for _, c := range []struct {
		name        string
		formats     []tensor.DType
		change      func(*Device, []op)
		first, last int // links from the first op on, and from the second layer's on
	}{
		{"a layer and the one behind it, then logits", nil, func(d *Device, _ []op) { d.drawing = make([]drawing, 1) }, 4, 4},
		{"in integers", []tensor.DType{tensor.Q4_K}, func(d *Device, _ []op) { d.drawing = make([]drawing, 1) }, 4, 4},
		{"somebody may read what is left", nil, func(*Device, []op) {}, 4, 0},
		{"two rows", nil, func(_ *Device, ops []op) {
			for i := range ops {
				ops[i].dst.Rows, ops[i].x.Rows, ops[i].decode = 2, 2, 2
			}
		}, 0, 0},
		{"the norm is of something else", nil, func(_ *Device, ops []op) { ops[1].x = ops[8].dst }, 0, 0},
		{"another format between", nil, func(d *Device, ops []op) {
			d.projections[ops[4].linear[0].W.Data].formats = []tensor.DType{tensor.Q8_0}
		}, 0, 0},
		{"rows too long", nil, func(d *Device, ops []op) { d.projections[ops[4].linear[0].W.Data].k = 1 << 20 }, 0, 0},
	} {
		d, ops := chainRig(c.formats...)
		c.change(d, ops)
		if first, last := len(d.linksOf(ops)), len(d.linksOf(ops[9:])); first != c.first || last != c.last {
			t.Errorf("%s: %d and %d links, want %d and %d", c.name, first, last, c.first, c.last)
		}
	}
}

// TestChainBlocks: each block has strips of a projection that the last one needs, so that all have begun
// before the first may end.
func TestChainBlocks(t *testing.T) {
	d := &Device{blocks: 132}
	of := func(strips ...int) (links []fusion) {
		for _, s := range strips {
			links = append(links, fusion{p: &projection{strips: s}})
		}
		return links
	}
	for _, c := range []struct {
		links []fusion
		want  int
	}{{of(256, 1792, 256, 384), 132}, {of(20, 88, 20, 4000), 88}, {of(20, 4000), 20}} {
		if got := d.chainBlocks(c.links); got != c.want {
			t.Errorf("%d links: %d blocks, want %d", len(c.links), got, c.want)
		}
	}
}
