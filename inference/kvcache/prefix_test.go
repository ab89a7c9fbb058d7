package kvcache

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawText draws one of few texts, so that most have a beginning in common.
func drawText(t *rapid.T, pageSize, most int) Text {
	x := Text{Salt: rapid.SampledFrom([]string{"", "", "a"}).Draw(t, "salt"), IDs: make([]int32, rapid.IntRange(1, most).Draw(t, "length"))}
	for at := 0; at < len(x.IDs); at += pageSize {
		x.IDs[at] = rapid.Int32Range(0, 1).Draw(t, "id")
	}
	return x
}

// TestPrefixes drives sequences that share, write, publish, forget and give back
// pages through a small pool and compares it with a naive model after each, with
// a true hash and with two that collide.
func TestPrefixes(t *testing.T) {
	sharings := 0
	for name, hash := range map[string]hasher{
		"seeded":   nil,
		"constant": func(uint64, string, []int32) uint64 { return 7 },
		"no chain": func(_ uint64, _ string, ids []int32) uint64 { return uint64(ids[0]) },
	} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			size := rapid.IntRange(1, 4).Draw(t, "size")
			b := &books{T: t, pool: NewPool(rapid.IntRange(1, 24).Draw(t, "pages"), size), known: map[string]entry{}}
			if hash != nil {
				b.pool.hash = hash
			}
			b.written = make([]string, b.pool.Total())
			for range 4 {
				b.holders = append(b.holders, &holder{})
			}
			for range rapid.IntRange(1, 80).Draw(t, "steps") {
				h := rapid.SampledFrom(b.holders).Draw(t, "holder")
				switch rapid.IntRange(0, 11).Draw(t, "what") {
				case 0, 1:
					b.release(h)
				case 2:
					b.forget(h)
				case 3:
					b.advance(h, false) // a step that failed, or one of the decode phase
					b.release(h)
				default:
					if len(h.pages) == 0 {
						b.start(h, drawText(t, size, 6*size))
					} else {
						b.advance(h, true)
					}
				}
				b.check()
			}
			sharings += b.shared
		}))
	}
	if sharings == 0 {
		t.Error("nothing was shared: the test does not test it")
	}
}

// TestCollision gives two texts one hash: neither finds the other's page.
func TestCollision(t *testing.T) {
	p := NewPool(4, 2)
	p.hash = func(uint64, string, []int32) uint64 { return 0 }
	texts := []Text{{IDs: []int32{1, 2}}, {IDs: []int32{3, 4}}, {IDs: []int32{1, 2}, Salt: "x"}}
	tables := make([][]int32, len(texts))
	for i, x := range texts {
		if found := p.Find(nil, x); found != nil {
			t.Fatalf("%v found in %v", x, found)
		}
		tables[i], _ = p.Grow(nil, 2)
		p.Publish(tables[i], 0, x)
	}
	for i, x := range texts {
		if found := p.Find(nil, x); !slices.Equal(found, tables[i]) {
			t.Errorf("%v is in %v, found in %v", x, tables[i], found)
		}
	}
	if found := p.Find(tables[0], Text{IDs: []int32{1, 2, 3, 4}}); found != nil {
		t.Errorf("the first page of another text, %v, is taken for the second", found)
	}
}

// TestEvictionOrder releases two texts with a beginning in common: their ends
// are evicted first, the longest idle one before the other, and what both begin
// with last.
func TestEvictionOrder(t *testing.T) {
	p := NewPool(4, 1)
	a, b := Text{IDs: []int32{1, 2}}, Text{IDs: []int32{1, 3}}
	one, _ := p.Grow(nil, 2)
	p.Publish(one, 0, a)
	two, _ := p.Grow(p.Share(nil, 0, p.Find(nil, b)), 2)
	p.Publish(two, 0, b)
	p.Release(two)
	p.Release(one)
	for n, want := range [][2]int{{2, 2}, {2, 2}, {2, 1}, {1, 1}} { // one is blank
		if got := [2]int{len(p.Find(nil, a)), len(p.Find(nil, b))}; got != want {
			t.Errorf("after %d pages: %v pages are known of the two, want %v", n, got, want)
		}
		if _, ok := p.Grow(nil, 1); !ok {
			t.Fatal("no page")
		}
	}
	if p.Published() != 0 || p.Evictions() != 3 {
		t.Errorf("%d pages are published, %d were evicted", p.Published(), p.Evictions())
	}
}

func BenchmarkFind(b *testing.B) {
	p := NewPool(64, 64)
	x := Text{IDs: make([]int32, 4096)}
	table, _ := p.Grow(nil, 4096)
	p.Publish(table, 0, x)
	b.ReportAllocs()
	for b.Loop() {
		if len(p.Find(nil, x)) != 64 {
			b.Fatal("not found")
		}
	}
}
