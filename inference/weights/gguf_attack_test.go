package weights

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"llorch/inference/tensor"
)

// TestGGUFKnownAttacks has one file for the idea of each published attack on a
// reader of GGUF files.
func TestGGUFKnownAttacks(t *testing.T) {
	huge := u64(math.MaxUint64)
	for _, c := range []struct {
		attack, reason string
		data           []byte
	}{
		{"CVE-2024-21802: number of dimensions beyond the array that takes them", "dimensions", oneInfo(64, info("t", 0, 0, 1, 1, 1, 1, 1, 1, 1, 1))},
		{"CVE-2024-23605: number of keys times the size of one overflows", "the number of keys", prefixed(0, 1<<60+1, "a", 4, 7)},
		{"CVE-2025-53630: sum of the tensors' sizes overflows", "", padded(prefixed(2, 0, info("t", 24, 0, 1<<62), info("u", 24, 1<<62, 1<<62)), 64)},
		{"CVE-2026-27940: the same with offsets that wrap", "begin at byte", padded(prefixed(2, 0, info("t", 0, 0, 4), info("u", 0, 1<<64-16, 4)), 64)},
		{"CVE-2026-33298: product of dimensions wraps to a small size", "does not fit", oneInfo(64, info("t", 0, 0, 1<<33, 1<<33))},
		{"the padded variant: size fits, padded it does not", "", oneInfo(64, info("t", 24, 0, 1<<63-40))},
		{"CVE-2026-7482: tensor declared past the end of the file", "end beyond the file", oneInfo(16, info("t", 0, 0, 1<<20))},
		{"length of a string plus one overflows", "the length of a string", onePair("a", 8, huge)},
		{"number of elements times size overflows", "the number of elements", onePair("a", 9, 10, u64(1<<61+1), u64(7))},
		{"arrays in arrays exhaust the stack", "an array of arrays", onePair(append([]any{"a", 9}, nested(10000)...)...)},
		{"alignment 0 divides", "no power of two", onePair(alignmentKey, 4, 0)},
	} {
		t.Run(c.attack, func(t *testing.T) {
			path := save(t, t.TempDir(), "m.gguf", c.data)
			took, allocated, err := measure(path)
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%v, want %s", err, c.reason)
			}
			if took > time.Second*slowdown || allocated > 16<<20 {
				t.Errorf("%v, %d bytes allocated", took, allocated)
			}
		})
	}
}

func nested(n int) []any {
	var parts []any
	for range n {
		parts = append(parts, 9, u64(1))
	}
	return parts
}

// TestGGUFBounded parses headers made to be slow or large: at most a second of the
// processor and max(64 MiB, 4 × header) of memory each.
func TestGGUFBounded(t *testing.T) {
	if testing.Short() || slowdown > 1 {
		t.Skip("headers of up to 100 MB, and the race detector's time and memory are not the program's")
	}
	many := func(n int, one func(i int) []byte) []byte {
		var b bytes.Buffer
		for i := range n {
			b.Write(one(i))
		}
		return b.Bytes()
	}
	for _, c := range []struct {
		name, reason string
		data         func() []byte
	}{
		{"as many tensors as allowed", "", func() []byte {
			infos := many(maxTensors, func(i int) []byte { return info(fmt.Sprintf("%07d", i), 0, u64(32*i), 1, 1, 1, 8) })
			return padded(prefixed(maxTensors, 0, infos), 32*maxTensors)
		}},
		{"one more", "the number of tensors", func() []byte { return append(prefixed(maxTensors+1, 0), make([]byte, 50*maxTensors)...) }},
		{"as many keys as allowed", "", func() []byte {
			return padded(prefixed(0, maxPairs, many(maxPairs, func(i int) []byte { return raw(fmt.Sprintf("%07d", i), 4, i) })), 0)
		}},
		{"as many keys as allowed, empty strings", "", func() []byte {
			return padded(prefixed(0, maxPairs, many(maxPairs, func(i int) []byte { return raw(fmt.Sprintf("%07d", i), 8, "") })), 0)
		}},
		{"one more", "the number of keys", func() []byte { return append(prefixed(0, maxPairs+1), make([]byte, 20*maxPairs)...) }},
		{"12 million empty strings", "", func() []byte { return onePair("a", 9, 8, u64(12_000_000), make([]byte, 8*12_000_000)) }},
		{"95 MB of numbers", "", func() []byte { return onePair("a", 9, 0, u64(95_000_000), make([]byte, 95_000_000)) }},
		{"95 MB of bools", "", func() []byte { return onePair("a", 9, 7, u64(95_000_000), make([]byte, 95_000_000)) }},
		{"24 strings of 4 MiB", "", func() []byte {
			return padded(prefixed(0, 23, many(23, func(i int) []byte { return raw(fmt.Sprint(i), 8, strings.Repeat("x", maxText)) })), 0)
		}},
		{"header of more than 100 MB", "that a header may have", func() []byte {
			return onePair("a", 9, 8, u64(10), raw(strings.Repeat("x", 60_000_000), strings.Repeat("x", 39_999_900)), make([]byte, 1000))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := c.data()
			path, size := save(t, t.TempDir(), "m.gguf", data), int64(len(data))
			took, allocated, err := measure(path)
			if (err == nil) != (c.reason == "") || err != nil && !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %.200v, want %q", err, c.reason)
			}
			if took > time.Second {
				t.Errorf("took %v", took)
			}
			if allocated > max(64<<20, 4*size) {
				t.Errorf("allocated %d MB for a file of %d MB", allocated>>20, size>>20)
			}
			t.Logf("%v, %d MB allocated, file %d MB", took, allocated>>20, size>>20)
		})
	}
}

// TestGGUFArrayBounded: reading an array takes at most four times its bytes.
func TestGGUFArrayBounded(t *testing.T) {
	const n = 1_000_000
	path := save(t, t.TempDir(), "m.gguf", onePair("a", 9, 8, u64(n), bytes.Repeat(raw("a"), n)))
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	texts, err := s.Meta.Texts("a")
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	allocated := after.TotalAlloc - before.TotalAlloc
	if allocated > 4*9*n || len(texts) != n || texts[n-1] != "a" {
		t.Errorf("%d bytes allocated for %d of strings; %d strings", allocated, 9*n, len(texts))
	}
}

// TestGGUFFinite puts NaN and ±Inf into every scale of every blocked format, in
// the first block, the last, and one that lies across two slices of the
// examination.
func TestGGUFFinite(t *testing.T) {
	seen := 0
	for _, kind := range ggufTypes {
		if len(kind.dtype.Scales()) == 0 {
			continue
		}
		seen++
		blocks := (examineBlock/kind.bytes + 3) * 2
		spec := Spec{"w", kind.dtype, []int{int(blocks), int(kind.block)}}
		data := written(t, nil, Spec{"before", tensor.F32, []int{8}}, spec, Spec{"z", tensor.F16, []int{16}})
		clear(data[len(data)-32:])
		s, err := Open(save(t, t.TempDir(), "m.gguf", data))
		if err != nil {
			t.Fatal(err)
		}
		w, _ := s.Tensor("w")
		s.Close()
		clear(data[w.Offset : w.Offset+w.Bytes])
		edge := (examineBlock - w.Offset) / kind.bytes // the block across the first border
		for _, block := range []int64{-1, 0, edge, edge + 1, blocks - 1} {
			for _, scale := range kind.dtype.Scales() {
				for bits, name := range map[uint16]string{0x7c00: "+Inf", 0xfc00: "-Inf", 0x7e01: "NaN", 0x7bff: ""} {
					at := w.Offset + max(block, 0)*kind.bytes + int64(scale)
					if block < 0 {
						name = "" // the scale's neighbour: any bits may be there
						at += 2
						if at += int64(len(kind.dtype.Scales())-1) * 2; int64(scale) == kind.bytes-2 {
							at = w.Offset
						}
					}
					data[at], data[at+1] = byte(bits), byte(bits>>8)
					err := examined(t, data)
					data[at], data[at+1] = 0, 0
					if name == "" {
						if err != nil {
							t.Errorf("%s: %v", kind.name, err)
						}
						continue
					}
					want := fmt.Sprintf("the scale of elements %d to %d is %s,", block*kind.block, (block+1)*kind.block-1, name)
					e, ok := err.(*Error)
					if !ok || e.Tensor != "w" || e.Offset != at || !strings.HasPrefix(e.Reason, want) {
						t.Errorf("%s: %v, want byte %d, %s", kind.name, err, at, want)
					}
				}
			}
		}
	}
	if seen != 10 {
		t.Errorf("%d formats with scales, not 10", seen)
	}
}

// examined writes a file and examines it.
func examined(t *testing.T, data []byte) error {
	t.Helper()
	s, err := Open(save(t, t.TempDir(), "m.gguf", data))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Map(); err != nil {
		t.Fatal(err)
	}
	_, err = examine(t, s, Checks{Finite: true})
	return err
}

// TestGGUFParts: header and tensors with the padding behind them are the file.
func TestGGUFParts(t *testing.T) {
	s, err := Open(save(t, t.TempDir(), "m.gguf", written(t, allKinds, Spec{"a", tensor.Q4_0, []int{32}}, Spec{"b", tensor.F32, []int{3}})))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Map(); err != nil {
		t.Fatal(err)
	}
	parts, err := s.Parts(t.Context(), 0)
	if err != nil || len(parts) != 3 {
		t.Fatalf("%v %v", parts, err)
	}
	at := int64(0)
	for i, name := range []string{"", "a", "b"} {
		if parts[i].Tensor != name || parts[i].Offset != at {
			t.Errorf("%+v at %d", parts[i], at)
		}
		at += parts[i].Bytes
	}
	if at != s.FileBytes() {
		t.Errorf("the parts are %d of %d bytes", at, s.FileBytes())
	}
}
