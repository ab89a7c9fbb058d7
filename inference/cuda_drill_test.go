package inference

import (
	"context"
	"errors"
	"sync"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/driver/drivertest"
	"llorch/inference/backend/cuda/nvml"
)

// drill is the CUDA backend over a driver without a GPU that fails on command.
type drill struct {
	fake *drivertest.Fake
	card *drillCard

	mu    sync.Mutex
	calls map[string]int
	fail  func(method string, n int) error // n counts the calls of a method from 1
}

// drillCard is what the management library says.
type drillCard struct {
	mu     sync.Mutex
	fake   *drivertest.Fake
	health nvml.Health
	err    error
}

func (c *drillCard) ProcessBytes(int) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return 500<<20 + c.fake.Used(), c.err
}

func (c *drillCard) Health() nvml.Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.health
}

func newDrill(t *testing.T) *drill {
	fake := drivertest.NewFake()
	d := &drill{fake: fake, card: &drillCard{fake: fake}, calls: map[string]int{}}
	t.Cleanup(func() {
		if left := fake.Left(); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
		if wrong := fake.Wrong(); len(wrong) > 0 {
			t.Errorf("wrong calls: %q", wrong)
		}
	})
	return d
}

func (d *drill) failing(fail func(method string, n int) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail, d.calls = fail, map[string]int{}
}

func (d *drill) ask(method string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls[method]++
	if d.fail == nil {
		return nil
	}
	return d.fail(method, d.calls[method])
}

func (d *drill) load(t *testing.T, o Options) (*Engine, error) {
	t.Helper()
	backend.Register("drill", func(backend.Options) (backend.Device, error) {
		drv := &driver.Injector{Driver: d.fake, Fail: d.ask}
		k, err := cuda.LoadKernels(drv, map[string]string{"none": ""})
		if err != nil {
			return nil, err
		}
		return cuda.New(drv, k, d.card, cuda.DeviceFacts{Name: "drill", Capability: 90})
	})
	ins, err := Inspect("testdata/llama-mha")
	if err != nil {
		t.Fatal(err)
	}
	o.Device, o.MaxContext = "drill", 128
	return Load(context.Background(), ins, o)
}

func (d *drill) open(t *testing.T, o Options) *Engine {
	t.Helper()
	e, err := d.load(t, o)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, e)
	return e
}

// tokens asks for n tokens of a prompt of three and returns their events' number and the stream's error.
func tokens(t *testing.T, e *Engine, id string, n int) (got int, err error) {
	t.Helper()
	return tokensOf(t, e, Request{ID: id, MaxTokens: n})
}

func tokensOf(t *testing.T, e *Engine, r Request) (got int, err error) {
	t.Helper()
	events, err := e.submit(e.newSequence(context.Background(), r, []int32{3, 4, 5}))
	if err != nil {
		return 0, err
	}
	for ev := range events {
		switch {
		case ev.Err != nil:
			err = ev.Err
		case ev.End == nil:
			got++
		}
	}
	return got, err
}

func codeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
