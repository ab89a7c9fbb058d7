package weights

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/zeebo/xxh3"
	"pgregory.net/rapid"
)

// examine runs the whole pass of a load.
func examine(t *testing.T, s *Source, c Checks) ([]Sums, error) {
	t.Helper()
	if err := s.Map(); err != nil {
		t.Fatal(err)
	}
	x := s.Examine(t.Context(), c)
	defer x.Stop()
	if err := s.Populate(t.Context(), x, nil); err != nil {
		return nil, err
	}
	return x.Result()
}

// The digests are those that other tools compute of the whole file, and the
// parts are the whole file.
func TestExamineSums(t *testing.T) {
	s := counted(t, populateSlice/4+12345) // over the edge of a slice, and of a block
	sums, err := examine(t, s, Checks{SHA256: true, Finite: true})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.Files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	fast, slow := xxh3.Hash128(data).Bytes(), sha256.Sum256(data)
	if want := (Sums{hex.EncodeToString(fast[:]), hex.EncodeToString(slow[:])}); sums[0] != want {
		t.Errorf("%+v, want %+v", sums[0], want)
	}
	parts, err := s.Parts(t.Context(), 0)
	if err != nil || len(parts) != 3 {
		t.Fatalf("%+v %v", parts, err)
	}
	var end int64
	for _, p := range parts {
		sum := xxh3.Hash128(data[p.Offset : p.Offset+p.Bytes]).Bytes()
		if p.Offset != end || p.XXH3 != hex.EncodeToString(sum[:]) {
			t.Errorf("%+v after byte %d", p, end)
		}
		end += p.Bytes
	}
	if end != int64(len(data)) {
		t.Errorf("the parts end at %d of %d", end, len(data))
	}
}

// The published digest of nothing fixes which half comes first.
func TestSumFileIsCanonical(t *testing.T) {
	sum, size, err := SumFile(save(t, t.TempDir(), "empty", nil), 1)
	if err != nil || size != 0 || sum.XXH3 != "99aa06d3014798d86001c324468d497f" {
		t.Errorf("%+v, %d bytes, %v", sum, size, err)
	}
}

// A file that is cut while it is read is an error and not the end of the process.
func TestExamineTruncated(t *testing.T) {
	s := counted(t, 1<<20)
	if err := s.Map(); err != nil {
		t.Fatal(err)
	}
	x := s.Examine(t.Context(), Checks{Finite: true})
	defer x.Stop()
	if err := os.Truncate(s.Files[0].Path, 8192); err != nil {
		t.Fatal(err)
	}
	// Populate had seen it before; it may hear of the loss already.
	if err := x.arrived(Span{0, 0, s.Files[0].Size}); err != nil && !errors.Is(err, ErrChanged) {
		t.Fatal(err)
	}
	_, err := x.Result()
	refused(t, err, s.Files[0].Path, "", any64, "truncated")
	if _, err := s.Parts(t.Context(), 0); !errors.Is(err, ErrChanged) {
		t.Errorf("parts: %v", err)
	}
}

func TestExamineEnds(t *testing.T) {
	s := counted(t, 1<<20)
	if err := s.Map(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	x := s.Examine(ctx, Checks{})
	cancel()
	if _, err := x.Result(); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	x = s.Examine(t.Context(), Checks{})
	x.Stop() // nothing ever arrives
}

func TestExamineNamesWhatIsNoNumber(t *testing.T) {
	for _, c := range []struct {
		element int
		bits    uint32
		want    string
	}{{0, math.Float32bits(float32(math.NaN())), "NaN"}, {99_999, 0x7f80_0000, "+Inf"}, {70_000, 0xff80_0000, "-Inf"}, {5, 0xff80_0001, "NaN"}} {
		s := counted(t, 100_000)
		large, _ := s.Tensor("large")
		f, err := os.OpenFile(s.Files[0].Path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		at := large.Offset + int64(4*c.element)
		_, err = f.WriteAt(binary.LittleEndian.AppendUint32(nil, c.bits), at)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		s, err = Open(s.Files[0].Path) // as it is now
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, err = examine(t, s, Checks{Finite: true})
		refused(t, err, s.Files[0].Path, "large", at, fmt.Sprintf("element %d of its 100000 is %s", c.element, c.want))
		if _, err = examine(t, s, Checks{}); err != nil {
			t.Errorf("not asked for: %v", err)
		}
	}
}

// search finds the first full exponent of any content, as a plain loop does.
func TestSearch(t *testing.T) {
	plain := map[string]func(b []byte) bool{
		"F16": func(b []byte) bool { return binary.LittleEndian.Uint16(b)&0x7c00 == 0x7c00 },
		"BF16": func(b []byte) bool {
			return notFinite(float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)))
		},
		"F32": func(b []byte) bool { return notFinite(float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))) },
		"F64": func(b []byte) bool { return notFinite(math.Float64frombits(binary.LittleEndian.Uint64(b))) },
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"F16", "BF16", "F32", "F64"}).Draw(t, "format")
		format := floatFormats[name]
		size := format.bits / 8
		b := make([]byte, size*rapid.IntRange(0, 3*sieve/size).Draw(t, "elements"))
		fill := rapid.SampledFrom([]byte{0, 0x3c, 0x7b, 0x7f, 0xbf, 0xff}).Draw(t, "fill")
		for i := range b {
			if i%size != size-1 || fill != 0xff { // so that some have no full exponent at all
				b[i] = fill
			}
			if name != "F16" && i%size == size-2 {
				b[i] &= 0x6f
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "specials") {
			if len(b) > 0 {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			}
		}
		want := -1
		for at := 0; at < len(b) && want < 0; at += size {
			if plain[name](b[at : at+size]) {
				want = at
			}
		}
		if got := format.search(b); got != want {
			t.Fatalf("%s: byte %d, want %d", name, got, want)
		}
	})
}

func notFinite(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }

// The largest and smallest finite values pass.
func TestSearchPassesFinite(t *testing.T) {
	for name, bits := range map[string][]uint64{
		"F16": {0x7bff, 0xfbff, 0x0001, 0x8000}, "BF16": {0x7f7f, 0xff7f, 0x0001, 0x8000},
		"F32": {0x7f7f_ffff, 0xff7f_ffff, 1, 1 << 31}, "F64": {0x7fef_ffff_ffff_ffff, 0xffef_ffff_ffff_ffff, 1, 1 << 63},
	} {
		var b []byte
		for i := range 4 * sieve {
			var w [8]byte
			binary.LittleEndian.PutUint64(w[:], bits[i%len(bits)])
			b = append(b, w[:floatFormats[name].bits/8]...)
		}
		if at := floatFormats[name].search(b); at >= 0 {
			t.Errorf("%s: byte %d: % x", name, at, b[at:at+8])
		}
	}
}

// However many goroutines read, of several weights that are no numbers the first one is
// told.
func TestExamineTellsTheFirst(t *testing.T) {
	const elements = 8 * examineBlock / 4
	s := counted(t, elements)
	if err := s.Map(); err != nil {
		t.Fatal(err)
	}
	large, _ := s.Tensor("large")
	f, err := os.OpenFile(s.Files[0].Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, element := range []int{elements - 100, 5 * elements / 8, elements / 2, 3} { // each before those that were spoiled before it
		at := large.Offset + int64(4*element)
		if _, err := f.WriteAt([]byte{0, 0, 0xc0, 0x7f}, at); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			x := s.Examine(t.Context(), Checks{Finite: true})
			_ = x.arrived(Span{0, 0, s.Files[0].Size})
			_, err := x.Result()
			x.Stop()
			refused(t, err, s.Files[0].Path, "large", at, fmt.Sprintf("element %d of its", element))
		}
	}
}
