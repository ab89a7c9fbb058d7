package weights

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"sync"
	"testing"

	"github.com/zeebo/xxh3"
)

// passOver reads all spans by so many goroutines and returns what they read, by file.
func passOver(t *testing.T, s *Source, p *Pass, readers int) ([][]byte, error) {
	t.Helper()
	files := make([][]byte, len(s.Files))
	for i := range files {
		files[i] = make([]byte, s.Files[i].Size)
	}
	next := make(chan int, len(p.Spans()))
	for i := range p.Spans() {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	for range readers {
		wg.Go(func() {
			for i := range next {
				s := p.Spans()[i]
				if err := p.Read(i, files[s.File][s.From:s.To]); err != nil {
					once.Do(func() { first = err })
				}
			}
		})
	}
	wg.Wait()
	return files, first
}

// What a pass reads is the file, and its digests are those that other tools compute.
func TestPass(t *testing.T) {
	s := counted(t, populateSlice/8+12345)
	for _, readers := range []int{1, 7} {
		p := s.Pass(t.Context(), &Checks{SHA256: true, Finite: true}, 1<<20)
		if _, err := p.Result(); err == nil {
			t.Error("a result of nothing")
		}
		files, err := passOver(t, s, p, readers)
		if err != nil {
			t.Fatal(err)
		}
		sums, err := p.Result()
		p.Stop()
		data, err2 := os.ReadFile(s.Files[0].Path)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		fast, slow := xxh3.Hash128(data).Bytes(), sha256.Sum256(data)
		if want := (Sums{hex.EncodeToString(fast[:]), hex.EncodeToString(slow[:])}); sums[0] != want || string(files[0]) != string(data) || p.Done() != int64(len(data)) {
			t.Errorf("%d readers: %+v, want %+v; %d of %d bytes", readers, sums[0], want, p.Done(), len(data))
		}
	}
}

// Spans cover every byte of every file once, in its order, and several files in turns.
func TestPassSpans(t *testing.T) {
	s := &Source{Files: []File{{Size: 10 << 20}, {Size: 1}, {Size: 4<<20 + 1}}}
	p := s.Pass(t.Context(), nil, 4<<20)
	defer p.Stop()
	want := []Span{
		{0, 0, 4 << 20}, {1, 0, 1}, {2, 0, 4 << 20}, {0, 4 << 20, 8 << 20}, {2, 4 << 20, 4<<20 + 1}, {0, 8 << 20, 10 << 20},
	}
	if len(p.Spans()) != len(want) {
		t.Fatalf("%v", p.Spans())
	}
	for i, got := range p.Spans() {
		if got != want[i] {
			t.Errorf("span %d is %v, want %v", i, got, want[i])
		}
	}
}

// A number that is none, in any place of a span, ends the pass and names its element.
func TestPassNamesWhatIsNoNumber(t *testing.T) {
	const elements = 900_000
	for _, at := range []int{0, 65_535, 262_144, 500_001, elements - 1} {
		s := counted(t, elements)
		large, _ := s.Tensor("large")
		spoil(t, s, large.Offset+int64(4*at), float32(math.Inf(-1)))
		s, err := Open(s.Files[0].Path) // as it is now
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		p := s.Pass(t.Context(), &Checks{Finite: true}, 1<<20)
		_, err = passOver(t, s, p, 5)
		refused(t, err, s.Files[0].Path, "large", large.Offset+int64(4*at), "is -Inf")
		if _, again := p.Result(); again == nil {
			t.Error("a result all the same")
		}
		p.Stop()
	}
}

// A file that is cut while it is read is an error, and nobody waits for what will not come.
func TestPassEnds(t *testing.T) {
	s := counted(t, 2<<20)
	if err := os.Truncate(s.Files[0].Path, 3<<20); err != nil {
		t.Fatal(err)
	}
	p := s.Pass(t.Context(), &Checks{}, 1<<20)
	defer p.Stop()
	if _, err := passOver(t, s, p, 4); !errors.Is(err, ErrChanged) {
		t.Errorf("truncated: %v", err)
	}

	s = counted(t, 2<<20)
	ctx, cancel := context.WithCancel(t.Context())
	q := s.Pass(ctx, &Checks{}, 1<<20)
	defer q.Stop()
	waiting := make(chan error, 1)
	go func() { waiting <- q.Read(1, make([]byte, 1<<20)) }() // the span before it is never read
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// spoil writes one F32 into a file.
func spoil(t *testing.T, s *Source, at int64, v float32) {
	t.Helper()
	f, err := os.OpenFile(s.Files[0].Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)), at)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
