package inference

import (
	"bytes"
	"context"
	"os"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/weights"
)

// TestCopies: each byte of each placed weight comes once, from its place in the file,
// however the file is cut.
func TestCopies(t *testing.T) {
	s, err := weights.Open("testdata/llama-mha")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	file, err := os.ReadFile(s.Files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{256 << 10, 1 << 20, 64 << 20} {
		w := delivery{pass: s.Pass(t.Context(), nil, size)}
		got := map[*weights.Tensor][]byte{}
		names := s.Names()
		for i, name := range names { // in an order that is not the file's; one is left out
			if from, _ := s.Tensor(name); i > 0 {
				got[from] = make([]byte, from.Bytes)
				w.placed = append(w.placed, placement{from, backend.Tensor{Rows: i}})
			}
		}
		spans, total := w.pass.Spans(), int64(0)
		for i, p := range w.pieces() {
			for _, c := range p.Copies {
				from, _ := s.Tensor(names[c.To.Rows])
				total += int64(copy(got[from][c.At:c.At+int64(c.Bytes)], file[spans[i].From+int64(c.From):]))
			}
		}
		want := int64(0)
		for from, b := range got {
			want += from.Bytes
			if !bytes.Equal(b, file[from.Offset:from.Offset+from.Bytes]) {
				t.Errorf("pieces of %d: %s has other bytes than the file", size, from.Name)
			}
		}
		if total != want {
			t.Errorf("pieces of %d: %d bytes copied, %d are to be", size, total, want)
		}
		w.pass.Stop()
	}
}

// TestDeliveredDigest: a device that takes pieces gets the same digest as one that reads
// the mapping, and a damaged file does not get to it.
func TestDeliveredDigest(t *testing.T) {
	d := newDrill(t)
	files, err := VerifyFiles(context.Background(), "testdata/llama-mha", false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := d.open(t, Options{})
	if got := e.Info().Digest; got != files.Digest || got == "" {
		t.Errorf("digest %q, want %q", got, files.Digest)
	}
	pinned := 0
	for _, left := range d.fake.Left() {
		if left == "pinned memory" {
			pinned++
		}
	}
	if pinned > 2 { // a step's input and its choices
		t.Errorf("%d pieces of memory are pinned after the load", pinned)
	}
	if off := d.open(t, Options{Verify: VerifyOff}).Info().Digest; off != "" {
		t.Errorf("digest %q where nothing is checked", off)
	}
}
