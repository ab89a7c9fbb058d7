//go:build cuda

package cuda

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// quantNoise is a matrix of random blocks, every code included, with scales of many magnitudes.
func quantNoise(r *rand.Rand, t tensor.DType, rows, cols int) []byte {
	host := make([]byte, rows*t.RowBytes(cols))
	for i := range host {
		host[i] = byte(r.Uint32())
	}
	places := map[tensor.DType][]int{tensor.Q8_0: {0}, tensor.Q4_0: {0}, tensor.Q4_K: {0, 2}, tensor.Q6_K: {208}}[t]
	scales := []float32{1, -0.02, 0.01, 1.0 / (1 << 24), 0, 65504, -3.0 / (1 << 20)}
	for at := 0; at < len(host); at += t.BlockBytes() {
		for _, p := range places {
			binary.LittleEndian.PutUint16(host[at+p:], tensor.Float32ToF16(scales[r.IntN(len(scales))]))
		}
	}
	return host
}

// TestRecords: values come back from records as package tensor decodes the file's blocks, to the
// bit, and as bf16 in fragment order; integers lie where levelPlace and twoPlace say.
func TestRecords(t *testing.T) {
	g := openGemms(t)
	for format := range quantFormats {
		for _, s := range [][2]int{{16, 512}, {40, 256}, {17, 1280}, {64, 4096}} {
			rows, k := s[0], s[1]
			host := quantNoise(g.rnd, format, rows, k)
			want := make([]float32, rows*k)
			format.Decode(want, host)
			strips, records := ceilDiv(rows, 16), recordsFor(k)
			src, dst := upload(g, host), g.memory(strips*records*recordBytes(format))
			p := &projection{k: k}
			g.d.repackStrips(p, &part{w: dst, strips: int32(strips), rows: int32(rows), format: int32(format)}, src, rows)
			g.checkEmbed(format, dst, rows, k, want)
			g.checkWide(format, dst, rows, k, want)
			g.checkPlaces(format, dst, rows, k, host)
		}
	}
}

func (r *gemmRig) checkEmbed(format tensor.DType, records driver.Ptr, rows, k int, want []float32) {
	r.Helper()
	tokens := make([]int32, rows)
	for i := range tokens {
		tokens[i] = int32(rows - 1 - i)
	}
	out := r.memory(4 * rows * k)
	launch(r.d, r.d.kern.quantEmbed[format], grid(rows, 1), 512, &quantEmbedParams{
		dst: out, table: records, tokens: tokensParams{rows: upload(r, tokens)}, cols: int32(k), chunks: int32(recordsFor(k)),
	})
	got := download[float32](r, out, rows*k)
	for i := range rows {
		if w := want[(rows-1-i)*k:][:k]; !sameBits(got[i*k:][:k], w) {
			for j, v := range got[i*k:][:k] {
				if math.Float32bits(v) != math.Float32bits(w[j]) {
					r.Errorf("%v %d×%d: row %d, k %d: %v, want %v", format, rows, k, rows-1-i, j, v, w[j])
					return
				}
			}
		}
	}
}

func (r *gemmRig) checkWide(format tensor.DType, records driver.Ptr, rows, k int, want []float32) {
	r.Helper()
	strips, tiles := ceilDiv(rows, 16), recordsFor(k)*recordK/16
	out := r.memory(strips * tiles * 512)
	launch(r.d, r.d.kern.quantWide[format], grid(strips, recordsFor(k)), 512, &quantWideParams{dst: out, src: records, chunks: int32(recordsFor(k))})
	got := download[uint16](r, out, strips*tiles*256)
	for i := range 16 * strips {
		for j := range tiles * 16 {
			w := uint16(0)
			if i < rows && j < k {
				w = tensor.Float32ToBF16(want[i*k+j])
			}
			if h := got[fragmentOffset(i/16, i%16, j, tiles)/2]; h != w && (h|w)&0x7fff != 0 {
				r.Errorf("%v %d×%d: row %d, k %d in bf16: %#x, want %#x", format, rows, k, i, j, h, w)
				return
			}
		}
	}
}

// fileLevel is an integer of a file's block by package tensor's tables.
func fileLevel(format tensor.DType, row []byte, k int) int {
	b, i := row[k/format.Block()*format.BlockBytes():], k%format.Block()
	switch format {
	case tensor.Q8_0:
		return int(b[2+i])
	case tensor.Q4_0:
		return int(b[2+i%16]>>(i/16*4)) & 15
	case tensor.Q4_K:
		return int(b[16+i/64*32+i%32]>>(i/32%2*4)) & 15
	}
	return int(b[64*(i/128)+i%64]>>(i/64%2*4))&15 | int(b[128+32*(i/128)+i%32]>>(i/32%4*2))&3<<4
}

func (r *gemmRig) checkPlaces(format tensor.DType, records driver.Ptr, rows, k int, host []byte) {
	r.Helper()
	size := recordsFor(k) * recordBytes(format)
	got := download[byte](r, records, ceilDiv(rows, 16)*size)
	for i := range rows {
		for j := range k {
			record := got[i/16*size+j/recordK*recordBytes(format):]
			at, bit := levelPlace(format, i%16, j%recordK)
			level := int(record[at])
			if format != tensor.Q8_0 {
				level = level >> bit & 15
			}
			if format == tensor.Q6_K {
				at, bit := twoPlace(i%16, j%recordK)
				if two := int(record[at]) >> bit & 3; i%16 < 8 {
					level |= two << 4
				} else {
					level = level<<2 | two
				}
			}
			if want := fileLevel(format, host[i*format.RowBytes(k):], j); level != want {
				r.Errorf("%v: row %d, k %d: integer %d, want %d", format, i, j, level, want)
				return
			}
		}
	}
}

// TestQuantRows: a projection as models have them, of mixed formats, long rows and every number
// of decode rows, against float64; and a row has the bits that it has alone.
func TestQuantRows(t *testing.T) {
	for _, c := range []struct {
		k       int
		formats []tensor.DType
	}{
		{4096, []tensor.DType{tensor.Q4_K, tensor.Q4_K, tensor.Q6_K}}, {14336, []tensor.DType{tensor.Q6_K}}, {14336, []tensor.DType{tensor.Q4_K}},
		{5632, []tensor.DType{tensor.Q8_0}}, {11008, []tensor.DType{tensor.Q4_0, tensor.Q8_0}}, {14336, []tensor.DType{tensor.Q8_0}},
	} {
		d := openHardware(t)
		checkQuantRows(t, d, c.k, c.formats)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func checkQuantRows(t *testing.T, d *Device, k int, formats []tensor.DType) {
	const rows, most = 48, 33
	rnd := rand.New(rand.NewPCG(5, 6))
	normal := func(n int, size float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(size * rnd.NormFloat64())
		}
		return v
	}
	var l backend.Linear
	var w [][]float32
	for _, f := range formats {
		host, v := make([]byte, rows*f.RowBytes(k)), normal(rows*k, 0.02)
		f.Encode(host, v)
		f.Decode(v, host)
		placed, err := d.Place(f, rows, k, host)
		if err != nil {
			t.Fatal(err)
		}
		l, w = append(l, backend.Part{W: placed}), append(w, v)
	}
	x := bf16(normal(most*k, 1))
	in, err := d.Alloc(backend.Scratch, tensor.F32, most, k)
	if err != nil {
		t.Fatal(err)
	}
	d.Upload(in, driver.Bytes(x))
	out, err := d.Alloc(backend.Scratch, tensor.F32, most, l.Out())
	if err != nil {
		t.Fatal(err)
	}
	run := func(from, to int) {
		d.Linear(out.Slice(from, to), in.Slice(from, to), l, nil)
	}
	read := func() []float32 {
		got := make([]float32, most*l.Out())
		d.Download(driver.Bytes(got), out)
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
		return got
	}
	for i := range most {
		run(i, i+1)
	}
	alone := read()
	checkQuantValues(t, formats, k, rows, x, w, alone)
	for n := 2; n <= most; n++ {
		together := func() []float32 {
			d.check(d.drv.Memset8Async(address(out), 0xff, int64(out.Bytes()), d.stream))
			run(0, n)
			return read()[:n*l.Out()]
		}
		if !sameBits(together(), alone[:n*l.Out()]) {
			t.Errorf("%v of %d: rows of %d have other bits than alone", formats, k, n)
		}
		if n%8 == 0 && !sameBits(d.byOneBlock(together), alone[:n*l.Out()]) {
			t.Errorf("%v of %d: rows of %d have other bits by one block than alone", formats, k, n)
		}
	}
}

func checkQuantValues(t *testing.T, formats []tensor.DType, k, rows int, x []float32, w [][]float32, got []float32) {
	t.Helper()
	worst := 0.0
	for m := range len(x) / k {
		for p := range w {
			for r := range rows {
				want, size := dot(x[m*k:(m+1)*k], w[p][r*k:(r+1)*k], 0)
				worst = max(worst, math.Abs(float64(got[m*rows*len(w)+p*rows+r])-want)/size*(1<<24))
			}
		}
	}
	if t.Logf("%v of %d: %.1f roundings", formats, k, worst); !(worst < 32) {
		t.Errorf("%v of %d: %.1f roundings", formats, k, worst)
	}
}
