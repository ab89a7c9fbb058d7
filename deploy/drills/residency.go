package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"llorch/deploy/demo/standin"
)

// residency: pages that are taken from a worker, and files from under it.
var residency = []Drill{
	{"ready-means-resident", "residency", []int{1}, 40 * time.Second, readyMeansResident},
	{"planned-is-held", "residency", []int{6}, 40 * time.Second, plannedIsHeld},
	{"evicted-pages", "residency", []int{2}, 40 * time.Second, evictedPages},
	{"evicted-while-stopped", "residency", []int{2}, 60 * time.Second, evictedWhileStopped},
	{"evicted-while-idle", "residency", []int{2}, 60 * time.Second, evictedWhileIdle},
	{"truncated-while-idle", "residency", []int{2}, 40 * time.Second, truncatedWhileIdle},
	{"replaced-model", "residency", []int{2}, 40 * time.Second, replacedModel},
}

// restored waits for the worker's word that the pages are back, and for its
// health; why is what must have found the loss.
func restored(ctx context.Context, w *standin.Worker, why string) (bytes, ms float64, err error) {
	line, err := logged(ctx, w, "residency restored")
	if err != nil {
		return 0, 0, err
	}
	if line.Fields["found_by"] != why {
		return 0, 0, fmt.Errorf("found by %v, not by %s", line.Fields["found_by"], why)
	}
	bytes, _ = line.Fields["bytes"].(float64)
	ms, _ = line.Fields["duration_ms"].(float64)
	err = until(ctx, "it is healthy", func() error { return expect(ctx, w, "GET", "/health", nil, 200, `"resident":true`) })
	if err == nil {
		_, err = whole(ctx, w, short("after"))
	}
	return bytes, ms, err
}

// evictedPages: the weights are taken from a worker, which looks often.
func evictedPages(ctx context.Context, b *Bench) (string, error) {
	dir, err := cleanModel(b)
	if err != nil {
		return "", err
	}
	w, err := b.ReadyAs(ctx, standin.Spawn{Model: dir, Args: []string{"--residency-interval", "200ms"}})
	if err != nil {
		return "", err
	}
	began := time.Now()
	taken, err := evict(w)
	if err != nil {
		return "", err
	}
	bytes, ms, err := restored(ctx, w, "timer")
	return fmt.Sprintf("%.1f MB taken, %.1f MB noticed and back after %.2f s, read again in %.0f ms", float64(taken)/1e6, bytes/1e6, time.Since(began).Seconds(), ms), err
}

// evictedWhileStopped: the process stands still, as under a debugger or in a
// frozen group, and the kernel takes the pages that nobody touches.
func evictedWhileStopped(ctx context.Context, b *Bench) (string, error) {
	dir, err := cleanModel(b)
	if err != nil {
		return "", err
	}
	w, err := b.ReadyAs(ctx, standin.Spawn{Model: dir, Args: []string{"--residency-interval", "1h"}})
	if err != nil {
		return "", err
	}
	if err := w.Signal(syscall.SIGSTOP); err != nil {
		return "", err
	}
	if _, err := evict(w); err != nil {
		return "", errors.Join(err, w.Signal(syscall.SIGCONT))
	}
	time.Sleep(12 * time.Second) // what the worker takes for a standstill, and more
	began := time.Now()
	if err := w.Signal(syscall.SIGCONT); err != nil {
		return "", err
	}
	bytes, _, err := restored(ctx, w, "stood still")
	return fmt.Sprintf("%.1f MB back %.2f s after SIGCONT, with an hour to the next check", bytes/1e6, time.Since(began).Seconds()), err
}

// evictedWhileIdle: nobody asks anything of the worker for a while, and the
// first request finds the loss long before the timer.
func evictedWhileIdle(ctx context.Context, b *Bench) (string, error) {
	dir, err := cleanModel(b)
	if err != nil {
		return "", err
	}
	w, err := b.ReadyAs(ctx, standin.Spawn{Model: dir, Args: []string{"--residency-interval", "1h"}})
	if err != nil {
		return "", err
	}
	if _, err := whole(ctx, w, short("before")); err != nil {
		return "", err
	}
	if _, err := evict(w); err != nil {
		return "", err
	}
	time.Sleep(11 * time.Second)               // what the worker calls idle, and more
	if taken, err := evict(w); !skipped(err) { // there must be nothing left to take
		return "", fmt.Errorf("%d bytes were back before anybody asked (%w)", taken, err)
	}
	if _, err := whole(ctx, w, short("first")); err != nil {
		return "", err
	}
	line, err := logged(ctx, w, "residency")
	if err == nil && line.Fields["found_by"] != "first request after idle" {
		err = fmt.Errorf("found by %v", line.Fields["found_by"])
	}
	missing, _ := line.Fields["missing"].(float64)
	return fmt.Sprintf("%.1f MB noticed beside the first request, which was answered", missing/1e6), err
}

// truncatedWhileIdle: the file under the mapping is cut, and no request touches
// it. Nothing can bring the bytes back.
func truncatedWhileIdle(ctx context.Context, b *Bench) (string, error) {
	return lostForGood(ctx, b, "truncated", func(file string) error { return os.Truncate(file, 4096) })
}

// replacedModel: another file has taken the name; what is mapped is whole still.
func replacedModel(ctx context.Context, b *Bench) (string, error) {
	return lostForGood(ctx, b, "changed", func(file string) error { return os.Rename(file, file+".old") })
}

func lostForGood(ctx context.Context, b *Bench, word string, lose func(file string) error) (string, error) {
	dir, err := b.CopyModel()
	if err != nil {
		return "", err
	}
	w, err := b.ReadyAs(ctx, standin.Spawn{Model: dir, Args: []string{"--residency-interval", "100ms", "--residency-timeout", "2s"}})
	if err != nil {
		return "", err
	}
	t, err := firstTensor(dir)
	if err != nil {
		return "", err
	}
	if err := lose(t.file); err != nil {
		return "", err
	}
	began := time.Now()
	if err := until(ctx, "it is not ready", func() error { return expect(ctx, w, "GET", "/ready", nil, 503, `"state":"degraded"`) }); err != nil {
		return "", err
	}
	noticed := time.Since(began)
	if err := exits(ctx, w, 4); err != nil {
		return "", err
	}
	line, err := logged(ctx, w, "error")
	if said, _ := line.Fields["error"].(string); err == nil && !strings.Contains(said, word) {
		err = fmt.Errorf("no %q in %s", word, said)
	}
	return fmt.Sprintf("not ready after %.2f s, exit status 4 after %.1f s", noticed.Seconds(), time.Since(began).Seconds()), err
}

// readyMeansResident: the moment the orchestrator is told, every byte of the
// weights is in the worker's page table, as the kernel says.
func readyMeansResident(ctx context.Context, b *Bench) (string, error) {
	var held, size int64
	var looked error
	pid := make(chan int, 1)
	o, err := b.Orchestrator(func(int, standin.Call) int {
		all, err := weightMappings(<-pid)
		looked = err
		for _, m := range all {
			held, size = held+m.resident, size+int64(m.to-m.from)
		}
		return 200
	})
	if err != nil {
		return "", err
	}
	w, err := b.Spawn(standin.Spawn{CallbackURL: o.URL("/ready"), Args: []string{"--local-mode"}})
	if err != nil {
		return "", err
	}
	pid <- w.PID()
	if err := errors.Join(w.WaitHealthy(ctx), looked); err != nil {
		return "", err
	}
	if held != size {
		return "", fmt.Errorf("%d of %d bytes were in memory when the callback came", held, size)
	}
	said, err := metric(ctx, w, "llorch_resident_bytes", "class", "weights")
	if err == nil && (said <= 0 || said > float64(size)) {
		err = fmt.Errorf("the worker says that it holds %.0f bytes of weights, the files have %d", said, size)
	}
	unexplained, e := metric(ctx, w, "llorch_memory_unexplained_bytes")
	if e == nil && unexplained > 64<<20 {
		e = fmt.Errorf("%.0f bytes of the process are in no class", unexplained)
	}
	return fmt.Sprintf("%d of %d bytes in the page table at the callback, %.0f MB of the process unexplained", held, size, unexplained/1e6), errors.Join(err, e)
}

// plannedIsHeld: what the plan said before a byte was touched is what the worker
// holds when it is ready, and a plan that does not fit is refused by its numbers.
func plannedIsHeld(ctx context.Context, b *Bench) (string, error) {
	w, err := b.Ready(ctx)
	if err != nil {
		return "", err
	}
	plan, err := logged(ctx, w, "memory_plan")
	if err != nil {
		return "", err
	}
	worst := 0.0
	for _, class := range []string{"weights", "cache", "scratch"} {
		planned, _ := plan.Fields[class].(float64)
		held, err := metric(ctx, w, "llorch_resident_bytes", "class", class)
		if err != nil {
			return "", err
		}
		off := math.Abs(held - planned)
		if worst = max(worst, off); planned <= 0 || off > max(planned/100, 64<<20) {
			return "", fmt.Errorf("%s: %.0f bytes planned, %.0f held", class, planned, held)
		}
	}
	o, err := b.Orchestrator(nil)
	if err != nil {
		return "", err
	}
	const tooMuch = 1 << 26 // MiB
	small, err := b.Spawn(standin.Spawn{CallbackURL: o.URL("/ready"), Args: []string{"--local-mode", "--kv-cache-mb", strconv.Itoa(tooMuch)}})
	if err != nil {
		return "", err
	}
	if err := exits(ctx, small, 1); err != nil {
		return "", err
	}
	line, err := logged(ctx, small, "error")
	said, _ := line.Fields["error"].(string)
	for _, word := range []string{"does not fit", "required ", "available ", "short of "} {
		if err == nil && !strings.Contains(said, word) {
			err = fmt.Errorf("no %q in %s", word, said)
		}
	}
	if n := len(o.Calls()); err == nil && n > 0 {
		err = fmt.Errorf("the orchestrator was called %d times", n)
	}
	return fmt.Sprintf("plan and possession differ by %.1f MB at most in any class; 64 TiB of cache refused by the shortfall", worst/1e6), err
}
