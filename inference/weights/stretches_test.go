package weights

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// pieces keeps what is written, and how long each write was.
type pieces struct {
	all   bytes.Buffer
	sizes []int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.sizes = append(p.sizes, len(b))
	return p.all.Write(b)
}

func TestStretches(t *testing.T) {
	data := make([]byte, 3*stretchBytes+12345)
	r := rand.New(rand.NewPCG(3, 3))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	p := &pieces{}
	s := newStretches(p)
	for left := data; len(left) > 0; { // short ones, and some longer than a stretch
		n := min(len(left), r.IntN(2*stretchBytes)>>r.IntN(20))
		if got, err := s.Write(left[:n]); got != n || err != nil {
			t.Fatal(got, err)
		}
		left = left[n:]
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	for i, n := range p.sizes[:len(p.sizes)-1] {
		if n != stretchBytes {
			t.Errorf("write %d has %d bytes", i, n)
		}
	}
	if len(p.sizes) != 4 || !bytes.Equal(p.all.Bytes(), data) {
		t.Errorf("%d writes, %d bytes, or other ones", len(p.sizes), p.all.Len())
	}

	failing := newStretches(&full{room: stretchBytes})
	if _, err := failing.Write(data); !errors.Is(err, errFull) {
		t.Errorf("a full disk: %v", err)
	}
	last := newStretches(&full{})
	if _, err := last.Write(data[:7]); err != nil {
		t.Error(err)
	}
	if err := last.Flush(); !errors.Is(err, errFull) {
		t.Errorf("a full disk at the end: %v", err)
	}
}
