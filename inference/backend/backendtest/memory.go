package backendtest

import (
	"bytes"
	"math/rand/v2"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// memory: allocations are zeroed, aligned, apart from each other, and keep what
// is uploaded, in whole and in part.
func memory(r *rig) {
	var all []backend.Tensor
	for _, t := range weightFormats {
		for _, cols := range []int{1, 7, 100, 5000} {
			m := r.alloc(backend.Cache, t, 3, cols)
			if uintptr(m.Data)%64 != 0 {
				r.Errorf("Alloc %v is at %p", m, m.Data)
			}
			if host := r.readBytes(m); !bytes.Equal(host, make([]byte, len(host))) {
				r.Errorf("Alloc %v is not zeroed", m)
			}
			all = append(all, m)
		}
	}
	hosts := make([][]byte, len(all))
	for i, m := range all {
		hosts[i] = noise(r.rnd, m.Bytes())
		r.d.Upload(m, hosts[i])
	}
	for i, m := range all {
		if !bytes.Equal(r.readBytes(m), hosts[i]) {
			r.Errorf("%v does not hold what was uploaded", m)
		}
		part := noise(r.rnd, m.RowBytes())
		r.d.Upload(m.Slice(1, 2), part)
		copy(hosts[i][m.RowBytes():], part)
		if !bytes.Equal(r.readBytes(m), hosts[i]) {
			r.Errorf("%v: Upload to a row changed others", m)
		}
		if !bytes.Equal(r.readBytes(m.Slice(1, 2)), part) {
			r.Errorf("%v: Download of a row", m)
		}
	}
}

func noise(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// held: the account grows by what was asked (a device may round up by a page),
// agrees with the regions, and does not change once a warm-up has run the largest
// step.
func held(r *rig) {
	before := r.d.Held()
	want := map[backend.Use]int64{}
	for _, use := range []backend.Use{backend.Weights, backend.Cache, backend.Scratch} {
		for _, rows := range []int{1, 10, 1000} {
			want[use] += int64(r.alloc(use, tensor.F32, rows, 48).Bytes())
		}
	}
	for _, t := range weightFormats {
		want[backend.Weights] += int64(r.weight(t, 33, 48, r.values(33*48)).Bytes())
	}
	after, sums := r.d.Held(), map[backend.Use]int64{}
	for _, region := range r.d.Regions() {
		if region.Bytes <= 0 || region.Addr == 0 {
			r.Errorf("region %+v", region)
		}
		sums[region.Use] += region.Bytes
	}
	for use, bytes := range want {
		most := bytes + 6*64<<10
		if use == backend.Scratch { // activations once more in a layout of the device, rounded up to whole tiles
			most += 4 * bytes
		}
		if got := after[use] - before[use]; got < bytes || got > most {
			r.Errorf("Held %v grew by %d for %d bytes", use, got, bytes)
		}
		if sums[use] != after[use] {
			r.Errorf("Held %v is %d, the regions have %d", use, after[use], sums[use])
		}
	}
	m := newModel(r, variants[0])
	m.play(fillThenDecode(70, 3)) // the warm-up: the largest step there will be
	state := r.d.Held()
	m.play(oneByOne(1, 69, 5))
	for use, bytes := range r.d.Held() {
		if state[use] != bytes {
			r.Errorf("Held %v went from %d to %d bytes after the warm-up", use, state[use], bytes)
		}
	}
}

// syncs: Sync without work is nothing, and ops keep their order without one.
func syncs(r *rig) {
	for range 3 {
		r.sync()
	}
	const n, cols = 2, 20
	x := r.values(n * cols)
	w := r.weight(tensor.F32, 1, cols, r.values(cols))
	identity := make([]float32, cols*cols)
	for i := range cols {
		identity[i*cols+i] = 1
	}
	one := backend.Linear{{W: r.weight(tensor.F32, cols, cols, identity).Tensor}}

	a, b := r.output(n, cols, nil), r.output(n, cols, x)
	in := r.input(n, cols, x)
	r.d.Linear(a.Tensor, in, one, phases(n, 1))          // a = x
	r.d.LinearAdd(a.Tensor, b.Tensor, one, phases(n, 1)) // a = 2x
	r.d.Linear(b.Tensor, a.Tensor, one, phases(n, n))    // b = 2x
	r.d.LinearAdd(b.Tensor, a.Tensor, one, phases(n, 0)) // b = 4x
	want := make([]float32, len(x))
	for i := range x {
		want[i] = 4 * x[i]
	}
	r.same("four ops and one Sync", r.result("b", b), want)
	r.same("the same after another Sync", r.result("b", b), want)

	r.d.RMSNorm(b.Tensor, in, w.Tensor, 1e-5)
	r.d.Linear(a.Tensor, b.Tensor, one, phases(n, 1))
	r.sync()
	r.same("RMSNorm, then a copy", r.result("a", a), r.result("b", b))
}
