package soak

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

func TestSlope(t *testing.T) {
	for _, c := range []struct {
		x, y   []float64
		b, err float64
	}{
		{[]float64{0, 1, 2, 3}, []float64{5, 5, 5, 5}, 0, 0},
		{[]float64{0, 1, 2, 3}, []float64{1, 3, 5, 7}, 2, 0},
		{[]float64{0, 1, 2}, []float64{0, 3, 0}, 0, math.Sqrt(3)}, // residuals -1, 2, -1: √(6/1/2)
	} {
		if b, err := slope(c.x, c.y); math.Abs(b-c.b) > 1e-12 || math.Abs(err-c.err) > 1e-12 {
			t.Errorf("%v %v: %v ± %v, want %v ± %v", c.x, c.y, b, err, c.b, c.err)
		}
	}
}

func TestQuantile(t *testing.T) {
	var l latencies
	if l.quantile(0.99) != 0 {
		t.Error("of nothing")
	}
	for i := range 100 {
		l.add(time.Duration(100-i) * time.Millisecond)
	}
	if l.quantile(0.5) != 51*time.Millisecond || l.quantile(0.99) != 100*time.Millisecond || l.quantile(0.9999) != 100*time.Millisecond {
		t.Errorf("%v %v %v", l.quantile(0.5), l.quantile(0.99), l.quantile(0.9999))
	}
}

func TestPauses(t *testing.T) {
	var p pauses
	before := time.Now()
	time.Sleep(time.Millisecond)
	end := p.begin()
	if !p.overlap(before, time.Now().Add(time.Millisecond)) || p.overlap(before, before) {
		t.Error("an open pause")
	}
	end()
	if later := time.Now().Add(2 * after); p.overlap(later, later.Add(time.Hour)) || !p.overlap(time.Now(), later) {
		t.Error("a pause that is over")
	}
}

// What is judged to be wrong: everything but a good end and a cancel of our own.
func TestEndsAreJudged(t *testing.T) {
	frame := func(f standin.Frame) []standin.Frame { return []standin.Frame{{Type: "started"}, f} }
	for _, c := range []struct {
		all            []standin.Frame
		cancelled, bad bool
	}{
		{frame(standin.Frame{Type: "end"}), false, false},
		{frame(standin.Frame{Type: "error", Code: "CANCELLED"}), true, false},
		{frame(standin.Frame{Type: "error", Code: "CANCELLED"}), false, true},
		{frame(standin.Frame{Type: "error", Code: "INFERENCE_FAILED"}), true, true},
		{frame(standin.Frame{Type: "token"}), false, true},
		{frame(standin.Frame{Type: "end", TokensOut: 3}), false, true},
		{nil, false, true},
	} {
		var s soak
		s.ended("x", c.all, c.cancelled)
		if got := s.tally.failed.Load() == 1; got != c.bad || got != (len(s.wrong.list) == 1) {
			t.Errorf("%+v cancelled %v: bad %v", c.all, c.cancelled, got)
		}
	}
}

func TestGrowthIsJudged(t *testing.T) {
	at := time.Now()
	for _, grows := range []bool{false, true} {
		s := soak{orchestrator: &restarting{}}
		for i := range 100 {
			rss := int64(100<<20 + i%7<<18)
			if grows {
				rss += int64(i) << 18
			}
			s.memory.add(sample{at.Add(time.Duration(i) * 10 * time.Second), rss})
		}
		r := s.report(100 * time.Second)
		if got := len(s.wrong.list) == 1; got != grows {
			t.Errorf("grows %v: %v, %+v", grows, s.wrong.list, r)
		}
	}
}

func TestReportSaysWhatWentWrong(t *testing.T) {
	var out bytes.Buffer
	ta := &tally{}
	ta.failed.Store(3)
	r := Report{tally: ta, took: time.Second, p99: barP99 + 1, Complaints: []string{"request c1-2: no terminal frame"}, MoreComplaints: 2}
	r.Print(&out)
	if r.OK() || !strings.Contains(out.String(), "WRONG: request c1-2") || !strings.Contains(out.String(), "2 more") || !strings.Contains(out.String(), "missed") {
		t.Errorf("%s", out.String())
	}
}

func TestResidentBytes(t *testing.T) {
	if n, err := residentBytes(os.Getpid()); err != nil || n < 1<<20 || n > 1<<40 {
		t.Errorf("%d %v", n, err)
	}
	if _, err := residentBytes(-1); err == nil {
		t.Error("a process that is not there")
	}
}
