//go:build cuda

package cuda

import (
	"errors"
	"fmt"
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

// chosen is logits on the device, and how each row is to be chosen.
type chosen struct {
	host   []float32
	on     backend.Tensor
	params []sample.Params
}

// anyRules are rules of every kind, by chance.
func anyRules(r *rand.Rand, vocab int) sample.Params {
	p := sample.Params{
		Temperature: []float32{1, 0.7, 2, 0.05, 0}[r.IntN(5)], TopP: []float32{1, 1, 0, 0.5, 0.9, 0.999999}[r.IntN(6)],
		TopK: []int{0, 0, 1, 5, 50, vocab / 2, vocab, vocab + 1}[r.IntN(8)], MinP: []float32{0, 0, 0.05, 0.7, 1}[r.IntN(5)],
		Seed: r.Uint64(), Position: r.Uint64() >> r.IntN(64), RepetitionPenalty: []float32{0, 1, 1.1, 0.5, 2}[r.IntN(5)],
	}
	for _, id := range r.Perm(vocab)[:r.IntN(min(vocab, 3000)+1)] {
		p.Seen = append(p.Seen, int32(id))
	}
	return p
}

func newChosen(t testing.TB, d *Device, r *rand.Rand, rows, vocab int, spread float32) chosen {
	t.Helper()
	on, err := d.Alloc(backend.Scratch, tensor.F32, rows, vocab)
	if err != nil {
		t.Fatal(err)
	}
	x := chosen{host: make([]float32, rows*vocab), on: on}
	for i := range x.host {
		switch {
		case r.IntN(50) == 0:
			x.host[i] = float32(math.Inf(-1)) // ruled out
		case r.IntN(3) == 0:
			x.host[i] = float32(r.IntN(5)) // ties
		case r.IntN(100) == 0:
			x.host[i] = float32(math.Copysign(0, -1))
		default:
			x.host[i] = float32(r.NormFloat64()) * spread
		}
	}
	for i := range rows {
		x.host[i*vocab] = 0 // one is finite
		x.params = append(x.params, anyRules(r, vocab))
	}
	return x
}

// TestChoose: the device chooses the ids of package sample by rules of every kind, of vocabularies of any size, of logits far
// apart and much alike.
func TestChoose(t *testing.T) {
	d := openHardware(t)
	r := rand.New(rand.NewPCG(7, 8))
	for _, vocab := range []int{1, 2, 5, 33, 1000, 4097, 32000, 32003, 128256} {
		for _, spread := range []float32{0, 0.01, 2, 30} {
			rows := 100 // more than a launch has
			if vocab > 10000 {
				rows = 25 // the host takes long
			}
			x := newChosen(t, d, r, rows, vocab, spread)
			got, want := make([]int32, len(x.params)), make([]int32, len(x.params))
			d.Upload(x.on, driver.Bytes(x.host))
			d.Sample(got, x.on, x.params)
			if err := d.Sync(); err != nil {
				t.Error(err)
			}
			for i := range want {
				var err error
				if want[i], err = sample.Choose(x.host[i*vocab:(i+1)*vocab], &x.params[i]); err != nil {
					t.Fatal(err)
				}
				if p := x.params[i]; got[i] != want[i] {
					p.Seen = nil
					t.Errorf("%d ids, deviation %v: %d, want %d by %+v", vocab, spread, got[i], want[i], p)
				}
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

// TestChooseNotFinite: a row with a NaN or +Inf, or without a finite logit, gets −1, and its
// neighbours their tokens.
func TestChooseNotFinite(t *testing.T) {
	d := openHardware(t)
	const vocab = 5000
	for _, rules := range []sample.Params{{}, {Temperature: 1, TopP: 1}, {Temperature: 1, TopP: 0.9}, {Temperature: 1, TopP: 1, TopK: 9, RepetitionPenalty: 2, Seen: []int32{4321}}} {
		notFinite(t, d, vocab, rules)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func notFinite(t *testing.T, d *Device, vocab int, rules sample.Params) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		x := newChosen(t, d, rand.New(rand.NewPCG(9, 9)), 3, vocab, 1)
		for i := range x.params {
			x.params[i] = rules
		}
		if x.host[vocab+4321] = bad; bad < 0 {
			for i := range vocab {
				x.host[vocab+i] = bad
			}
		}
		ids := make([]int32, 3)
		d.Upload(x.on, driver.Bytes(x.host))
		d.Sample(ids, x.on, x.params)
		if err := d.Sync(); !errors.Is(err, sample.ErrNotFinite) || ids[1] != -1 || ids[0] < 0 || ids[2] < 0 {
			t.Errorf("%v by %+v: %v, %v", bad, rules, ids, err)
		}
	}
}

// BenchmarkChoose: what a step waits for its tokens, logits of a random model and of one that is sure.
func BenchmarkChoose(b *testing.B) {
	d := openHardware(b)
	defer d.Close()
	r := rand.New(rand.NewPCG(1, 2))
	seen := make([]int32, 500)
	for i := range seen {
		seen[i] = int32(60 * i)
	}
	for _, vocab := range []int{32000, 128256} {
		for _, rows := range []int{1, 8, 32} {
			for _, spread := range []float32{1, 4} {
				x := newChosen(b, d, r, rows, vocab, 1)
				for i := range x.host {
					x.host[i] = float32(r.NormFloat64()) * spread
				}
				d.Upload(x.on, driver.Bytes(x.host))
				ids := make([]int32, rows)
				line := fmt.Sprintf("%d ids, %d rows, deviation %v:", vocab, rows, spread)
				for _, rules := range []sample.Params{
					{}, {Temperature: 1, TopP: 1}, {Temperature: 0.7, TopP: 0.9}, {Temperature: 0.7, TopP: 0.9, TopK: 50},
					{Temperature: 0.7, TopP: 0.9, TopK: 50, RepetitionPenalty: 1.1, Seen: seen},
				} {
					for i := range x.params {
						x.params[i] = rules
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
					line += fmt.Sprintf("  %v", took[20].Round(time.Microsecond))
				}
				fmt.Println(line)
			}
		}
	}
}
