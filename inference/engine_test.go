package inference

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"llorch/inference/sample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const demoModel = "../deploy/demo/model"

// openEngine loads a model for a test and closes it when the test ends.
func openEngine(t testing.TB, path string, o Options) *Engine {
	t.Helper()
	ins, err := Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Load(context.Background(), ins, o)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, e)
	return e
}

// closing closes an engine when the test ends.
func closing(t testing.TB, e *Engine) {
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}

// answer is a whole stream.
type answer struct {
	text string
	ids  []int32
	end  *End
	err  error
}

func ask(t testing.TB, e *Engine, r Request) answer {
	t.Helper()
	events, err := e.Generate(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return collect(t, events)
}

// collect reads a stream and checks its shape: indices in order, one terminal
// event at the end, then nothing.
func collect(t testing.TB, events <-chan Event) (a answer) {
	t.Helper()
	for ev := range events {
		switch {
		case a.end != nil || a.err != nil:
			t.Fatalf("event after the terminal one: %+v", ev)
		case ev.End != nil:
			a.end = ev.End
		case ev.Err != nil:
			a.err = ev.Err
		case ev.Index != len(a.ids):
			t.Fatalf("token %d has index %d", len(a.ids), ev.Index)
		default:
			a.ids, a.text = append(a.ids, ev.ID), a.text+ev.Text
		}
	}
	if a.end == nil && a.err == nil {
		t.Fatal("no terminal event")
	}
	if a.end != nil && a.end.TokensOut != len(a.ids) {
		t.Fatalf("TokensOut %d, %d token events", a.end.TokensOut, len(a.ids))
	}
	return a
}

func drawn(seed uint64) sample.Params {
	return sample.Params{Temperature: 0.9, TopP: 0.95, TopK: 60, RepetitionPenalty: 1.1, Seed: seed}
}

// TestBatchInvariance asks sixteen different requests alone, then all at once
// through pages too few for all, so that some are preempted and recomputed: the
// bytes are the same.
func TestBatchInvariance(t *testing.T) {
	var requests []Request
	for i := range 16 {
		r := Request{ID: fmt.Sprint(i), Prompt: strings.Repeat("The little fox went home. ", i*i/3+1), MaxTokens: 90 + 5*i}
		if i%3 != 0 {
			r.Sampling = drawn(uint64(i))
		}
		requests = append(requests, r)
	}
	roomy := openEngine(t, demoModel, Options{MaxBatch: 16, PrefixCache: PrefixCacheOff})
	tight := openEngine(t, demoModel, Options{MaxBatch: 16, ChunkTokens: 64, Threads: 1,
		CacheBytes: cacheOf(t, demoModel, 16*64)})
	clear(roomy.eos) // every answer has its full length
	clear(tight.eos)
	alone := make([]answer, len(requests))
	for i, r := range requests {
		alone[i] = ask(t, roomy, r)
	}
	for name, e := range map[string]*Engine{"roomy": roomy, "tight": tight} {
		var wg sync.WaitGroup
		for i, r := range requests {
			events, err := e.Generate(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if got := collect(t, events); got.text != alone[i].text || got.err != nil || got.end.Reason != alone[i].end.Reason {
					t.Errorf("%s: request %d: %q %v, alone %q", name, i, got.text, got.err, alone[i].text)
				}
			})
		}
		wg.Wait()
		if s := e.Stats(); s.PagesFree != s.PagesTotal || s.SlotsBusy+s.Queued != 0 {
			t.Errorf("%s: something is still held: %+v", name, s)
		}
	}
	if tight.Stats().Preemptions == 0 {
		t.Error("no request was preempted: the test does not test it")
	}
}

// cacheOf is the size of a model's cache for so many positions.
func cacheOf(t testing.TB, model string, positions int) int64 {
	t.Helper()
	ins, err := Inspect(model)
	if err != nil {
		t.Fatal(err)
	}
	defer ins.Close()
	return int64(pagesFor(positions)) * ins.pageBytes(Options{}.withDefaults().CacheType)
}

func TestCancelAndDeadline(t *testing.T) {
	e := openEngine(t, demoModel, Options{})
	long := Request{ID: "long", Prompt: "Once upon a time", MaxTokens: 2000, Sampling: sample.Params{Temperature: 1, TopP: 1, Seed: 5}}
	for _, c := range []struct {
		name  string
		cause error
		code  Code
	}{{"cancelled", ErrCancelled, CodeCancelled}, {"client gone", nil, CodeCancelled}, {"time-out", ErrTimeout, CodeTimeout}} {
		ctx, cancel := context.WithCancelCause(context.Background())
		events, err := e.Generate(ctx, long)
		if err != nil {
			t.Fatal(err)
		}
		<-events
		cancel(c.cause)
		began := time.Now()
		a := collectFrom(t, events)
		var typed *Error
		if !errors.As(a.err, &typed) || typed.Code != c.code {
			t.Errorf("%s: ended with %v %v", c.name, a.end, a.err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: took %v", c.name, took)
		}
	}
	late := long
	late.Deadline = time.Now().Add(30 * time.Millisecond)
	if a := ask(t, e, late); !errors.Is(a.err, ErrTimeout) {
		t.Errorf("deadline: %v %v", a.end, a.err)
	}
	if s := e.Stats(); s.PagesFree != s.PagesTotal {
		t.Errorf("%d of %d pages free", s.PagesFree, s.PagesTotal)
	}
}

// collectFrom is collect for a stream whose first event is already read.
func collectFrom(t testing.TB, events <-chan Event) answer {
	t.Helper()
	all := make(chan Event, 4096)
	all <- Event{}
	for ev := range events {
		all <- ev
	}
	close(all)
	return collect(t, all)
}

func TestRefusals(t *testing.T) {
	e := openEngine(t, demoModel, Options{MaxBatch: 1, MaxQueue: 1, MaxContext: 128})
	bg := context.Background()
	long := Request{Prompt: "Once upon a time", MaxTokens: 100}
	take := func(id string) (<-chan Event, error) { r := long; r.ID = id; return e.Generate(bg, r) }
	ctxErr := func(err, want error) {
		t.Helper()
		var typed *Error
		if !errors.As(err, &typed) || !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	_, err := e.Generate(bg, Request{ID: "x", Prompt: strings.Repeat("word ", 400), MaxTokens: 1})
	ctxErr(err, ErrTooLong)
	first, err := take("a")
	if err != nil {
		t.Fatal(err)
	}
	_, err = take("a")
	ctxErr(err, ErrDuplicate)
	second, err := take("b")
	if err != nil {
		t.Fatal(err)
	}
	_, err = take("c")
	ctxErr(err, ErrBusy)
	collect(t, first)
	collect(t, second)
	expired, cancel := context.WithCancel(bg)
	cancel()
	third, err := take("a") // the id and the slot are free again
	if err != nil {
		t.Fatal(err)
	}
	report := make(chan DrainReport)
	go func() { report <- e.Drain(expired) }()
	a := collect(t, third)
	if r := <-report; r.Completed+r.Cut != 1 || (r.Cut == 1) != (a.err != nil) {
		t.Errorf("report %+v, the stream ended with %v %v", r, a.end, a.err)
	}
	_, err = take("d")
	ctxErr(err, ErrDraining)
}

// TestStopStrings cuts a greedy text at marks taken from it.
func TestStopStrings(t *testing.T) {
	e := openEngine(t, demoModel, Options{})
	r := Request{ID: "s", Prompt: "Once upon a time", MaxTokens: 60}
	full := ask(t, e, r)
	if len(full.text) < 60 {
		t.Fatalf("the text is too short to test with: %q", full.text)
	}
	for _, cut := range [][2]int{{10, 13}, {5, 6}, {20, 41}} {
		mark := full.text[cut[0]:cut[1]]
		r.Stop = []string{"\x01never", mark}
		a := ask(t, e, r)
		if want := full.text[:strings.Index(full.text, mark)]; a.text != want || a.end.Reason != StopSequence || a.end.Matched != mark {
			t.Errorf("stop %q: %q, want %q; %+v", mark, a.text, want, a.end)
		}
	}
	r.Stop = []string{full.text[len(full.text)-3:] + "\x01"}
	if a := ask(t, e, r); a.text != full.text {
		t.Errorf("withheld text is lost: %q, want %q", a.text, full.text)
	}
}
