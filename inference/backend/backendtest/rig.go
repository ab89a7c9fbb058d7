package backendtest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

var weightFormats = []tensor.DType{tensor.F32, tensor.F16, tensor.BF16}

// rig is a device under test with the memory of the host around it.
type rig struct {
	testing.TB
	d     backend.Device
	rnd   *rand.Rand
	pages [][]byte // host mappings, to unmap after the device is closed
}

func (r *rig) unmap() {
	for _, p := range r.pages {
		_ = unix.Munmap(p)
	}
}

// mapped returns n bytes of host memory with unreadable pages on both sides.
// With atEnd they end where the second begins, else they begin where the first
// ends.
func (r *rig) mapped(n int, atEnd bool) []byte {
	r.Helper()
	page := os.Getpagesize()
	size := (n + page - 1) / page * page
	all, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err == nil {
		err = unix.Mprotect(all[:page], unix.PROT_NONE)
	}
	if err == nil {
		err = unix.Mprotect(all[page+size:], unix.PROT_NONE)
	}
	if err != nil {
		r.Fatal(err)
	}
	r.pages = append(r.pages, all)
	from := page
	if atEnd {
		from += size - n
	}
	return all[from : from+n : from+n]
}

// values returns n normal variables.
func (r *rig) values(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.rnd.NormFloat64())
	}
	return v
}

// weight is a placed weight and what its bytes mean.
type weight struct {
	backend.Tensor
	val []float32
}

// weight places values, rounded to t, against the end of a mapping.
func (r *rig) weight(t tensor.DType, rows, cols int, v []float32) weight {
	r.Helper()
	return r.place(t, rows, cols, v, r.mapped(rows*t.RowBytes(cols), true))
}

func (r *rig) place(t tensor.DType, rows, cols int, v []float32, host []byte) weight {
	r.Helper()
	t.Encode(host, v)
	return r.placeBytes(t, rows, cols, host)
}

// placeBytes places what lies in host.
func (r *rig) placeBytes(t tensor.DType, rows, cols int, host []byte) weight {
	r.Helper()
	w, err := r.d.Place(t, rows, cols, host)
	if err != nil {
		r.Fatalf("Place %v[%d×%d]: %v", t, rows, cols, err)
	}
	val := make([]float32, rows*cols)
	t.Decode(val, host)
	return weight{w, val}
}

func (r *rig) alloc(use backend.Use, t tensor.DType, rows, cols int) backend.Tensor {
	r.Helper()
	m, err := r.d.Alloc(use, t, rows, cols)
	if err != nil {
		r.Fatalf("Alloc %v[%d×%d]: %v", t, rows, cols, err)
	}
	return m
}

// input returns an activation that holds v.
func (r *rig) input(rows, cols int, v []float32) backend.Tensor {
	r.Helper()
	m := r.alloc(backend.Scratch, tensor.F32, rows, cols)
	r.d.Upload(m, bytesOf(v))
	return m
}

// sync waits, and takes no failure.
func (r *rig) sync() {
	r.Helper()
	if err := r.d.Sync(); err != nil {
		r.Fatalf("Sync: %v", err)
	}
}

// read returns the elements of t, after everything asked so far.
func (r *rig) read(t backend.Tensor) []float32 {
	r.Helper()
	host := r.readBytes(t)
	v := make([]float32, t.Rows*t.Cols)
	t.Type.Decode(v, host)
	return v
}

func (r *rig) readBytes(t backend.Tensor) []byte {
	r.Helper()
	host := make([]byte, t.Bytes())
	r.d.Download(host, t)
	r.sync()
	return host
}

func bytesOf(v []float32) []byte {
	b := make([]byte, 4*len(v))
	tensor.F32.Encode(b, v)
	return b
}

// guard is a NaN with a payload: a sum that takes it in cannot hide, and a
// store over it shows in the bits.
const guard = 0x7fc0dead

// output is a destination between guard rows.
type output struct {
	backend.Tensor
	whole  backend.Tensor
	before int // guard rows before it, as many after
}

// output returns a destination of guards, or of v.
func (r *rig) output(rows, cols int, v []float32) output {
	r.Helper()
	before := 64/cols + 1
	whole := r.alloc(backend.Scratch, tensor.F32, rows+2*before, cols)
	host := make([]byte, whole.Bytes())
	for i := 0; i < len(host); i += 4 {
		binary.LittleEndian.PutUint32(host[i:], guard)
	}
	if v != nil {
		tensor.F32.Encode(host[4*before*cols:], v)
	}
	r.d.Upload(whole, host)
	return output{whole.Slice(before, before+rows), whole, before}
}

// result returns what an op left in o, after a look at the guards.
func (r *rig) result(name string, o output) []float32 {
	r.Helper()
	host := r.readBytes(o.whole)
	from, to := 4*o.before*o.Cols, 4*(o.before+o.Rows)*o.Cols
	for i := 0; i < len(host); i += 4 {
		if (i < from || i >= to) && binary.LittleEndian.Uint32(host[i:]) != guard {
			r.Errorf("%s: wrote at element %d of the destination, which has %d", name, (i-from)/4, (to-from)/4)
			break
		}
	}
	v := make([]float32, o.Rows*o.Cols)
	tensor.F32.Decode(v, host[from:to])
	return v
}

// bits returns the representation of v, for comparisons in which NaN is NaN.
func bits(v []float32) []uint32 {
	b := make([]uint32, len(v))
	for i, x := range v {
		b[i] = math.Float32bits(x)
	}
	return b
}
