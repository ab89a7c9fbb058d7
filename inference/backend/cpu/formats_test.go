//go:build cgo

package cpu_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cpu"
	"llorch/inference/tensor"
)

// TestWidenAll embeds all 65536 numbers of both 16-bit formats, subnormals
// included although a step flushes those of float32.
func TestWidenAll(t *testing.T) {
	const rows, cols = 65536 / 32, 32
	host := make([]byte, 2*rows*cols)
	for i := range rows * cols {
		binary.LittleEndian.PutUint16(host[2*i:], uint16(i))
	}
	b := &backend.Batch{}
	for i := range rows {
		b.Tokens = append(b.Tokens, int32(i))
	}
	for _, isa := range cpu.ISAs() {
		d := device(t, isa, 1)
		for _, f := range []tensor.DType{tensor.F16, tensor.BF16} {
			table, err := d.Place(f, rows, cols, host)
			if err != nil {
				t.Fatal(err)
			}
			dst, want := input(t, d, rows, cols, nil), make([]float32, rows*cols)
			d.Embed(dst, table, b)
			if err := d.Sync(); err != nil {
				t.Fatal(err)
			}
			f.Decode(want, host)
			for i, got := range dst.Float32s() {
				if got != want[i] && !(got != got && want[i] != want[i]) {
					t.Fatalf("%s %v: %#04x is %v, want %v", isa, f, i, got, want[i])
				}
			}
		}
	}
}

// TestNarrow stores values of every magnitude, ties and NaN to a cache and
// compares with the encoding that package tensor defines. Dim is odd in vectors.
func TestNarrow(t *testing.T) {
	const n, dim = 600, 46
	r := rand.New(rand.NewPCG(5, 5))
	qkv, b := make([]float32, n*3*dim), &backend.Batch{Decode: n}
	for i := range n {
		b.Tokens, b.Positions = append(b.Tokens, 0), append(b.Positions, 0)
		b.Seqs = append(b.Seqs, backend.Seq{First: i, Rows: 1, Pages: []int32{int32(i)}})
		for j := range dim {
			bits := r.Uint32()
			switch j % 4 {
			case 0: // a tie of bf16
				bits = bits&^0xffff | 0x8000
			case 1: // a tie of f16, within its range
				bits = bits&^0x1fff | 0x1000
				bits = bits&0x87ffffff | (uint32(100+r.IntN(50)) << 23)
			}
			qkv[i*3*dim+2*dim+j] = math.Float32frombits(bits)
		}
	}
	h := backend.Heads{Q: 1, KV: 1, Dim: dim, Scale: 1}
	for _, isa := range cpu.ISAs() {
		for _, f := range formats {
			d := device(t, isa, 1)
			kv := backend.KV{PageSize: 1}
			var err error
			if kv.K, err = d.Alloc(backend.Cache, f, n, dim); err != nil {
				t.Fatal(err)
			}
			if kv.V, err = d.Alloc(backend.Cache, f, n, dim); err != nil {
				t.Fatal(err)
			}
			table := input(t, d, 1, dim/2, nil)
			d.RopeStore(input(t, d, n, 3*dim, qkv), kv, backend.Rope{Cos: table, Sin: table}, h, b)
			if err := d.Sync(); err != nil {
				t.Fatal(err)
			}
			want := make([]byte, kv.V.Bytes())
			for i := range n {
				f.Encode(want[i*f.RowBytes(dim):], qkv[i*3*dim+2*dim:][:dim])
			}
			checkStored(t, isa, f, kv.V.Host(), want)
		}
	}
}

// checkStored compares bits, and of NaN only that they are.
func checkStored(t *testing.T, isa string, f tensor.DType, got, want []byte) {
	t.Helper()
	n := len(got) / f.RowBytes(1)
	g, w := make([]float32, n), make([]float32, n)
	f.Decode(g, got)
	f.Decode(w, want)
	for i := range w {
		if math.Float32bits(g[i]) != math.Float32bits(w[i]) && !(g[i] != g[i] && w[i] != w[i]) {
			t.Fatalf("%s %v: stored %v, want %v", isa, f, g[i], w[i])
		}
	}
}

// TestPoolUnderPressure runs thousands of short steps on more threads than
// cores, with pauses around the time after which threads park.
func TestPoolUnderPressure(t *testing.T) {
	const n, cols = 9, 32
	r := rand.New(rand.NewPCG(6, 6))
	d := device(t, "", 5)
	x, y := input(t, d, n, cols, normals(r, n*cols)), input(t, d, n, cols, nil)
	l, _ := placed(t, d, r, tensor.F16, cols, cols)
	var want []float32
	for i := range 2000 {
		for j := range y.Float32s() {
			y.Float32s()[j] = 0
		}
		for range 3 {
			d.LinearAdd(y, x, l, phased(n, 4))
		}
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = append(want, y.Float32s()...)
		}
		sameBits(t, "a repeated step", y.Float32s(), want)
		if i%20 == 0 {
			pause(r)
		}
	}
}
