package agent

import (
	"context"
	"errors"
	"strings"
	"testing"

	"llorch/inference"
	"llorch/inference/backend"
	"llorch/inference/tensor"
	"llorch/residency"
)

// fakeMemory is a device with memory of its own, as its driver tells of it.
type fakeMemory struct {
	o     inference.Observation
	err   error
	asked int
}

func (f *fakeMemory) Observe(context.Context) (inference.Observation, error) {
	f.asked++
	return f.o, f.err
}

func onDevice(t *testing.T) (*worker, *fakeMemory, *fixture) {
	t.Helper()
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	region := backend.Region{Use: backend.Weights, Addr: 1 << 40, Bytes: 1 << 21}
	m := &fakeMemory{o: inference.Observation{Context: 500 << 20, Page: 2 << 20, Placed: []backend.Placed{
		{Region: region, Place: backend.Place{Device: true, Start: region.Addr, Bytes: region.Bytes}},
	}}}
	m.o.Process = 503 << 20
	files := &filesOf{errors.New("the files of what was copied are nobody's business")}
	return &worker{machine: f.machine, metrics: f.server.metrics, server: f.server, log: f.server.log, device: m, source: files}, m, f
}

// What the driver says of a device shows where that of the host does.
func TestDeviceResidencyIsTold(t *testing.T) {
	w, _, f := onDevice(t)
	if err := w.recheck(t.Context(), "timer"); err != nil || !f.machine.Resident() {
		t.Fatal(err)
	}
	want := `"resident_bytes":{"context":524288000,"graphs":0,"padding":0,"unexplained":1048576,"weights":2097152},"device_process_bytes":527433728`
	if got := text(t, f.do("GET", "/health", "")); !strings.Contains(got, want) {
		t.Error(got)
	}
	f.value("llorch_resident_bytes", "context", 500<<20)
	f.value("llorch_device_process_bytes", "", 503<<20)
}

// What a card measures of itself is in /metrics, and nothing is where it does not say.
func TestCardIsTold(t *testing.T) {
	w, m, f := onDevice(t)
	m.o.Card = inference.Card{Corrected: 7, Uncorrected: 2, Remapped: 1, Celsius: 41, Milliwatts: 350_500, Throttled: 1}
	if err := w.recheck(t.Context(), "timer"); err != nil {
		t.Fatal(err)
	}
	f.value("llorch_device_ecc_errors", "corrected", 7)
	f.value("llorch_device_ecc_errors", "uncorrected", 2)
	f.value("llorch_device_remapped_rows", "", 1)
	f.value("llorch_device_temperature_celsius", "", 41)
	f.value("llorch_device_power_watts", "", 350.5)
	f.value("llorch_device_throttled", "", 1)
	m.o.Card = backend.NoCard
	if err := w.recheck(t.Context(), "timer"); err != nil {
		t.Fatal(err)
	}
	if got := text(t, f.do("GET", "/metrics", "")); strings.Contains(got, "llorch_device_ecc_errors{") || strings.Contains(got, "llorch_device_power_watts{") {
		t.Error("series of a card that does not say")
	}
}

// Each way in which the evidence can fail makes the worker degraded, with the reason, and it heals with the evidence.
// Twice is asked before: an account read in two parts may be of two moments.
func TestDeviceEvidenceFails(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *fakeMemory)
		want   string
		asked  int
	}{
		"memory that moved":    {func(m *fakeMemory) { m.o.Placed[0].Place.Device = false }, "not memory of a device", 2},
		"nobody's memory":      {func(m *fakeMemory) { m.o.Process += 1 << 30 }, "of this process and", 2},
		"library gone":         {func(m *fakeMemory) { m.o.Occupancy.Err = errors.New("GPU is lost") }, "not known: GPU is lost", 2},
		"memory errors":        {func(m *fakeMemory) { m.o.Uncorrected = 1 }, "could not be corrected", 2},
		"a device that hangs":  {func(m *fakeMemory) { m.err = errors.New("no end of a step") }, "no end of a step", 1},
		"a context that is no": {func(m *fakeMemory) { m.o.Placed[0].Err = errors.New("lost") }, "lost", 2},
	} {
		t.Run(name, func(t *testing.T) {
			w, m, f := onDevice(t)
			good := m.o
			good.Placed = append([]backend.Placed{}, m.o.Placed...)
			c.change(m)
			if err := w.recheck(t.Context(), "timer"); err == nil || !strings.Contains(err.Error(), c.want) || m.asked != c.asked {
				t.Errorf("asked %d times: %v", m.asked, err)
			}
			if s := f.machine.Standing(); s.State != Degraded || s.Cause != CauseResidency || f.machine.Resident() {
				t.Errorf("%+v", s)
			}
			m.o, m.err = good, nil
			if err := w.recheck(t.Context(), "timer"); err != nil || f.machine.Standing().State != Ready {
				t.Errorf("%v, %+v", err, f.machine.Standing())
			}
		})
	}
}

// The plan of a device with memory of its own is against its memory, and the host's is asked for the process alone.
func TestForecastOfADevice(t *testing.T) {
	free := int64(8 << 30)
	backend.RegisterRoom("planned", func(backend.Options) (backend.Room, error) {
		if free < 0 {
			return backend.Room{}, errors.New("no driver: install it")
		}
		return backend.Room{Name: "Card", Total: 8 << 30, Free: free, Driver: 700 << 20, Host: 1 << 20}, nil
	}, backend.Need{
		Takes:  func(tensor.DType, int, int) int64 { return 1 << 20 },
		Beside: func(_ tensor.DType, bytes int64) int64 { return bytes },
	})
	ins, err := inference.Inspect("../deploy/demo/model")
	if err != nil {
		t.Fatal(err)
	}
	defer ins.Close()
	o := inference.Options{Device: "planned", Index: 3}
	plan, forecast, err := Forecast(t.Context(), ins, &o)
	if err != nil || forecast.Available != free || forecast.Need.Driver <= 700<<20 || forecast.Need.Process != 0 {
		t.Fatalf("%+v %v", forecast, err)
	}
	if contexts := int64(8) * int64(plan.Context); int64(plan.Pages*inference.PageSize) != contexts || plan.Weights < 10<<20 {
		t.Errorf("%d pages for %d positions, weights %d", plan.Pages, contexts, plan.Weights)
	}
	free = forecast.Required - plan.Cache/2 + 64<<20 // room for fewer contexts than it would take
	o = inference.Options{Device: "planned"}
	if less, _, err := Forecast(t.Context(), ins, &o); err != nil || less.Cache >= plan.Cache || less.Cache < plan.Cache/4 {
		t.Errorf("cache %d and %d before: %v", less.Cache, plan.Cache, err)
	}
	free = 700 << 20
	var short *residency.ShortfallError
	o = inference.Options{Device: "planned"}
	if _, _, err := Forecast(t.Context(), ins, &o); !errors.As(err, &short) || short.Device != "planned:0" || short.Available != free || !strings.Contains(err.Error(), "free memory of planned:0, Card") {
		t.Error(err)
	}
	free = -1
	o = inference.Options{Device: "planned"}
	if _, _, err := Forecast(t.Context(), ins, &o); !errors.Is(err, ErrDevice) || !strings.Contains(err.Error(), "cannot use planned:0: no driver: install it") {
		t.Error(err)
	}
}

// A device fault shows with its class, to whoever has no token as well: the reason may name files, the class does not.
func TestFaultClassIsTold(t *testing.T) {
	for _, token := range []string{"", "t"} {
		f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Token = token })
		w := &worker{machine: f.machine, log: f.server.log}
		w.deviceLost(&backend.Fault{Class: "ecc", Reason: "memory failed"})
		res := f.do("GET", "/health", "")
		if got := text(t, res); res.StatusCode != 503 || !strings.Contains(got, `"cause":"device_fault","fault_class":"ecc"`) {
			t.Errorf("%d %s", res.StatusCode, got)
		}
	}
}
