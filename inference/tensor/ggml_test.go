package tensor

import "testing"

// TestGGMLNumbers: the numbers of the published enumeration.
func TestGGMLNumbers(t *testing.T) {
	want := map[DType]uint32{F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q5_0: 6, Q5_1: 7, Q8_0: 8, Q2_K: 10, Q3_K: 11, Q4_K: 12, Q5_K: 13, Q6_K: 14, BF16: 30}
	for d := F32; d.Known(); d++ {
		if id, ok := want[d]; !ok || d.GGML() != id {
			t.Errorf("%v has number %d, want %d", d, d.GGML(), id)
		}
	}
}

func TestNames(t *testing.T) {
	for d := F32; d <= Q6_K; d++ {
		if got, ok := ParseName(d.String()); !ok || got != d || !d.Known() {
			t.Errorf("%v parses as %v, %v", d, got, ok)
		}
		if got, ok := Parse(d.String()); ok != (d <= BF16) || ok && got != d {
			t.Errorf("as a SafeTensors spelling %v is %v, %v", d, got, ok)
		}
	}
	if d, ok := ParseName("q4_k"); !ok || d != Q4_K {
		t.Errorf("q4_k is %v, %v", d, ok)
	}
	for _, name := range []string{"", "Q4_K_M", "IQ4_XS", "q9_0", "bf16"} {
		if d, ok := Parse(name); ok {
			t.Errorf("%q was parsed as %v", name, d)
		}
		if d, ok := ParseName(name); ok && name != "bf16" {
			t.Errorf("%q was parsed as %v", name, d)
		}
	}
	if DType(0).Known() || (Q6_K + 1).Known() {
		t.Error("a number that is no format is known")
	}
}
