package inference

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cpu"
	"llorch/inference/tensor"
	"llorch/inference/weights"
)

// The goldens come from transformers in float32 (scripts/golden.py); what the
// files hold is described in testdata/README.md.

type golden struct {
	CheckpointPrompt int `json:"checkpoint_prompt"`
	Prompts          []struct {
		IDs             []int32   `json:"ids"`
		HiddenPositions []int     `json:"hidden_positions"`
		Greedy          []int32   `json:"greedy"`
		Margins         []float64 `json:"margins"`
		Text            string    `json:"text"`
		GreedyText      string    `json:"greedy_text"`
	} `json:"prompts"`
	Stop *struct {
		Prompt int     `json:"prompt"`
		IDs    []int32 `json:"ids_until_stop"`
	} `json:"stop"`

	values *weights.Source
}

func readGolden(t testing.TB, dir string) *golden {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	g := &golden{}
	if err := json.Unmarshal(text, g); err != nil {
		t.Fatal(err)
	}
	if g.values, err = weights.Open(filepath.Join(dir, "golden.safetensors")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.values.Close() })
	return g
}

// tensor returns a golden tensor, flat.
func (g *golden) tensor(t testing.TB, name string) []float32 {
	t.Helper()
	x, ok := g.values.Tensor(name)
	if !ok {
		t.Fatalf("golden: no tensor %s", name)
	}
	buf, out := make([]byte, x.Bytes), make([]float32, x.Bytes/4)
	if err := g.values.ReadTensor(x, buf, 0); err != nil {
		t.Fatal(err)
	}
	x.Type.Decode(out, buf)
	return out
}

// goldenModels are the tiny models; there must be some.
func goldenModels(t testing.TB) []string {
	t.Helper()
	found, err := filepath.Glob("testdata/*/golden.json")
	if err != nil || len(found) < 15 {
		t.Fatalf("%d golden models: %v", len(found), err)
	}
	var dirs []string
	for _, f := range found {
		if dir := filepath.Dir(f); filepath.Base(dir) != "demo" {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// variants are the devices that the goldens are run on: plain Go, the CPU in
// portable C and with the best instruction set of this host, the others being held
// against the same bounds by backendtest; or with -short, which is how the race
// detector runs, the one that serves by default. Accelerators that this program is
// built for and that are here come on top; LLORCH_TEST_DEVICE names one kind that is
// to be tested alone.
func variants() []Options {
	if kind := os.Getenv("LLORCH_TEST_DEVICE"); kind != "" {
		return []Options{{Device: kind, Threads: 2}}
	}
	if testing.Short() {
		return []Options{{Device: "cpu", Threads: 2}}
	}
	list := []Options{{Device: "ref"}}
	all := cpu.ISAs()
	for _, isa := range slices.Compact([]string{all[0], all[len(all)-1]}) {
		list = append(list, Options{Device: "cpu", ISA: isa, Threads: 2})
	}
	return append(list, accelerators()...)
}

// accelerators are the devices beside the CPU that this program is built for and
// that are here.
func accelerators() (list []Options) {
	for _, kind := range backend.Kinds() {
		if _, ok := backend.Examine(kind, 0); !ok || kind == "cpu" { // of the rest are ref and what tests register
			continue
		}
		if _, err := Probe(kind, 0); err == nil {
			list = append(list, Options{Device: kind})
		}
	}
	return list
}

// TestGoldens compares hidden states, logits and greedy ids with transformers,
// with the prompt prefilled in chunks of 1, 7, 64 and whole.
func TestGoldens(t *testing.T) {
	for _, dir := range goldenModels(t) {
		g := readGolden(t, dir)
		logits := g.tensor(t, "logits")
		for _, o := range variants() {
			t.Run(fmt.Sprintf("%s/%s%s", filepath.Base(dir), o.Device, o.ISA), func(t *testing.T) {
				r := newRig(t, dir, o)
				for i, p := range g.Prompts {
					want := logits[i*r.spec.Vocab : (i+1)*r.spec.Vocab]
					for _, chunk := range []int{len(p.IDs), 64, 7, 1} {
						if chunk > len(p.IDs) {
							continue
						}
						name := fmt.Sprintf("prompt %d in chunks of %d", len(p.IDs), chunk)
						r.rows = 0
						var last []float32
						for from := 0; from < len(p.IDs); from += chunk {
							last = r.forward(t, p.IDs[from:min(from+chunk, len(p.IDs))], false)
						}
						near(t, name+": logits", last, want, 1e-4*r.slack)
						if chunk == len(p.IDs) {
							r.rows = 0
							last = r.forward(t, p.IDs, false, p.HiddenPositions...)
							near(t, name+": logits beside others", last, want, 1e-4*r.slack)
							r.checkHidden(t, name, g.tensor(t, fmt.Sprintf("hidden.%d", i)), p.HiddenPositions)
							r.checkGreedy(t, name, last, p.Greedy)
						}
					}
				}
			})
		}
	}
}

// TestCheckpoints compares the values inside layer 0.
func TestCheckpoints(t *testing.T) {
	for _, dir := range goldenModels(t) {
		g := readGolden(t, dir)
		for _, o := range variants() {
			t.Run(fmt.Sprintf("%s/%s%s", filepath.Base(dir), o.Device, o.ISA), func(t *testing.T) {
				r := newRig(t, dir, o)
				ids := g.Prompts[g.CheckpointPrompt].IDs
				r.forward(t, ids, false)
				r.checkpoints(t, g, len(ids))
			})
		}
	}
}

func (r *rig) checkpoints(t *testing.T, g *golden, n int) {
	at := func(op string, nth int) []float32 {
		for _, x := range r.taps {
			if x.op == op {
				if nth == 0 {
					return x.vals
				}
				nth--
			}
		}
		t.Fatalf("op %s was not seen", op)
		return nil
	}
	q, kv := r.spec.Heads*r.spec.HeadDim, r.spec.CacheRow()
	cols := func(x []float32, from, to int) (out []float32) {
		for row := range n {
			out = append(out, x[row*(q+2*kv)+from:row*(q+2*kv)+to]...)
		}
		return out
	}
	minus := func(a, b []float32) []float32 {
		out := slices.Clone(a)
		for i := range out {
			out[i] -= b[i]
		}
		return out
	}
	check := func(name string, got []float32, tol float64) {
		near(t, name, got, g.tensor(t, "checkpoint."+name), tol*r.slack)
	}
	embed, attn, block := at("Embed", 0), at("LinearAdd", 0), at("LinearAdd", 1)
	qkv := at("Linear", 0)
	check("norm", at("RMSNorm", 0), 1e-5)
	check("q", cols(qkv, 0, q), 1e-4)
	check("k", cols(qkv, q, q+kv), 1e-4)
	check("v", cols(qkv, q+kv, q+2*kv), 1e-4)
	if _, ok := g.values.Tensor("checkpoint.q_norm"); ok {
		normed := at("HeadNorm", 0)
		check("q_norm", cols(normed, 0, q), 1e-4)
		check("k_norm", cols(normed, q, q+kv), 1e-4)
	}
	check("q_rope", cols(at("RopeStore", 0), 0, q), 1e-4)
	check("k_rope", r.keys(t, n), 1e-4)
	check("attention", minus(attn, embed), 1e-4)
	check("ffn", minus(block, attn), 1e-4)
	check("block", block, 1e-4)
}

// TestGreedyInBatch asks for the greedy ids of all prompts through the engine,
// sixteen at once, with the cache in float32. TestGoldens has each alone, by
// the forward pass itself. Where the device rounds prompts for these weights, the
// ids are held against those of each prompt alone.
func TestGreedyInBatch(t *testing.T) {
	for _, dir := range goldenModels(t) {
		g := readGolden(t, dir)
		for _, o := range variants() {
			t.Run(fmt.Sprintf("%s/%s%s", filepath.Base(dir), o.Device, o.ISA), func(t *testing.T) {
				o.MaxBatch, o.CacheType = 16, tensor.F32
				e := openEngine(t, dir, o)
				clear(e.eos) // the goldens go on after an end
				want := e.greedyWanted(t, dir, g)
				var wg sync.WaitGroup
				for i := range 16 {
					p := g.Prompts[i%len(g.Prompts)]
					q := e.newSequence(context.Background(), Request{ID: fmt.Sprint(i), MaxTokens: len(p.Greedy)}, slices.Clone(p.IDs))
					events, err := e.submit(q)
					if err != nil {
						t.Fatal(err)
					}
					wg.Go(func() {
						if a := collect(t, events); !slices.Equal(a.ids, want[i%len(want)]) {
							t.Errorf("prompt of %d in a batch: %v %v, want %v", len(p.IDs), a.ids, a.err, want[i%len(want)])
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

// greedyWanted are the ids of each prompt: the goldens', or where the device rounds
// prompts for these weights its own.
func (e *Engine) greedyWanted(t *testing.T, dir string, g *golden) (want [][]int32) {
	t.Helper()
	ins, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ins.Close()
	for i, p := range g.Prompts {
		if want = append(want, p.Greedy); !rounds(e.dev, ins) {
			continue
		}
		q := e.newSequence(t.Context(), Request{ID: fmt.Sprint("alone ", i), MaxTokens: len(p.Greedy)}, slices.Clone(p.IDs))
		events, err := e.submit(q)
		if err != nil {
			t.Fatal(err)
		}
		a := collect(t, events)
		if want[i] = a.ids; a.err != nil || len(a.ids) != len(p.Greedy) {
			t.Fatalf("prompt of %d alone: %v %v", len(p.IDs), a.ids, a.err)
		}
	}
	return want
}

// TestEndOfTextList checks that any of several end ids ends a text, as
// generate() of transformers does.
func TestEndOfTextList(t *testing.T) {
	const dir = "testdata/llama-eos-list"
	g := readGolden(t, dir)
	e := openEngine(t, dir, Options{Device: "ref", CacheType: tensor.F32})
	q := e.newSequence(context.Background(), Request{ID: "x", MaxTokens: 32}, slices.Clone(g.Prompts[g.Stop.Prompt].IDs))
	events, err := e.submit(q)
	if err != nil {
		t.Fatal(err)
	}
	want := g.Stop.IDs[:len(g.Stop.IDs)-1] // the end itself is no token of the text
	if a := collect(t, events); a.end == nil || a.end.Reason != StopEOS || !slices.Equal(a.ids, want) {
		t.Errorf("%v %+v, want %v", a.ids, a.end, want)
	}
}

// TestDemoGoldens runs the trained model on text.
func TestDemoGoldens(t *testing.T) {
	g := readGolden(t, "testdata/demo")
	for _, o := range variants() {
		o.CacheType = tensor.F32
		e := openEngine(t, demoModel, o)
		clear(e.eos)
		for i, p := range g.Prompts {
			ids, err := e.encode(p.Text)
			if err != nil || !slices.Equal(ids, p.IDs) {
				t.Fatalf("%q: ids %v %v, want %v", p.Text, ids, err, p.IDs)
			}
			a := ask(t, e, Request{ID: fmt.Sprint(i), Prompt: p.Text, MaxTokens: len(p.Greedy)})
			if !slices.Equal(a.ids, p.Greedy) {
				t.Errorf("%s%s: %q: %v, want %v", o.Device, o.ISA, p.Text, a.ids, p.Greedy)
			}
			if a.text != p.GreedyText {
				t.Errorf("%s%s: %q goes on with %q, want %q", o.Device, o.ISA, p.Text, a.text, p.GreedyText)
			}
		}
	}
}
