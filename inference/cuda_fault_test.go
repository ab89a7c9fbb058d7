package inference

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/nvml"
	"llorch/inference/sample"
)

// Every call of a start may be the one that fails: the load says so, and all that was made is given back.
func TestCUDAStartFailsAtEveryStep(t *testing.T) {
	count := newDrill(t)
	count.open(t, Options{})
	count.mu.Lock()
	steps := maps.Clone(count.calls)
	count.mu.Unlock()
	for _, method := range []string{"MemAlloc", "HostAlloc", "StreamCreate", "EventCreate", "ModuleLoad", "ModuleFunction", "Memset8Async", "CopyHtoDAsync", "Launch", "StreamSynchronize"} {
		if steps[method] == 0 {
			t.Errorf("a start makes no call of %s", method)
		}
		stride := max(1, steps[method]/12) // all allocations, and enough of the rest
		if method == "MemAlloc" || method == "HostAlloc" {
			stride = 1
		}
		for at := 1; at <= steps[method]; at += stride {
			t.Run(fmt.Sprintf("%s/%d", method, at), func(t *testing.T) {
				d, code := newDrill(t), 1
				if strings.HasSuffix(method, "Alloc") {
					code = driver.CodeOutOfMemory
				}
				d.failing(func(m string, n int) error {
					if m == method && n == at {
						return driver.NewError(m, code)
					}
					return nil
				})
				e, err := d.load(t, Options{})
				if err == nil {
					e.Close()
					t.Fatal("loaded all the same")
				}
				if driver.Code(err) != code || method == "MemAlloc" && !errors.Is(err, backend.ErrMemory) {
					t.Error(err)
				}
			})
		}
	}
}

// penalized has the ids that were seen copied for every step.
var penalized = sample.Params{RepetitionPenalty: 1.1}

// Whatever call finds the context lost, streams end with the typed error and no token comes after.
func TestCUDAStickyErrorLatches(t *testing.T) {
	for _, c := range []struct {
		method string
		code   int
		class  string
	}{
		{"Launch", 719, "launch"}, {"GraphLaunch", 700, "kernel"}, {"CopyHtoDAsync", 214, "ecc"}, {"EventSynchronize", 702, "timeout"},
		{"EventSynchronize", 715, "kernel"},
		{"EventRecord", 716, "kernel"}, {"Launch", 220, "nvlink"}, {"CaptureBegin", 700, "kernel"}, {"GraphInstantiate", 999, "driver"},
	} {
		t.Run(c.method, func(t *testing.T) {
			d := newDrill(t)
			told := make(chan error, 1)
			e := d.open(t, Options{Faulted: func(err error) { told <- err }})
			at := 1
			if c.method == "CopyHtoDAsync" || c.method == "EventSynchronize" || c.method == "GraphLaunch" {
				at = 6 // in mid-stream
			}
			d.failing(func(m string, n int) error {
				if m == c.method && n >= at && n < at+1 {
					return driver.NewError(m, c.code)
				}
				return nil
			})
			got, err := tokensOf(t, e, Request{ID: "a", MaxTokens: 40, Sampling: penalized})
			if codeOf(err) != CodeUnhealthy || got >= 40 {
				t.Fatalf("%d tokens, then %v", got, err)
			}
			if FaultClass(e.Fault()) != c.class || FaultClass(<-told) != c.class {
				t.Errorf("class %q, not %q", FaultClass(e.Fault()), c.class)
			}
			if n, err := tokens(t, e, "b", 4); n != 0 || codeOf(err) != CodeUnhealthy {
				t.Errorf("after the fault: %d tokens, %v", n, err)
			}
			if _, err := e.Observe(t.Context()); !backend.IsFault(err) {
				t.Errorf("observed after the fault: %v", err)
			}
		})
	}
}

// Memory that does not suffice, or a call that fails otherwise, is the request's trouble and not the worker's.
func TestCUDAFailureOfOneRequest(t *testing.T) {
	for _, c := range []struct {
		method string
		code   int
		want   Code
	}{
		{"Launch", driver.CodeOutOfMemory, CodeOutOfMemory}, {"GraphLaunch", driver.CodeOutOfMemory, CodeOutOfMemory},
		{"Launch", 1, CodeInferenceFailed}, {"GraphLaunch", 1, CodeInferenceFailed}, {"CopyHtoDAsync", 1, CodeInferenceFailed},
		{"CaptureEnd", 901, CodeInferenceFailed}, {"GraphInstantiate", driver.CodeOutOfMemory, ""}, // it goes on without a graph
	} {
		t.Run(fmt.Sprintf("%s/%d", c.method, c.code), func(t *testing.T) {
			d := newDrill(t)
			e := d.open(t, Options{})
			d.failing(func(m string, n int) error {
				if m == c.method && n == 1 {
					return driver.NewError(m, c.code)
				}
				return nil
			})
			if got, err := tokensOf(t, e, Request{ID: "a", MaxTokens: 20, Sampling: penalized}); codeOf(err) != c.want || (c.want == "") != (got == 20) {
				t.Errorf("%d tokens, then %v", got, err)
			}
			if got, err := tokens(t, e, "b", 20); got != 20 || err != nil {
				t.Errorf("the next request: %d tokens, then %v", got, err)
			}
			if e.Fault() != nil {
				t.Error(e.Fault())
			}
		})
	}
}

// A launch that fails while a graph is recorded must not leave a graph without it.
func TestCUDAGraphIsWholeOrNone(t *testing.T) {
	d := newDrill(t)
	e := d.open(t, Options{})
	capturing, launches, whole := false, 0, map[int]bool{}
	d.failing(func(m string, n int) error {
		switch m {
		case "CaptureBegin":
			capturing, launches = true, 0
		case "CaptureEnd":
			capturing = false
		case "GraphInstantiate":
			whole[launches] = true
		case "Launch":
			if capturing {
				if launches++; n%50 == 3 || launches == 4 && len(whole) == 0 {
					whole[-1] = true // keeps the second try from failing, too
					return driver.NewError(m, 1)
				}
			}
		}
		return nil
	})
	if _, err := tokens(t, e, "a", 20); err == nil {
		t.Error("no launch failed")
	}
	if got, err := tokens(t, e, "b", 20); got != 20 || err != nil {
		t.Errorf("%d tokens, then %v", got, err)
	}
	delete(whole, -1)
	if len(whole) != 1 || whole[4] {
		t.Errorf("graphs of so many launches: %v", whole)
	}
}

// Another process has taken the memory since the plan was made.
func TestCUDAMemoryIsTaken(t *testing.T) {
	d := newDrill(t)
	d.fake.Capacity = 1 << 20
	if _, err := d.load(t, Options{}); !errors.Is(err, backend.ErrMemory) || !strings.Contains(err.Error(), "bytes of") {
		t.Errorf("%v", err)
	}
}

// What the driver, the library and the card say is passed on as it is, during a stream as well.
func TestCUDAObserves(t *testing.T) {
	d := newDrill(t)
	e := d.open(t, Options{})
	if !e.OwnMemory() {
		t.Fatal("no memory of its own")
	}
	events, err := e.submit(e.newSequence(context.Background(), Request{ID: "a", MaxTokens: 100}, []int32{3}))
	if err != nil {
		t.Fatal(err)
	}
	o, err := e.Observe(t.Context())
	if err != nil || o.Err != nil || o.Process != 500<<20+d.fake.Used() || o.Context != 500<<20 || o.Uncorrected != 0 || len(o.Placed) < 20 {
		t.Errorf("%+v %v", o.Occupancy, err)
	}
	for range events {
	}
	uses := map[backend.Use]int64{}
	for _, p := range o.Placed {
		uses[p.Use] += p.Bytes
		if !p.Place.Device || p.Place.Start != p.Addr || p.Place.Bytes != p.Bytes || p.Err != nil {
			t.Errorf("%+v", p)
		}
	}
	if held := e.Info().Held; uses[backend.Weights] != held[backend.Weights] || uses[backend.Cache] != held[backend.Cache] {
		t.Errorf("%v, not %v", uses, held)
	}
	d.card.mu.Lock()
	d.card.err, d.card.health = &nvml.Error{Code: nvml.CodeGPUIsLost, Text: "GPU is lost", Call: "nvml"}, nvml.Health{Uncorrected: 2}
	d.card.mu.Unlock()
	if o, err = e.Observe(t.Context()); err != nil || o.Err == nil || !strings.Contains(o.Err.Error(), "fell off the bus") || o.Uncorrected != 2 || o.Card.Uncorrected != 2 {
		t.Errorf("%+v %v", o.Occupancy, err)
	}
}

// A context that is lost while nobody computes is found by the next check, and latched.
func TestCUDAFaultIsFoundIdle(t *testing.T) {
	d := newDrill(t)
	e := d.open(t, Options{})
	d.failing(func(m string, _ int) error {
		if slices.Contains([]string{"PointerInfo", "StreamSynchronize"}, m) {
			return driver.NewError(m, 700)
		}
		return nil
	})
	if o, err := e.Observe(t.Context()); err == nil && o.Placed[0].Err == nil {
		t.Error("nothing was found")
	}
	<-e.Faulted()
	if n, err := tokens(t, e, "a", 3); n != 0 || codeOf(err) != CodeUnhealthy {
		t.Errorf("%d tokens, %v", n, err)
	}
}
