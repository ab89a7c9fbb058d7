package sample

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestPhiloxKnownAnswers uses the vectors published with Random123.
func TestPhiloxKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		ctr  [4]uint32
		key  [2]uint32
		want [4]uint32
	}{
		{want: [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}, [2]uint32{^uint32(0), ^uint32(0)},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := philox(c.ctr, c.key); got != c.want {
			t.Errorf("%x %x: %x, want %x", c.ctr, c.key, got, c.want)
		}
	}
}

func TestLnAndWeightAgainstMath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(1e-12, 50).Draw(t, "x")
		if got, want := ln(x), math.Log(x); math.Abs(got-want) > 4e-16*math.Max(1, math.Abs(want)) {
			t.Fatalf("ln(%v) = %v, want %v", x, got, want)
		}
		y := -rapid.Float64Range(0, 40).Draw(t, "y")
		if got, want := float64(weight(y)), math.Exp(y)*weightOne; math.Abs(got-want) > 0.5+4e-15*want {
			t.Fatalf("weight(%v) = %v, want %v", y, got, want)
		}
	})
}

func TestGumbelBounds(t *testing.T) {
	for _, w := range []uint32{0, 1, 1 << 31, 0xfffffffe, ^uint32(0), 0xc0000000, 0x7fffffff} {
		if g := gumbel(w); g > gumbelMax || g > gumbelBound(leadingOnes(w)) || math.IsInf(g, 0) || g != g {
			t.Errorf("gumbel(%#x) = %v above its bound %v", w, g, gumbelBound(leadingOnes(w)))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if w := rapid.Uint32().Draw(t, "w"); gumbel(w) > gumbelBound(leadingOnes(w)) {
			t.Fatalf("gumbel(%#x) above its bound", w)
		}
	})
}

func leadingOnes(w uint32) int {
	n := 0
	for ; w>>31 == 1; w <<= 1 {
		n++
	}
	return n
}

// oracle is the specification written as plainly as possible: sort everything,
// use math.Exp and math.Log, no shortcuts.
func oracle(in []float32, p Params) int32 {
	l := slices.Clone(in)
	for i := range l {
		l[i] /= p.Temperature
	}
	for _, id := range p.Seen {
		if p.RepetitionPenalty == 0 {
			break
		}
		if l[id] > 0 {
			l[id] /= p.RepetitionPenalty
		} else {
			l[id] *= p.RepetitionPenalty
		}
	}
	ids := make([]int32, len(l))
	for i := range ids {
		ids[i] = int32(i)
	}
	slices.SortStableFunc(ids, func(a, b int32) int { return int(math.Copysign(1, float64(l[b])-float64(l[a]))) * b2i(l[a] != l[b]) })
	if p.TopK > 0 && p.TopK < len(ids) {
		ids = ids[:p.TopK]
	}
	max := float64(l[ids[0]])
	sum := 0.0
	for _, id := range ids {
		sum += math.Exp(float64(l[id]) - max)
	}
	if p.TopP < 1 {
		have := 0.0
		for i, id := range ids {
			if have += math.Exp(float64(l[id]) - max); have >= float64(p.TopP)*sum {
				ids = ids[:i+1]
				break
			}
		}
	}
	win, best := int32(-1), math.Inf(-1)
	for _, id := range ids {
		if math.Exp(float64(l[id])-max) < float64(p.MinP) && id != ids[0] {
			continue
		}
		d := philox([4]uint32{uint32(id) / 4, uint32(p.Position), uint32(p.Position >> 32), 0}, [2]uint32{uint32(p.Seed), uint32(p.Seed >> 32)})
		u := (float64(d[id%4]) + 0.5) / (1 << 32)
		if s := float64(l[id]) - math.Log(-math.Log(u)); s > best {
			win, best = id, s
		}
	}
	return win
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestChooseEqualsOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := rapid.SliceOfN(rapid.Float32Range(-12, 12), 1, 300).Draw(t, "logits")
		p := Params{
			Temperature:       rapid.Float32Range(0.1, 2).Draw(t, "temperature"),
			RepetitionPenalty: rapid.SampledFrom([]float32{0, 0.5, 1, 1.3, 2}).Draw(t, "penalty"),
			TopK:              rapid.IntRange(0, len(l)+2).Draw(t, "k"),
			TopP:              rapid.SampledFrom([]float32{0, 0.1, 0.5, 0.9, 0.99, 1}).Draw(t, "p"),
			MinP:              rapid.SampledFrom([]float32{0, 0.01, 0.3, 0.99}).Draw(t, "minp"),
			Seed:              rapid.Uint64().Draw(t, "seed"),
			Position:          rapid.Uint64Range(0, 1<<33).Draw(t, "position"),
			Seen:              []int32{0},
		}
		want := oracle(l, p)
		var c Chooser
		for range 2 { // the second time with used memory
			got, err := c.Choose(slices.Clone(l), &p)
			if err != nil || got != want {
				t.Fatalf("got %d %v, want %d", got, err, want)
			}
		}
	})
}

func TestGreedy(t *testing.T) {
	for _, c := range []struct {
		name   string
		logits []float32
		p      Params
		want   int32
	}{
		{"largest", []float32{1, 3, 2}, Params{}, 1},
		{"lowest id on ties", []float32{1, 3, 3}, Params{}, 1},
		{"penalty divides positive", []float32{2, 3, 1}, Params{RepetitionPenalty: 2, Seen: []int32{1}}, 0},
		{"penalty multiplies negative", []float32{-1.5, -1, -9}, Params{RepetitionPenalty: 2, Seen: []int32{1}}, 0},
		{"penalty below one invites", []float32{2, 1.5, 1}, Params{RepetitionPenalty: 0.5, Seen: []int32{1}}, 1},
		{"penalty zero is off", []float32{2, 1.5, 1}, Params{RepetitionPenalty: 0, Seen: []int32{1}}, 0},
		{"other filters do not matter", []float32{2, 1.5, 1}, Params{TopK: 1, TopP: 0, MinP: 1}, 0},
		{"masked ids", []float32{float32(math.Inf(-1)), -5}, Params{}, 1},
	} {
		if got, err := Choose(c.logits, &c.p); err != nil || got != c.want {
			t.Errorf("%s: %d %v, want %d", c.name, got, err, c.want)
		}
	}
}

func TestNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, l := range [][]float32{{1, nan, 2}, {nan}, {inf, 0}, {-inf, -inf}, {}} {
		for _, temp := range []float32{0, 1} {
			if id, err := Choose(slices.Clone(l), &Params{Temperature: temp, TopP: 1}); !errors.Is(err, ErrNotFinite) {
				t.Errorf("%v: %d %v", l, id, err)
			}
		}
	}
}

// TestDrawFollowsSoftmax counts 40,000 draws of five ids, by position and by
// seed, against the softmax (chi-square, 4 degrees of freedom: 23.5 is the
// 1-in-10,000 bound; the draw is fixed, so the test cannot be flaky).
func TestDrawFollowsSoftmax(t *testing.T) {
	l := []float32{0, 1, 2, -1, 0.5}
	var sum float64
	for _, x := range l {
		sum += math.Exp(float64(x))
	}
	const n = 40000
	for _, by := range []string{"position", "seed"} {
		var count [5]float64
		for i := range n {
			p := Params{Temperature: 1, TopP: 1, Seed: 42, Position: uint64(i)}
			if by == "seed" {
				p.Seed, p.Position = uint64(i)*7919, 5
			}
			id, _ := Choose(slices.Clone(l), &p)
			count[id]++
		}
		chi := 0.0
		for i, x := range l {
			e := n * math.Exp(float64(x)) / sum
			chi += (count[i] - e) * (count[i] - e) / e
		}
		if chi > 23.5 {
			t.Errorf("by %s: chi-square %.1f, counts %v", by, chi, count)
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	l := make([]float32, 32000)
	for i := range l {
		l[i] = float32(8 * math.Sin(float64(i*i%7919)))
	}
	in := make([]float32, len(l))
	for _, c := range []struct {
		name string
		p    Params
	}{{"greedy", Params{}}, {"draw", Params{Temperature: 1, TopP: 1}}, {"top-k", Params{Temperature: 1, TopP: 1, TopK: 40}},
		{"top-p", Params{Temperature: 1, TopP: 0.9}}} {
		b.Run(c.name, func(b *testing.B) {
			var ch Chooser
			for b.Loop() {
				copy(in, l)
				if _, err := ch.Choose(in, &c.p); err != nil {
					b.Fatal(err)
				}
				c.p.Position++
			}
		})
	}
}

// TestExtremesStayHonest: values that the wire's ranges allow, and that divide
// a logit beyond float32, choose a token all the same.
func TestExtremesStayHonest(t *testing.T) {
	inf := float32(math.Inf(-1))
	logits := []float32{-3, 12, 19.5, inf, 19.4, 0}
	seen := []int32{0, 1, 2, 3, 4, 5}
	for _, tiny := range []float32{math.SmallestNonzeroFloat32, 1e-39, 1e-38, 1e-21, 1e-19} {
		for _, p := range []Params{
			{Temperature: tiny, TopP: 1},
			{Temperature: tiny, TopP: 0.9, TopK: 3, Seed: 9},
			{Temperature: tiny, TopP: 1, RepetitionPenalty: 1.5, Seen: seen},
		} {
			if id, err := Choose(slices.Clone(logits), &p); id != 2 || err != nil {
				t.Errorf("%+v: id %d, %v; want 2, the likeliest", p, id, err)
			}
		}
		p := Params{Temperature: 1, TopP: 0.9, RepetitionPenalty: tiny, Seen: seen[:2]}
		if id, err := Choose(slices.Clone(logits), &p); id != 1 || err != nil {
			t.Errorf("penalty %v: id %d, %v; want 1, the only likely one that was seen", tiny, id, err)
		}
	}
	p := Params{RepetitionPenalty: 2, Seen: seen[:1]}
	if _, err := Choose([]float32{float32(math.Inf(1)), 1}, &p); !errors.Is(err, ErrNotFinite) {
		t.Errorf("a logit of +Inf under a penalty: %v", err)
	}
}
