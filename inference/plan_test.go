package inference

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// TestPlanOfAbsurdSizes: with the largest numbers that config.json and the
// settings may hold no figure of a plan wraps round to one that seems to fit.
func TestPlanOfAbsurdSizes(t *testing.T) {
	ins, err := Inspect("testdata/llama-mha")
	if err != nil {
		t.Fatal(err)
	}
	defer ins.Close()
	ins.Spec.Layers, ins.Spec.KVHeads, ins.Spec.HeadDim = 1<<12, 1, 1<<20
	ins.Spec.Vocab, ins.Spec.MaxPositions = 1<<24, math.MaxInt32
	most := Options{MaxBatch: 4096, MaxContext: 1 << 30, ChunkTokens: 1 << 30, CacheType: tensor.F32}
	for _, available := range []int64{0, 1 << 34, math.MaxInt64} {
		for _, cache := range []int64{0, 1, math.MaxInt64} {
			o := most
			o.Available, o.CacheBytes = available, cache
			p := ins.Plan(o)
			if p.Cache < 1<<40 || p.Scratch < 1<<30 || p.Total() < p.Cache || p.Pages < 1 || p.Context < 1 {
				t.Errorf("available %d, cache %d: %+v, in all %d", available, cache, p, p.Total())
			}
			if cache == 0 && !errors.Is(p.possible(), backend.ErrMemory) {
				t.Errorf("available %d: a plan of %d bytes is possible: %v", available, p.Total(), p.possible())
			}
		}
	}
}

// TestSmallestContexts: two tokens are a prompt of one and an answer of one;
// one token is refused, whoever asked for it, and nothing is left open.
func TestSmallestContexts(t *testing.T) {
	e := openEngine(t, demoModel, Options{MaxContext: 2})
	events, err := e.submit(e.newSequence(context.Background(), Request{ID: "a", MaxTokens: 9}, []int32{5}))
	if err != nil {
		t.Fatal(err)
	}
	if a := collect(t, events); a.err != nil || a.end.TokensIn != 1 || a.end.TokensOut > 1 {
		t.Errorf("%+v %v", a.end, a.err)
	}
	dir := copyModel(t, "testdata/llama-mha")
	file := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	was := strings.Index(string(text), `"max_position_embeddings": `)
	end := was + strings.IndexAny(string(text[was:]), ",\n}")
	short := string(text[:was]) + `"max_position_embeddings": 1` + string(text[end:])
	if err := os.WriteFile(file, []byte(short), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, o := range map[string]Options{demoModel: {MaxContext: 1}, dir: {}} {
		ins, err := Inspect(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load(context.Background(), ins, o); err == nil || !strings.Contains(err.Error(), "a context of 1 token") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestPageBoundaries asks prompts that end just before, at and just after the
// end of a page and of the context, with answers that run into the end, alone
// in a pool of exactly one context and beside others: the ids are the same.
func TestPageBoundaries(t *testing.T) {
	const context = 6 * PageSize
	for _, o := range []Options{
		{Threads: 1}, {Threads: 2, ChunkTokens: 100}, {Threads: 3, CacheType: tensor.BF16}, {Threads: 2, CacheType: tensor.F32},
	} {
		o.MaxContext = context
		roomy := openEngine(t, "testdata/llama-gqa", o)
		o.MaxBatch = 5
		o.CacheBytes = roomy.info.Plan.Cache / int64(roomy.info.Plan.Pages) * 6 // one context exactly
		tight := openEngine(t, "testdata/llama-gqa", o)
		clear(roomy.eos)
		clear(tight.eos)
		check := func(n int, events <-chan Event, want []int32) []int32 {
			a := collect(t, events)
			if a.err != nil || len(a.ids) != context-n || want != nil && !slices.Equal(a.ids, want) {
				t.Errorf("%+v: prompt of %d: %d tokens %v", o, n, len(a.ids), a.err)
			}
			return a.ids
		}
		start := func(e *Engine, n int) <-chan Event {
			ids := make([]int32, n)
			for i := range ids {
				ids[i] = int32(3 + i%40)
			}
			events, err := e.submit(e.newSequence(t.Context(), Request{ID: string(rune(n)), MaxTokens: 10 * context}, ids))
			if err != nil {
				t.Fatal(err)
			}
			return events
		}
		lengths := []int{1, PageSize - 1, PageSize, PageSize + 1, 2*PageSize - 1, 4 * PageSize, 4*PageSize + 1, context - 1}
		alone := map[int][]int32{}
		for _, n := range lengths {
			alone[n] = check(n, start(roomy, n), nil)
		}
		for range 2 {
			streams := map[int]<-chan Event{}
			for _, n := range lengths {
				streams[n] = start(tight, n)
			}
			for _, n := range lengths {
				check(n, streams[n], alone[n])
			}
		}
		if tight.Stats().Preemptions == 0 {
			t.Error("no preemption: the pool is not tight")
		}
	}
}
