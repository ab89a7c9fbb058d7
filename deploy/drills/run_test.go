package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// play runs drills on benches without a worker, and returns what was printed.
func play(t *testing.T, ctx context.Context, drills ...Drill) (string, bool) {
	t.Helper()
	var out bytes.Buffer
	r := runner{out: &out, bench: func() (*Bench, error) { return newBench("none", "none", "none") }}
	ok := r.run(ctx, drills)
	return out.String(), ok
}

func drillOf(name string, limit time.Duration, run func(context.Context, *Bench) (string, error)) Drill {
	return Drill{Name: name, Section: "test", Promises: []int{1}, Limit: limit, Run: run}
}

func TestOneLineADrill(t *testing.T) {
	out, ok := play(t, t.Context(),
		drillOf("good", time.Minute, func(context.Context, *Bench) (string, error) { return "7 of 7", nil }),
		drillOf("absent", time.Minute, func(context.Context, *Bench) (string, error) { return "", Skip("no such %s", "kernel") }))
	lines := strings.Split(out, "\n")
	if !ok || !strings.HasPrefix(lines[0], "ok ") || !strings.Contains(lines[0], "test/good") || !strings.HasSuffix(lines[0], "7 of 7") ||
		!strings.HasPrefix(lines[1], "skipped ") || !strings.HasSuffix(lines[1], "no such kernel") ||
		!strings.HasPrefix(lines[2], "2 drills: 1 ok, 0 failed, 1 skipped;") {
		t.Errorf("%v\n%s", ok, out)
	}
}

// Whatever a drill does wrong, it is told and the next one has its turn.
func TestBadDrillsAreReportedAndBounded(t *testing.T) {
	forever := make(chan struct{})
	defer close(forever)
	next := drillOf("next", time.Minute, func(context.Context, *Bench) (string, error) { return "came", nil })
	for says, d := range map[string]Drill{
		"broken promise":           drillOf("fails", time.Minute, func(context.Context, *Bench) (string, error) { return "", errors.New("broken promise") }),
		"panic: ouch":              drillOf("panics", time.Minute, func(context.Context, *Bench) (string, error) { panic("ouch") }),
		"more than the 10ms it ma": drillOf("late", 10*time.Millisecond, func(ctx context.Context, _ *Bench) (string, error) { <-ctx.Done(); return "", nil }),
		"it does not end":          drillOf("deaf", 10*time.Millisecond, func(context.Context, *Bench) (string, error) { <-forever; return "", nil }),
	} {
		began := time.Now()
		out, ok := play(t, t.Context(), d, next)
		if ok || !strings.HasPrefix(out, "FAILED") || !strings.Contains(out, says) || !strings.Contains(out, "came") || !strings.Contains(out, "1 ok, 1 failed") {
			t.Errorf("%s: %v\n%s", d.Name, ok, out)
		}
		if took := time.Since(began); took > 6*leaveGrace {
			t.Errorf("%s took %v", d.Name, took)
		}
	}
}

func TestInterruptLeavesTheRest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ran := false
	out, ok := play(t, ctx,
		drillOf("interrupted", time.Minute, func(ctx context.Context, _ *Bench) (string, error) { cancel(); <-ctx.Done(); return "", ctx.Err() }),
		drillOf("never", time.Minute, func(context.Context, *Bench) (string, error) { ran = true; return "", nil }))
	if ok || ran || !strings.Contains(out, "interrupted") || !strings.Contains(out, "1 not run") {
		t.Errorf("%v %v\n%s", ok, ran, out)
	}
}

// Files and closers end with the drill, also with one that fails.
func TestABenchLeavesNothing(t *testing.T) {
	var dir string
	var order []string
	_, _ = play(t, t.Context(), drillOf("untidy", time.Minute, func(_ context.Context, b *Bench) (string, error) {
		dir = b.Dir
		b.OnClose(func() error { order = append(order, "first"); return nil })
		b.OnClose(func() error { order = append(order, "second"); return nil })
		return "", errors.Join(errors.New("failed"), os.WriteFile(dir+"/file", nil, 0o600))
	}))
	if _, err := os.Stat(dir); dir == "" || !os.IsNotExist(err) {
		t.Errorf("%q: %v", dir, err)
	}
	if strings.Join(order, " ") != "second first" {
		t.Errorf("%v", order)
	}
}

// Another program's children end with the drill's time, and its failure is no
// error of the drill: many drills want it.
func TestOutput(t *testing.T) {
	b, err := newBench("none", "none", "none")
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if status, text, err := b.Output(t.Context(), "sh", "-c", "echo seen; exit 7"); status != 7 || text != "seen\n" || err != nil {
		t.Errorf("%d %q %v", status, text, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, _, err := b.Output(ctx, "sh", "-c", "sleep 60 & wait"); err == nil || time.Since(began) > 30*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
