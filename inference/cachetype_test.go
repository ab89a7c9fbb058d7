package inference

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

func TestCacheTypeNames(t *testing.T) {
	for name, want := range map[string]tensor.DType{"f16": tensor.F16, "BF16": tensor.BF16, "f32": tensor.F32, "q8_0": tensor.Q8_0} {
		if got, err := CacheType(name); err != nil || got != want {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	for _, name := range []string{"", "q4_0", "f8"} {
		if _, err := CacheType(name); err == nil || !strings.Contains(err.Error(), "give f16, bf16, f32 or q8_0") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestCacheOfBlocks: a head that is no whole number of blocks is refused, before
// anything is allocated, by the name of the setting; one that is takes 34 bytes
// where f16 takes 64.
func TestCacheOfBlocks(t *testing.T) {
	ins, err := Inspect("testdata/llama-mha") // heads of 16
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(context.Background(), ins, Options{Device: "ref", CacheType: tensor.Q8_0}); err == nil ||
		!strings.Contains(err.Error(), "kv_dtype q8_0 has blocks of 32 elements, the heads of this model have 16: choose f16 or bf16") {
		t.Errorf("%v", err)
	}
	ins, err = Inspect(demoModel) // heads of 32
	if err != nil {
		t.Fatal(err)
	}
	defer ins.Close()
	f16, q8 := ins.pageBytes(tensor.F16), ins.pageBytes(tensor.Q8_0)
	if f16*34 != q8*64 {
		t.Errorf("a page is %d bytes in f16, %d in q8_0", f16, q8)
	}
}

// TestQuantisedCache: the trained model, with its cache in int8 blocks, goes on
// nearly everywhere as it does in float32, on every device.
func TestQuantisedCache(t *testing.T) {
	g := readGolden(t, "testdata/demo")
	for _, o := range variants() {
		o.CacheType = tensor.Q8_0
		e := openEngine(t, demoModel, o)
		clear(e.eos)
		same, all := 0, 0
		for i, p := range g.Prompts {
			a := ask(t, e, Request{ID: fmt.Sprint(i), Prompt: p.Text, MaxTokens: len(p.Greedy)})
			if a.err != nil || len(a.ids) != len(p.Greedy) {
				t.Fatalf("%s%s: %q: %d tokens, %v", o.Device, o.ISA, p.Text, len(a.ids), a.err)
			}
			n := 0
			for n < len(a.ids) && a.ids[n] == p.Greedy[n] {
				n++
			}
			same, all = same+n, all+len(a.ids)
		}
		t.Logf("%s%s: %d of %d ids before the first other one", o.Device, o.ISA, same, all)
		if same*10 < all*9 {
			t.Errorf("%s%s: only %d of %d ids are those of a float32 cache", o.Device, o.ISA, same, all)
		}
		if held := e.dev.Held()[backend.Cache]; held != e.info.Plan.Cache {
			t.Errorf("%s%s: the cache takes %d bytes, planned were %d", o.Device, o.ISA, held, e.info.Plan.Cache)
		}
	}
}
