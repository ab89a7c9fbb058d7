package weights

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"llorch/inference/tensor"
)

// counted writes a file of two tensors whose float32 count up, and opens it.
func counted(t *testing.T, elements int) *Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), singleName)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	specs := []Spec{{"small", tensor.BF16, []int{3}}, {"large", tensor.F32, []int{elements}}}
	err = WriteSafeTensors(f, specs, func(i int, w io.Writer) error {
		if i == 0 {
			_, err := w.Write([]byte{1, 2, 3, 4, 5, 6})
			return err
		}
		b := make([]byte, 0, 4*elements)
		for j := range elements {
			b = binary.LittleEndian.AppendUint32(b, uint32(j))
		}
		_, err := w.Write(b)
		return err
	})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestMap(t *testing.T) {
	s := counted(t, 10_000)
	if len(s.Regions()) != 0 {
		t.Error("regions before Map")
	}
	if err := s.Populate(context.Background(), nil, nil); err == nil {
		t.Error("Populate before Map")
	}
	for range 2 { // a second Map changes nothing
		if err := s.Map(); err != nil {
			t.Fatal(err)
		}
	}
	r := s.Regions()
	if len(r) != 1 || r[0].Bytes != s.FileBytes() || r[0].Addr == 0 || r[0].File != s.Files[0].Path {
		t.Errorf("regions %+v", r)
	}
	large, _ := s.Tensor("large")
	small, _ := s.Tensor("small")
	if !bytes.Equal(small.Data, []byte{1, 2, 3, 4, 5, 6}) || len(large.Data) != 40_000 || cap(large.Data) != 40_000 {
		t.Errorf("small %v, large %d bytes", small.Data, len(large.Data))
	}
	for j := range 10_000 {
		if binary.LittleEndian.Uint32(large.Data[4*j:]) != uint32(j) {
			t.Fatalf("element %d", j)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if large.Data != nil || len(s.Regions()) != 0 {
		t.Error("data after Close")
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestReadTensor(t *testing.T) {
	s := counted(t, 10)
	large, _ := s.Tensor("large")
	p := make([]byte, 8)
	if err := s.ReadTensor(large, p, 32); err != nil || binary.LittleEndian.Uint64(p) != 9<<32|8 {
		t.Errorf("%v %v", p, err)
	}
	for _, off := range []int64{33, -1, 1<<63 - 1} {
		err := s.ReadTensor(large, p, off)
		refused(t, err, s.Files[0].Path, "large", -1, "were asked for")
	}
	if err := os.Truncate(s.Files[0].Path, large.Offset+36); err != nil {
		t.Fatal(err)
	}
	if err := s.ReadTensor(large, p, 32); !errors.Is(err, ErrChanged) {
		t.Errorf("truncated: %v", err)
	}
}

func TestPopulate(t *testing.T) {
	s := counted(t, 1<<20)
	if err := s.Map(); err != nil {
		t.Fatal(err)
	}
	var seen []int64
	err := s.Populate(context.Background(), nil, func(done, total int64) {
		if total != s.FileBytes() {
			t.Errorf("total %d", total)
		}
		seen = append(seen, done)
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(seen) || seen[0] != 0 || seen[len(seen)-1] != s.FileBytes() {
		t.Errorf("progress %v of %d", seen, s.FileBytes())
	}
	f := &s.Files[0]
	if err := f.readThrough(0, f.Size); err != nil { // what systems without populate do
		t.Error(err)
	}
	if err := f.readThrough(0, f.Size+1); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("beyond the end: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Populate(ctx, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestPopulateTruncated: the pages are gone, and the process is not.
func TestPopulateTruncated(t *testing.T) {
	s := counted(t, 1<<20)
	if err := s.Map(); err != nil {
		t.Fatal(err)
	}
	path := s.Files[0].Path
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	err := s.Populate(context.Background(), nil, nil)
	refused(t, err, path, "", -1, "truncated from")
	if !errors.Is(err, ErrChanged) {
		t.Errorf("%v is not ErrChanged", err)
	}
	if err := s.Files[0].readThrough(0, s.Files[0].Size); !errors.Is(err, ErrChanged) {
		t.Errorf("reading instead: %v", err)
	}
}

func TestChanged(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		change       func(path string) error
	}{
		{"truncated", "truncated from", func(p string) error { return os.Truncate(p, 100) }},
		{"grown", "grown from", func(p string) error { return os.Truncate(p, 1<<20) }},
		{"written to", "written to at", func(p string) error {
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte{0xff}, 200)
			later := time.Now().Add(time.Second) // whatever the clock's resolution
			return errors.Join(err, f.Close(), os.Chtimes(p, later, later))
		}},
		{"replaced", "replaced by another file", func(p string) error {
			data, err := os.ReadFile(p)
			return errors.Join(err, os.WriteFile(p+"x", data, 0o600), os.Rename(p+"x", p))
		}},
		{"removed", "leads nowhere", os.Remove},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := counted(t, 100)
			if err := s.Changed(); err != nil {
				t.Fatalf("at once: %v", err)
			}
			path := s.Files[0].Path
			if err := c.change(path); err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{s.Changed(), s.Map()} {
				refused(t, err, path, "", -1, c.reason)
				if !errors.Is(err, ErrChanged) {
					t.Errorf("%v is not ErrChanged", err)
				}
			}
			if len(s.Regions()) != 0 {
				t.Error("mapped all the same")
			}
		})
	}
}

// TestSparse opens a file of 1 TiB that takes no room: Open must cost nothing
// that grows with the tensors.
func TestSparse(t *testing.T) {
	const size = 1 << 40
	json := pad(`{"a":{"dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776]}}`)
	path := save(t, t.TempDir(), singleName, file(json, 0))
	if err := os.Truncate(path, int64(8+len(json))+size); err != nil {
		t.Skip(err)
	}
	took, allocated, err := measure(path)
	if err != nil || allocated > 1<<20 || took > time.Second*slowdown {
		t.Errorf("%v, %d bytes, %v", took, allocated, err)
	}
}
