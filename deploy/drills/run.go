package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"
)

// leaveGrace is how long a drill whose time is up may take to notice, once
// everything that it started has been ended.
const leaveGrace = 5 * time.Second

// runner runs drills one after another and tells about each in one line.
type runner struct {
	out    io.Writer
	bench  func() (*Bench, error) // a new one for each drill
	counts struct{ ok, failed, skipped, left int }
}

// run returns whether no drill failed and all had their turn.
func (r *runner) run(ctx context.Context, drills []Drill) bool {
	began := time.Now()
	for i, d := range drills {
		if ctx.Err() != nil {
			r.counts.left = len(drills) - i
			break
		}
		r.one(ctx, d)
	}
	fmt.Fprintf(r.out, "%d drills: %d ok, %d failed, %d skipped", len(drills), r.counts.ok, r.counts.failed, r.counts.skipped)
	if r.counts.left > 0 {
		fmt.Fprintf(r.out, ", %d not run: interrupted", r.counts.left)
	}
	fmt.Fprintf(r.out, "; %.0f s\n", time.Since(began).Seconds())
	return r.counts.failed == 0 && r.counts.left == 0
}

func (r *runner) one(ctx context.Context, d Drill) {
	began := time.Now()
	figure, logs, err := r.attempt(ctx, d)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted (%w)", err)
	}
	word, text := "ok", figure
	switch {
	case skipped(err):
		r.counts.skipped++
		word, text = "skipped", err.Error()
	case err != nil:
		r.counts.failed++
		word, text = "FAILED", err.Error()
	default:
		r.counts.ok++
	}
	fmt.Fprintf(r.out, "%-8s %-40s %6.1f s  %s\n", word, d.Section+"/"+d.Name, time.Since(began).Seconds(), text)
	if word == "FAILED" && logs != "" {
		fmt.Fprintf(r.out, "    %s\n", strings.ReplaceAll(strings.TrimSpace(logs), "\n", "\n    "))
	}
}

// attempt runs one drill within its limit. Whatever happens, what it started
// has ended afterwards.
func (r *runner) attempt(ctx context.Context, d Drill) (figure, logs string, err error) {
	b, err := r.bench()
	if err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.Limit, fmt.Errorf("more than the %v it may take", d.Limit))
	defer cancel()
	type result struct {
		figure string
		err    error
	}
	done := make(chan result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- result{"", fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
			}
		}()
		f, err := d.Run(ctx, b)
		done <- result{f, err}
	}()
	got := result{}
	select {
	case got = <-done:
	case <-ctx.Done():
		b.killAll() // so that whoever waits for a worker goes on
		select {
		case got = <-done:
		case <-time.After(leaveGrace):
			got.err = errors.New("it does not end")
		}
	}
	if cause := context.Cause(ctx); cause != nil && !skipped(got.err) {
		got.err = errors.Join(cause, got.err)
	}
	logs = b.logTails() // before the workers are ended: what they say about that explains nothing
	return got.figure, logs, errors.Join(got.err, b.close())
}
