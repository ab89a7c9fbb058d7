package residency

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPlanFits(t *testing.T) {
	need := Need{Weights: 700, Cache: 200, Scratch: 60, Process: 40}
	f, err := Plan(need, Host{Total: 4000, Available: 1000}, "cpu:0", "/m")
	if err != nil || f.Required != 1000 || f.Available != 1000 || f.Spare != 0 {
		t.Errorf("exactly full: %+v, %v", f, err)
	}
	if f, err := Plan(need, Host{Available: 1500}, "cpu:0", "/m"); err != nil || f.Spare != 500 {
		t.Errorf("with room: %+v, %v", f, err)
	}
}

func TestPlanRefuses(t *testing.T) {
	host := Host{Total: 4000, Available: 3000, Groups: []Group{{Path: "/sys/fs/cgroup/inner", Limit: 2000, Used: 1500, Reclaimable: 499}}}
	_, err := Plan(Need{Weights: 700, Cache: 200, Scratch: 60, Process: 40}, host, "cpu:0", "/models/mini")
	var short *ShortfallError
	if !errors.As(err, &short) || short.Required != 1000 || short.Available != 999 {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"/models/mini", "cpu:0", "required 1000", "available 999", "weights 700", "cache 200", "scratch 60",
		"process 40", "short of 1", "/sys/fs/cgroup/inner", "--kv-cache-mb"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

func TestPlanRefusesImpossibleFigures(t *testing.T) {
	for _, need := range []Need{{Weights: -1}, {Cache: math.MinInt64}, {Weights: math.MaxInt64, Process: 1}, {Weights: math.MaxInt64, Cache: math.MaxInt64}} {
		if _, err := Plan(need, Host{Available: math.MaxInt64}, "cpu:0", "/m"); err == nil || !strings.Contains(err.Error(), "/m") {
			t.Errorf("%+v: %v", need, err)
		}
	}
}

func TestFreeIsTheTightestBound(t *testing.T) {
	for _, tc := range []struct {
		name   string
		groups []Group
		want   int64
		bound  string
	}{
		{"no group", nil, 1000, "host"},
		{"wider than the host", []Group{{"/g", 5000, 100, 0}}, 1000, "host"},
		{"page cache is given back", []Group{{"/g", 800, 800, 300}}, 300, "/g"},
		{"an outer group is tighter", []Group{{"/g/in", 800, 100, 0}, {"/g", 900, 600, 100}}, 400, "control group /g"},
		{"over its limit", []Group{{"/g", 800, 900, 0}}, 0, "/g"},
		{"statistics run ahead of usage", []Group{{"/g", 800, 100, 500}}, 800, "/g"},
	} {
		got, bound := Host{Total: 2000, Available: 1000, Groups: tc.groups}.Free()
		if got != tc.want || !strings.Contains(bound, tc.bound) {
			t.Errorf("%s: %d by %s, want %d by %s", tc.name, got, bound, tc.want, tc.bound)
		}
	}
}

func TestVerify(t *testing.T) {
	a := Claim{Weights, "layers.0.wqkv", 0x1000, 100}
	b := Claim{Weights, "layers.0.wo", 0x2000, 50}
	kv := Claim{Cache, "kv", 0x3000, 30}
	whole := []Observation{{Claim: kv, Resident: 30}, {Claim: a, Resident: 100}, {Claim: b, Resident: 50}} // in any order
	r := Verify([]Claim{a, b, kv}, whole)
	if !r.Resident || r.Missing != 0 || r.Held[Weights] != 150 || r.Held[Cache] != 30 || r.Err() != nil {
		t.Errorf("all there: %+v", r)
	}
	r = Verify([]Claim{a, b, kv}, []Observation{{Claim: a, Resident: 100}, {Claim: b, Resident: 12}, {Claim: kv, Resident: 30}})
	if r.Resident || r.Missing != 38 || r.Held[Weights] != 112 || r.Claimed[Weights] != 150 || len(r.Losses) != 1 || r.Losses[0].Claim != b {
		t.Errorf("38 bytes missing: %+v", r)
	}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "38 bytes in 1 places") || !strings.Contains(err.Error(), "layers.0.wo: 38 of its 50") {
		t.Errorf("error %v", err)
	}
}

func TestVerifyFailsClosed(t *testing.T) {
	c := Claim{Weights, "w", 0x1000, 100}
	probeErr := errors.New("probe is broken")
	for name, tc := range map[string]struct {
		claims []Claim
		obs    []Observation
		want   string
	}{
		"no claims":                 {nil, nil, "nothing was claimed"},
		"no observation":            {[]Claim{c}, nil, "not observed"},
		"observation of another":    {[]Claim{c}, []Observation{{Claim: Claim{Weights, "w", 0x2000, 100}, Resident: 100}}, "not observed"},
		"observation of other size": {[]Claim{c}, []Observation{{Claim: Claim{Weights, "w", 0x1000, 99}, Resident: 99}}, "not observed"},
		"probe error":               {[]Claim{c}, []Observation{{Claim: c, Resident: 100, Err: probeErr}}, "probe is broken"},
		"more than there is":        {[]Claim{c}, []Observation{{Claim: c, Resident: 101}}, "saw 101 of 100"},
		"less than nothing":         {[]Claim{c}, []Observation{{Claim: c, Resident: -1}}, "saw -1"},
		"negative claim":            {[]Claim{{Weights, "w", 0, -1}}, nil, "a claim of -1"},
	} {
		r := Verify(tc.claims, tc.obs)
		if err := r.Err(); r.Resident || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: resident %v, error %v, want %q", name, r.Resident, err, tc.want)
		}
	}
	if err := Verify([]Claim{c}, []Observation{{Claim: c, Err: probeErr}}).Err(); !errors.Is(err, probeErr) {
		t.Errorf("the probe's error is lost: %v", err)
	}
}

// Whatever the probe says, the sums agree and resident means that nothing is missing.
func TestVerifySums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var claims []Claim
		var obs []Observation
		for i := range rapid.IntRange(1, 20).Draw(t, "claims") {
			c := Claim{rapid.SampledFrom([]string{Weights, Cache, Scratch}).Draw(t, "class"), "c", uintptr(i) << 12, rapid.Int64Range(0, 4096).Draw(t, "bytes")}
			claims = append(claims, c)
			obs = append(obs, Observation{Claim: c, Resident: rapid.Int64Range(0, c.Bytes).Draw(t, "resident")})
		}
		r := Verify(claims, obs)
		var claimed, held, lost int64
		for class := range r.Claimed {
			claimed, held = claimed+r.Claimed[class], held+r.Held[class]
		}
		for _, l := range r.Losses {
			lost += l.Missing
		}
		if claimed-held != r.Missing || lost != r.Missing || r.Resident != (r.Missing == 0) {
			t.Fatalf("claimed %d, held %d, lost %d: %+v", claimed, held, lost, r)
		}
	})
}

func TestPageSpans(t *testing.T) {
	got := pageSpans([]Claim{
		{Addr: 0x5fff, Bytes: 2},                            // over a page's edge
		{Addr: 0x1010, Bytes: 16}, {Addr: 0x1800, Bytes: 1}, // one page
		{Addr: 0x2000, Bytes: 0x1000}, // the next one
		{Addr: 0x9000, Bytes: 0},      // nothing
	}, 4096)
	if len(got) != 2 || got[0] != (span{0x1000, 0x3000}) || got[1] != (span{0x5000, 0x7000}) {
		t.Errorf("%#x", got)
	}
}
