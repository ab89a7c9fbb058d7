package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"llorch/deploy/demo/standin"
)

// latencies are what probes took.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

// quantile is that of all latencies, the largest where there are too few of them.
func (l *latencies) quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l.all))
	return sorted[min(int(float64(len(sorted))*q), len(sorted)-1)]
}

// probe asks for health as a kubelet does, only much more often.
func (s *soak) probe(ctx context.Context, _ *rand.Rand) {
	paths := []string{"/health", "/ready", "/live"}
	for n := 0; nap(ctx, 20*time.Millisecond); n++ {
		path, began := paths[n%len(paths)], time.Now()
		status, _, body, err := s.worker.Do(context.Background(), "GET", path, nil)
		ended := time.Now()
		if s.stopped.overlap(began, ended) {
			continue
		}
		if err != nil || status != 200 {
			s.wrong.add("%s: %d %.200s %v", path, status, body, err)
			s.tally.failed.Add(1)
			continue
		}
		s.probes.add(ended.Sub(began))
	}
}

// scrape reads the metrics as a collector does.
func (s *soak) scrape(ctx context.Context, _ *rand.Rand) {
	for nap(ctx, time.Second) {
		status, _, body, err := s.worker.Do(context.Background(), "GET", "/metrics", nil)
		if _, ok := standin.Sample(string(body), "llorch_slots_busy"); err != nil || status != 200 || !ok {
			s.fail("/metrics: %d, slots there %v, %v", status, ok, err)
		}
		held, _ := standin.Sample(string(body), "go_memstats_sys_bytes")
		released, _ := standin.Sample(string(body), "go_memstats_heap_released_bytes")
		s.runtime.add(sample{time.Now(), int64(held - released)})
		s.tally.scrapes.Add(1)
	}
}

// sample is an amount of memory at one moment.
type sample struct {
	at    time.Time
	bytes int64
}

// watch samples the memory once a second.
func (s *soak) watch(ctx context.Context, _ *rand.Rand) {
	for nap(ctx, time.Second) {
		rss, err := residentBytes(s.worker.PID())
		if err != nil {
			s.wrong.add("%v", err)
			return
		}
		s.memory.add(sample{time.Now(), rss})
	}
}

// memory is what was sampled.
type memory struct {
	mu  sync.Mutex
	all []sample
}

func (m *memory) add(s sample) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, s)
}

// last is the newest sample, or the zero one.
func (m *memory) last() (s sample) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.all); n > 0 {
		s = m.all[n-1]
	}
	return s
}

// residentBytes is VmRSS of a process.
func residentBytes(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("soak: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("soak: no VmRSS in /proc/%d/status", pid)
}

// footprint is what must be as before when the load is over.
type footprint struct {
	goroutines, files int
	busy, queued      int
	pagesUsed         int
}

func (s *soak) footprint(ctx context.Context) (f footprint, err error) {
	_, _, text, err := s.worker.Do(ctx, "GET", "/metrics", nil)
	if err != nil {
		return f, err
	}
	free := 0
	for name, to := range map[string]*int{
		"go_goroutines": &f.goroutines, "llorch_slots_busy": &f.busy, "llorch_requests_queued": &f.queued,
		"llorch_cache_pages": &f.pagesUsed, "llorch_cache_pages_free": &free,
	} {
		v, ok := standin.Sample(string(text), name)
		if !ok {
			return f, fmt.Errorf("soak: /metrics has no %s", name)
		}
		*to = int(v)
	}
	f.pagesUsed -= free
	f.files, err = standin.Descriptors(s.worker.PID())
	return f, err
}

// asBefore reports whether nothing is left of the load. Some goroutines and
// descriptors come and go with the connection that asks.
func (f footprint) asBefore(before footprint) bool {
	const some = 4
	return f.busy == 0 && f.queued == 0 && f.pagesUsed == before.pagesUsed &&
		f.goroutines <= before.goroutines+some && f.files <= before.files+some
}
