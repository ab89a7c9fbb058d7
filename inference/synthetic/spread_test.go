package synthetic

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestSpread: what is written in pieces of any size is the file.
func TestSpread(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	want := make([]byte, 5*spreadBytes+12345)
	for i := range want {
		want[i] = byte(r.Uint32())
	}
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := newSpread(f)
	for left := want; len(left) > 0; {
		n := min(len(left), r.IntN(2*spreadBytes))
		if got, err := s.Write(bytes.Clone(left[:n])); err != nil || got != n {
			t.Fatal(got, err)
		}
		left = left[n:]
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

var errFull = errors.New("no room")

type fullDisk struct{}

func (fullDisk) WriteAt([]byte, int64) (int, error) { return 0, errFull }

func TestSpreadFails(t *testing.T) {
	s := newSpread(fullDisk{})
	var first error
	for range 100 { // more than all buffers
		if _, first = s.Write(make([]byte, spreadBytes)); first != nil {
			break
		}
	}
	if err := s.end(); !errors.Is(first, errFull) || !errors.Is(err, errFull) {
		t.Errorf("%v, then %v", first, err)
	}
}
