package residency

import (
	"os"
	"testing"

	"pgregory.net/rapid"
)

// What the kernel says of a range at once is what the entries of its pages say; one that says nothing at
// once, before Linux 6.7, is asked page by page.
func TestScan(t *testing.T) {
	p, slow := openPages(t), openPages(t)
	slow.scansNot = true
	page := int64(os.Getpagesize())
	m, f := mapFile(t, testPages)
	populate(t, m)
	start := int64(address(m)) // of a page
	scans := p.whole(start, start+testPages*page)
	if scans == p.scansNot {
		t.Fatalf("a populated mapping is whole: %v; the kernel cannot say: %v", scans, p.scansNot)
	}
	leaveHole(t, m, f, 10, 3)
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.Int64Range(-2*page, testPages*page).Draw(t, "from")
		n := rapid.Int64Range(0, (testPages+2)*page).Draw(t, "bytes")
		got, err := p.Resident(uintptr(start+from), n)
		want, err2 := slow.Resident(uintptr(start+from), n)
		if err != nil || err2 != nil || got != want {
			t.Fatalf("%d bytes resident (%v), page by page %d (%v)", got, err, want, err2)
		}
		first, last := start+from&^(page-1), (start+from+n+page-1)&^(page-1)
		if whole := from >= 0 && from+n <= testPages*page && (from+n <= 10*page || from >= 13*page) && first < last; scans && whole && !p.whole(first, last) {
			t.Fatalf("pages [%d, %d) are not whole", (first-start)/page, (last-start)/page)
		}
	})
	if p.whole(start, start+testPages*page) || p.whole(start+9*page, start+11*page) || p.whole(start, start+10*page) != scans {
		t.Error("a hole is not seen, or is seen before it")
	}
}

func BenchmarkResident(b *testing.B) {
	m := make([]byte, 1<<30)
	for i := 0; i < len(m); i += os.Getpagesize() {
		m[i] = 1
	}
	for _, name := range []string{"at once", "page by page"} {
		b.Run(name, func(b *testing.B) {
			p, err := OpenPages()
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			p.scansNot = name == "page by page"
			b.SetBytes(int64(len(m)))
			for b.Loop() {
				if held, err := p.Resident(address(m), int64(len(m))); err != nil || held != int64(len(m)) {
					b.Fatal(held, err)
				}
			}
		})
	}
}
