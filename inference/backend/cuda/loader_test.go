package cuda

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/driver/drivertest"
	"llorch/inference/tensor"
)

// fileOf is bytes cut into pieces whose parts go to three weights, with bytes between
// them that go nowhere.
func fileOf(t *testing.T, d *Device) (file []byte, weights []backend.Tensor, at []int, pieces []backend.Piece) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	file = make([]byte, 3<<20)
	for i := range file {
		file[i] = byte(r.Uint32())
	}
	next := 100
	for _, rows := range []int{1, 700, 33} {
		w, err := d.Alloc(backend.Weights, tensor.BF16, rows, 1000)
		if err != nil {
			t.Fatal(err)
		}
		weights, at, next = append(weights, w), append(at, next), next+w.Bytes()+52
	}
	const size = 100_000
	for from := 0; from < len(file); from += size {
		p := backend.Piece{Bytes: min(size, len(file)-from)}
		for i, w := range weights {
			if a, b := max(from, at[i]), min(from+p.Bytes, at[i]+w.Bytes()); a < b {
				p.Copies = append(p.Copies, backend.Copy{From: a - from, Bytes: b - a, To: w, At: int64(a - at[i])})
			}
		}
		pieces = append(pieces, p)
	}
	return file, weights, at, pieces
}

// TestFill: whatever the order in which reads end, weights have their bytes, and no slot
// is written before it was copied.
func TestFill(t *testing.T) {
	d := openFake(t, drivertest.NewFake(), func(string) error { return nil })
	file, weights, at, pieces := fileOf(t, d)
	arrived := 0
	err := d.Fill(pieces, func(i int, into []byte) error {
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
		copy(into, file[i*100_000:])
		return nil
	}, func(n int) { arrived += n })
	if err != nil || arrived != len(file) {
		t.Fatalf("%d of %d bytes, %v", arrived, len(file), err)
	}
	for i, w := range weights {
		got := make([]byte, w.Bytes())
		d.Download(got, w)
		if err := d.Sync(); err != nil || !bytes.Equal(got, file[at[i]:at[i]+len(got)]) {
			t.Errorf("weight %d is not what the file has: %v", i, err)
		}
	}
	if w, err := d.Place(tensor.BF16, 1, 1000, file[:2000]); err != nil { // the ring comes back
		t.Errorf("%v: %v", w, err)
	}
}

// TestFillFails: the error of a read, or of a call of the driver, comes out, and nobody
// reads when it has.
func TestFillFails(t *testing.T) {
	broken := errors.New("a bad sector")
	for _, failing := range []string{"", "CopyHtoDAsync", "EventSynchronize", "EventRecord", "HostAlloc"} {
		calls := 0
		fake, filling := drivertest.NewFake(), false
		d := openFake(t, fake, func(method string) error {
			if !filling || method != failing {
				return nil
			}
			if calls++; calls == 5 {
				return driver.NewError(method, driver.CodeOutOfMemory)
			}
			return nil
		})
		file, _, _, pieces := fileOf(t, d)
		var under atomic.Int64
		filling = true
		err := d.Fill(pieces, func(i int, into []byte) error {
			under.Add(1)
			defer under.Add(-1)
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
			if failing == "" && i == 17 {
				return broken
			}
			copy(into, file[i*100_000:])
			return nil
		}, func(int) {})
		if n := under.Load(); err == nil || n != 0 {
			t.Errorf("%s: %v, %d reads under way", failing, err, n)
		}
		if failing == "" && !errors.Is(err, broken) || failing != "" && (!errors.Is(err, backend.ErrMemory) || !strings.Contains(err.Error(), failing)) {
			t.Errorf("%s: %v", failing, err)
		}
		filling = false
	}
}
