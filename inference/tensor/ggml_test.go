package tensor

import "testing"

func TestGGMLNumbers(t *testing.T) {
	want := map[uint32]DType{0: F32, 1: F16, 2: Q4_0, 3: Q4_1, 6: Q5_0, 7: Q5_1, 8: Q8_0,
		10: Q2_K, 11: Q3_K, 12: Q4_K, 13: Q5_K, 14: Q6_K, 30: BF16}
	for id := range uint32(300) {
		d, ok := FromGGML(id)
		if d != want[id] || ok != (d != 0) {
			t.Errorf("%d is %v, %v", id, d, ok)
		}
		if ok && (d.GGML() != id || GGMLName(id) != d.String()) {
			t.Errorf("%v has number %d and name %s", d, d.GGML(), GGMLName(id))
		}
	}
	for id, name := range map[uint32]string{16: "IQ2_XXS", 23: "IQ4_XS", 24: "I8", 4: "Q4_2", 15: "Q8_K", 35: "TQ2_0", 39: "MXFP4", 43: "type 43", 1 << 31: "type 2147483648"} {
		if got := GGMLName(id); got != name {
			t.Errorf("%d is called %q, want %q", id, got, name)
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
