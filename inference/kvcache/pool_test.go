package kvcache

import (
	"testing"

	"pgregory.net/rapid"
)

// TestPool drives random grows and releases and checks after each that every
// page is free or held by exactly one table.
func TestPool(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pages, size := rapid.IntRange(1, 40).Draw(t, "pages"), rapid.IntRange(1, 70).Draw(t, "size")
		p := NewPool(pages, size)
		tables := make([][]int32, 5)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, len(tables)-1).Draw(t, "table")
			if rapid.Bool().Draw(t, "release") {
				tables[i] = p.Release(tables[i])
			} else {
				positions := rapid.IntRange(0, pages*size+size).Draw(t, "positions")
				before, free := len(tables[i]), p.Free()
				grown, ok := p.Grow(tables[i], positions)
				switch {
				case ok && len(grown)*size < positions:
					t.Fatalf("%d pages of %d for %d positions", len(grown), size, positions)
				case ok && len(grown) > before && (len(grown)-1)*size >= positions:
					t.Fatalf("%d pages are more than %d positions need", len(grown), positions)
				case !ok && (len(grown) != before || p.Free() != free):
					t.Fatal("a refused growth took pages")
				case !ok && (positions+size-1)/size-before <= free:
					t.Fatal("refused although there were enough")
				}
				tables[i] = grown
			}
			seen := map[int32]bool{}
			for _, table := range tables {
				for _, page := range table {
					if seen[page] || page < 0 || int(page) >= pages {
						t.Fatalf("page %d is held twice or out of range", page)
					}
					seen[page] = true
				}
			}
			if len(seen)+p.Free() != p.Total() {
				t.Fatalf("%d held + %d free of %d", len(seen), p.Free(), p.Total())
			}
		}
	})
}

func TestReleaseTwicePanics(t *testing.T) {
	p := NewPool(2, 4)
	table, _ := p.Grow(nil, 4)
	again := append([]int32(nil), table...)
	p.Release(table)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	p.Release(again)
}
