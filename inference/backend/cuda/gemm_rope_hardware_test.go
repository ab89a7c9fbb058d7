//go:build cuda

package cuda

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// turnRig is a projection to queries, keys and values with a cache that these go to.
type turnRig struct {
	*gemmRig
	heads         backend.Heads
	parts         []part
	k             int
	x             driver.Ptr // [turnRows × k]
	rope          ropeStoreParams
	keys, results int // bytes of a cache, columns
}

const (
	turnRows      = 300
	turnPositions = 500
)

func (r *gemmRig) turns(kind rowKind, cache tensor.DType, h backend.Heads, page, k int) *turnRig {
	t := &turnRig{gemmRig: r, heads: h, k: k, x: upload(r, bf16(r.values(turnRows*k)))}
	kp := ceilDiv(k, 16) * 16
	for i, heads := range []int{h.Q, h.KV, h.KV} {
		o := rowOrder{kind, heads * h.Dim, h.Dim}
		if i == 2 {
			o.kind = natural
		}
		m := r.matrix(o, k, kp, tensor.BF16)
		m.col = int32(t.results)
		t.results += o.rows
		t.parts = append(t.parts, m.part)
	}
	pages := ceilDiv(turnPositions, page)
	positions, tables := make([]int32, turnRows), make([]int32, turnRows)
	for i, at := range r.rnd.Perm(turnPositions)[:turnRows] { // no two rows in one place
		positions[i], tables[i] = int32(at), int32(i%2*pages)
	}
	table := make([]int32, 0, 2*pages)
	for _, at := range r.rnd.Perm(2 * pages) {
		table = append(table, int32(at))
	}
	rowBytes := cache.RowBytes(h.Dim)
	t.keys = 2 * pages * page * h.KV * rowBytes
	t.rope = ropeStoreParams{
		cos: upload(r, r.values(turnPositions*h.Dim/2)), sin: upload(r, r.values(turnPositions*h.Dim/2)),
		batch: batchParams{positions: upload(r, positions), tables: upload(r, tables), pages: upload(r, table)},
		cache: cacheParams{k: r.memory(t.keys), v: r.memory(t.keys), rowBytes: int64(rowBytes), format: int32(cache), size: int32(page)},
		heads: headsOf(h), half: int32(h.Dim / 2), interleaved: flag(kind == neighbours),
	}
	return t
}

// run gives the results of n rows and both caches, by one kernel or by that and RopeStore's.
func (t *turnRig) run(k *gemmKernel, n int, fused bool) (out []float32, keys, values []byte) {
	t.Helper()
	d, c := t.d, t.rope.cache
	for _, p := range []driver.Ptr{c.k, c.v} {
		d.check(d.drv.Memset8Async(p, 0xff, int64(t.keys), d.stream))
	}
	packed, dst := t.memory(operandBytes(n, t.k)), t.memory(4*n*t.results)
	d.check(d.drv.Memset8Async(dst, 0xff, int64(4*n*t.results), d.stream)) // NaN
	d.packRows(t.g, packed, t.x, n, t.k, backend.Tensor{}, 0)
	call := &gemmCall{out: dst, x: packed, n: n, k: t.k, tiles: ceilDiv(t.k, 16), ldd: t.results, epilogue: epilogueStore, parts: t.parts}
	rope := t.rope
	if rope.qkv = dst; fused {
		call.epilogue, call.rope = epilogueRope, rope
	}
	d.gemmBy(k, call)
	if !fused {
		launch(d, d.kern.ropeStore, grid(n, t.heads.Q+2*t.heads.KV), ceilDiv(t.heads.Dim, 32)*32, &rope)
	}
	out, keys, values = download[float32](t.gemmRig, dst, n*t.results), download[byte](t.gemmRig, c.k, t.keys), download[byte](t.gemmRig, c.v, t.keys)
	for _, p := range []driver.Ptr{packed, dst} {
		if err := d.release(p); err != nil {
			t.Fatal(err)
		}
	}
	return out, keys, values
}

// TestGemmTurns: a product that turns queries and keys and stores keys and values itself leaves the bits that
// RopeStore makes of its results, and columns of keys and values as they were.
func TestGemmTurns(t *testing.T) {
	r := openGemms(t)
	for _, kind := range []rowKind{halves, neighbours} {
		for _, cache := range attendFormats {
			for _, s := range []struct {
				heads   backend.Heads
				page, k int
			}{{backend.Heads{Q: 3, KV: 1, Dim: 16}, 48, 200}, {backend.Heads{Q: 4, KV: 2, Dim: 128}, 16, 256}} {
				rig := r.turns(kind, cache, s.heads, s.page, s.k)
				for i := range r.all {
					for _, n := range []int{1, 7, 130, turnRows} {
						rig.compare(fmt.Sprintf("%s, kind %d, %v, %+v, %d rows", r.all[i].name, kind, cache, s.heads, n), &r.all[i], n)
					}
				}
			}
		}
	}
}

func (t *turnRig) compare(name string, k *gemmKernel, n int) {
	t.Helper()
	want, wantKeys, wantValues := t.run(k, n, false)
	got, keys, values := t.run(k, n, true)
	queries := t.heads.Q * t.heads.Dim
	for m := range n {
		at := m * t.results
		if !sameBits(got[at:at+queries], want[at:at+queries]) {
			t.Fatalf("%s: queries of row %d differ", name, m)
		}
		if slices.ContainsFunc(got[at+queries:at+t.results], func(v float32) bool { return !math.IsNaN(float64(v)) }) {
			t.Fatalf("%s: row %d: columns of keys or values were written", name, m)
		}
	}
	if !bytes.Equal(keys, wantKeys) || !bytes.Equal(values, wantValues) {
		t.Fatalf("%s: the cache differs", name)
	}
	if empty := bytes.Count(keys, []byte{0xff}); empty == len(keys) {
		t.Fatalf("%s: nothing was stored", name)
	}
}
