package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"llorch/inference"
	"llorch/inference/synthetic"
	"llorch/inference/tensor"
)

// small is a model of a few layers that takes milliseconds a step.
func small(t *testing.T) (string, synthetic.Shape) {
	t.Helper()
	s := synthetic.Shape{Name: "small", Hidden: 128, FFN: 256, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 32, Vocab: 300, Positions: 1024}
	dir := t.TempDir() + "/small"
	if _, err := synthetic.Ensure(dir, s, "bf16"); err != nil {
		t.Fatal(err)
	}
	return dir, s
}

// self is this test binary as a worker.
func self(t *testing.T) *Spawn {
	t.Helper()
	bin, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &Spawn{Bin: bin, Args: []string{"--threads=1", "--kv-cache-mb=4"}, Env: append(os.Environ(), "LLORCH_BENCH_TEST_WORKER=1")}
}

// TestRun measures a model of a few layers and checks that the figures hang
// together; how large they are is the machine's business.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("measures the memory bandwidth, which takes half a gigabyte and seconds")
	}
	dir, s := small(t)
	o := Options{Model: dir, Load: inference.Options{Threads: 2, CacheType: tensor.F32}, Repeats: 1, Tokens: 16, Contexts: []int{600, 1 << 20}, Batches: []int{4}, Prompts: []int{200}}
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	layers, head := s.MatrixParams()
	norms := int64((2*s.Layers + 1) * s.Hidden)
	if want := 2 * (layers + head + norms); r.StepBytes != want {
		t.Errorf("a step reads %d bytes of weights, want %d", r.StepBytes, want)
	}
	if want := int64(2 * 4 * s.Layers * s.KVHeads * s.HeadDim); r.TokenBytes != want {
		t.Errorf("a token of context is %d bytes, want %d: keys and values in F32", r.TokenBytes, want)
	}
	if len(r.Phases) < 3 || r.Phases[0].Name != "open" || r.Load <= 0 {
		t.Errorf("load: %v, %+v", r.Load, r.Phases)
	}
	if len(r.Decode) != 2 || len(r.Prefill) != 1 || len(r.Limits) != 4 || r.Process != nil {
		t.Fatalf("report: %+v", r)
	}
	if d := r.Decode[0]; d.Prompt != 600 || d.Context < 600 || d.Context > 616 || d.Batch != 1 {
		t.Errorf("%+v", d)
	}
	for _, d := range r.Decode {
		want := float64(r.StepBytes) + float64(d.Batch*d.Context)*float64(r.TokenBytes)
		if d.Steps < 7 || d.StepBytes != want || d.Limits.ReadGBs <= 0 || !near(d.GBs, want*d.TokensSec/float64(d.Batch)/1e9) {
			t.Errorf("%+v, want a step of %v bytes", d, want)
		}
	}
	for _, p := range r.Prefill {
		end := int64(s.Heads*s.HeadDim*s.Hidden + 3*s.Hidden*s.FFN + s.Hidden) // of the last layer, behind attention: one row
		want := (float64(p.Tokens)*float64(2*(layers+norms-end)) + float64(2*(end+head))) / 1e9
		if p.Limits.FMAGFlops <= 0 || !near(p.GFlops*float64(p.Tokens)/p.TokensSec, want) {
			t.Errorf("%+v, want %v GFLOP", p, want)
		}
	}
	if r.HTTP <= 0 || r.HTTP > 20*time.Millisecond {
		t.Errorf("HTTP: %v a token", r.HTTP)
	}
	var out bytes.Buffer
	r.Print(&out)
	for _, word := range []string{"4 at once, context 16", "1 at once, context 600", "200 tokens", "of the read limit", "of the f32 FMA limit"} {
		if !strings.Contains(out.String(), word) {
			t.Errorf("the table lacks %q:\n%s", word, out.String())
		}
	}
}

func near(a, b float64) bool { return a > 0.999*b && a < 1.001*b }

func TestProcess(t *testing.T) {
	dir, _ := small(t)
	p, err := measureProcess(t.Context(), Options{Model: dir, Repeats: 1, Spawn: self(t)}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	if p.Ready <= 0 || p.FirstToken <= p.Ready || p.FirstToken > time.Minute {
		t.Errorf("%+v", p)
	}
	if p.Cache < 3<<20 || p.Cache > 4<<20 {
		t.Errorf("cache of %d bytes, the worker was told 4 MiB", p.Cache)
	}
	if readMemory(os.Getpid()).peak == 0 {
		return // a system that does not tell
	}
	if p.Private <= p.Cache || p.Beyond != p.Private-p.Cache || p.Peak < p.Private {
		t.Errorf("%+v", p)
	}
}

func TestAWorkerThatCannotStart(t *testing.T) {
	began := time.Now()
	s := self(t)
	if _, err := s.start(t.Context(), t.TempDir()+"/none"); err == nil || !strings.Contains(err.Error(), "none") || time.Since(began) > time.Minute {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	s.Bin = t.TempDir() + "/no-program"
	if _, err := s.start(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "no-program") {
		t.Errorf("%v", err)
	}
	dir, _ := small(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := self(t).start(ctx, dir); err == nil {
		t.Error("a worker was started for a context that had ended")
	}
}

func TestServe(t *testing.T) {
	dir, _ := small(t)
	s, err := Serve(t.Context(), Options{Model: dir, Spawn: self(t)}, Traffic{Streams: 20, Rate: 200, Tokens: 8, Prompt: 20, TTFT: time.Minute, TPOT: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if s.Completed != 20 || s.Good != 20 || len(s.Errors) > 0 {
		t.Errorf("%+v", s)
	}
	if s.TTFT.P50 <= 0 || s.TTFT.P99 < s.TTFT.P50 || s.Between.P99 < s.Between.P50 || !near(s.TokensSec*s.Wall.Seconds(), 160) || !near(s.GoodTokensSec, s.TokensSec) {
		t.Errorf("%+v", s)
	}
	var out bytes.Buffer
	s.Print(&out)
	if text, err := json.Marshal(s); err != nil || !strings.Contains(string(text), `"good_tokens_per_second"`) || !strings.Contains(out.String(), "completed            20 of 20") {
		t.Errorf("%v %s\n%s", err, text, out.String())
	}
}

func TestCommonSteps(t *testing.T) {
	at := func(ms ...int) (s stream) {
		for _, m := range ms {
			s.at = append(s.at, time.UnixMilli(int64(m)))
		}
		return s
	}
	// The second starts at 30 and the first ends at 65: steps of 10, 11 and 14 ms.
	steps := commonSteps([]stream{at(10, 20, 30, 40, 51, 65), at(30, 40, 51, 65, 70, 80)})
	if want := []time.Duration{10 * time.Millisecond, 11 * time.Millisecond, 14 * time.Millisecond}; !slices.Equal(steps, want) {
		t.Errorf("%v, want %v", steps, want)
	}
	if steps := commonSteps([]stream{at(10, 20), at(30, 40)}); len(steps) > 0 {
		t.Errorf("%v of streams that missed each other", steps)
	}
}

// TestPhases: what a load takes is the sum of its parts, the first before any progress.
func TestPhases(t *testing.T) {
	m := phaseMeter{began: time.Now().Add(-time.Second)}
	for _, name := range []string{"populate", "populate", "place", "warmup", "warmup"} {
		m.step(inference.Progress{Phase: name})
	}
	took, all := m.end()
	var sum time.Duration
	var names []string
	for _, p := range all {
		sum, names = sum+p.Took, append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "open populate place warmup" || sum != took || all[0].Took < time.Second {
		t.Errorf("%v of %v: %+v", sum, took, all)
	}
	if text := phasesText(all); !strings.HasPrefix(text, " (open 1.0") {
		t.Errorf("%q", text)
	}
}

// TestStepBytesOfAQuantisedModel: a step reads what the matrices became, not
// what the files hold.
func TestStepBytesOfAQuantisedModel(t *testing.T) {
	dir, s := small(t)
	ins, err := inference.Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ins.Close()
	layers, head := s.MatrixParams()
	norms := int64((2*s.Layers + 1) * s.Hidden)
	c := costOf(ins, ins.Plan(inference.Options{Quantize: "q8_0"}))
	if want := (layers+head)/32*34 + 2*norms; c.weightBytes != want {
		t.Errorf("a step reads %d bytes of weights, want %d", c.weightBytes, want)
	}
}
