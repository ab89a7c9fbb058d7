//go:build cuda

package cuda

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/sample"
	"llorch/inference/tensor"
)

// drawn is logits on the device, and how each row is to be drawn.
type drawn struct {
	host   []float32
	on     backend.Tensor
	params []sample.Params
}

func newDrawn(t testing.TB, d *Device, r *rand.Rand, rows, vocab int, spread float32) drawn {
	t.Helper()
	on, err := d.Alloc(backend.Scratch, tensor.F32, rows, vocab)
	if err != nil {
		t.Fatal(err)
	}
	x := drawn{host: make([]float32, rows*vocab), on: on}
	for i := range x.host {
		switch {
		case r.IntN(50) == 0:
			x.host[i] = float32(math.Inf(-1)) // ruled out
		case r.IntN(3) == 0:
			x.host[i] = float32(r.IntN(5)) // ties
		default:
			x.host[i] = float32(r.NormFloat64()) * spread
		}
	}
	for i := range rows {
		x.host[i*vocab] = 0 // one is finite
		p := sample.Params{Temperature: []float32{1, 0.7, 2, 0.05, 0}[r.IntN(5)], TopP: 1, Seed: r.Uint64(), Position: r.Uint64() >> r.IntN(64)}
		if r.IntN(4) == 0 {
			p.TopK = vocab
		}
		x.params = append(x.params, p)
	}
	return x
}

// TestDraw: the device draws the ids of package sample, of vocabularies of any size, in
// more rows than a launch has.
func TestDraw(t *testing.T) {
	d := openHardware(t)
	r := rand.New(rand.NewPCG(7, 8))
	for _, vocab := range []int{1, 2, 5, 33, 1000, 4097, 32000, 32003, 128256} {
		for _, spread := range []float32{0.01, 2, 30} {
			x := newDrawn(t, d, r, 70, vocab, spread)
			got, want := make([]int32, len(x.params)), make([]int32, len(x.params))
			d.Upload(x.on, driver.Bytes(x.host))
			d.Sample(got, x.on, x.params)
			if byDevice := d.drawing[0].byDevice(); !byDevice {
				t.Fatal("drawn on the host")
			}
			if err := d.Sync(); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				var err error
				if want[i], err = sample.Choose(x.host[i*vocab:(i+1)*vocab], &x.params[i]); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d ids, deviation %v:\n%v, want\n%v", vocab, spread, got, want)
			}
			if err := d.release(address(x.on)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestDrawNotFinite: a row with a NaN or +Inf, or without a finite logit, gets −1, and its
// neighbours their tokens.
func TestDrawNotFinite(t *testing.T) {
	d := openHardware(t)
	const vocab = 5000
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		x := newDrawn(t, d, rand.New(rand.NewPCG(9, 9)), 3, vocab, 1)
		x.params[0], x.params[1], x.params[2] = sample.Params{Temperature: 1, TopP: 1}, sample.Params{Temperature: 1, TopP: 1, Seed: 5}, sample.Params{Temperature: 1, TopP: 1}
		if x.host[vocab+4321] = bad; bad < 0 {
			for i := range vocab {
				x.host[vocab+i] = bad
			}
		}
		ids := make([]int32, 3)
		d.Upload(x.on, driver.Bytes(x.host))
		d.Sample(ids, x.on, x.params)
		if err := d.Sync(); !errors.Is(err, sample.ErrNotFinite) || ids[1] != -1 || ids[0] < 0 || ids[2] < 0 {
			t.Errorf("%v: %v, %v", bad, ids, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// BenchmarkDraw: what a step waits for its tokens, copied logits included.
func BenchmarkDraw(b *testing.B) {
	d := openHardware(b)
	defer d.Close()
	r := rand.New(rand.NewPCG(1, 2))
	for _, vocab := range []int{32000, 128256} {
		for _, rows := range []int{1, 8, 32} {
			x := newDrawn(b, d, r, rows, vocab, 2)
			d.Upload(x.on, driver.Bytes(x.host))
			ids := make([]int32, rows)
			for name, topP := range map[string]float32{"device": 1, "host": 0.95} {
				for i := range x.params {
					x.params[i].Temperature, x.params[i].TopP, x.params[i].TopK = 1, topP, 0
				}
				var took []time.Duration
				for range 40 {
					began := time.Now()
					d.Sample(ids, x.on, x.params)
					if err := d.Sync(); err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(began))
				}
				slices.Sort(took)
				b.Logf("%d ids, %d rows, %s: %v", vocab, rows, name, took[20])
			}
		}
	}
}
