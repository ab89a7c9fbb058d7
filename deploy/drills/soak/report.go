package soak

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

const (
	// warmUpShare of the samples are left out of the fit: heap and pools grow to
	// their size first.
	warmUpShare = 0.25
	// growthShare of the mean RSS may the fitted line rise over the time that it
	// covers: the collector's sawtooth is larger than that.
	growthShare = 0.03
	// judgedFrom is the time that the line must cover to be judged: in less, the
	// heap is still growing to its size.
	judgedFrom = 3 * time.Minute
)

// Bars of the probes, from the table of promises. A slow or a shared machine
// misses them through no fault of the worker, so they decide nothing here.
const (
	barP99   = 50 * time.Millisecond
	barP9999 = 500 * time.Millisecond
)

// Report is what came of it.
type Report struct {
	options       Options
	took          time.Duration
	tally         *tally
	probes        int
	p99, p9999    time.Duration
	rss, runtime  line
	before, after footprint
	registered    int64
	exit          string

	Complaints     []string
	MoreComplaints int
}

// report judges the load; finish adds the end.
func (s *soak) report(took time.Duration) *Report {
	r := &Report{options: s.Options, took: took, tally: &s.tally, probes: len(s.probes.all), registered: s.orchestrator.ready.Load()}
	r.p99, r.p9999 = s.probes.quantile(0.99), s.probes.quantile(0.9999)
	var enough bool
	if r.rss, enough = fit(s.memory.all); !enough {
		s.wrong.add("only %d samples of the memory: soak for longer", len(s.memory.all))
		return r
	}
	r.runtime, _ = fit(s.runtime.all)
	if r.rss.covers >= judgedFrom && r.rss.growth > growthShare*r.rss.mean {
		s.wrong.add("RSS grows: %.1f MiB in %v", r.rss.growth/(1<<20), r.rss.covers.Round(time.Second))
	}
	return r
}

// finish waits until the worker is as it was, and stops it.
func (s *soak) finish(ctx context.Context, r *Report, before footprint) (err error) {
	r.before = before
	s.worker.CloseIdle()
	for end := time.Now().Add(settle); ; {
		if r.after, err = s.footprint(ctx); err != nil {
			return err
		}
		if r.after.asBefore(before) {
			break
		}
		if time.Now().After(end) || !nap(ctx, 200*time.Millisecond) {
			s.wrong.add("after the load %+v, before it %+v", r.after, before)
			break
		}
	}
	if err := s.worker.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	status, err := s.worker.Wait(settle)
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d", status)
	}
	r.exit = fmt.Sprint(status)
	return err
}

// OK reports whether everything that the worker owes was kept.
func (r *Report) OK() bool { return r.tally.failed.Load() == 0 && len(r.Complaints) == 0 }

// Summary is the report in a few words.
func (r *Report) Summary() string {
	return fmt.Sprintf("%d streams for %.0f s: %s; probes p99 %.1f ms", r.options.Streams, r.took.Seconds(), r.tally, float64(r.p99.Microseconds())/1000)
}

// Print writes the one table, and what went wrong below it.
func (r *Report) Print(w io.Writer) {
	t := r.tally
	all := t.completed.Load() + t.cancelled.Load() + t.left.Load() + t.refused.Load()
	rows := [][2]string{
		{"full load", fmt.Sprintf("%.0f s, %d streams at once, %d cores, load average %s, seed %d", r.took.Seconds(), r.options.Streams, runtime.NumCPU(), loadAverage(), r.options.Seed)},
		{"requests", fmt.Sprintf("%d: %d ended well, %d cancelled, %d hung up, %d refused with Retry-After", all, t.completed.Load(), t.cancelled.Load(), t.left.Load(), t.refused.Load())},
		{"failed", fmt.Sprintf("%d (bar 0)", t.failed.Load())},
		{"tokens", fmt.Sprintf("%d, %.0f a second", t.tokens.Load(), float64(t.tokens.Load())/r.took.Seconds())},
		{"done to it", fmt.Sprintf("%d bad requests, %d half requests, %d slow readers, %d times SIGSTOP, %d scrapes", t.bad.Load(), t.half.Load(), t.slow.Load(), t.stops.Load(), t.scrapes.Load())},
		{"orchestrator", fmt.Sprintf("%d restarts with lost state, %d ready calls", t.restarts.Load(), r.registered)},
		{"probes", fmt.Sprintf("%d: p99 %s, p99.99 %s", r.probes, against(r.p99, barP99), against(r.p9999, barP9999))},
		{"RSS", fmt.Sprintf("%v; the bar is %.1f MiB, %.0f %% of the mean, for %v and more", r.rss, growthShare*r.rss.mean/(1<<20), 100*growthShare, judgedFrom)},
		{"of it Go's", r.runtime.String()},
		{"goroutines", fmt.Sprintf("%d before, %d after", r.before.goroutines, r.after.goroutines)},
		{"descriptors", fmt.Sprintf("%d before, %d after", r.before.files, r.after.files)},
		{"cache pages", fmt.Sprintf("%d held before, %d after", r.before.pagesUsed, r.after.pagesUsed)},
		{"exit status", r.exit},
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(tab, "%s\t%s\n", row[0], row[1])
	}
	_ = tab.Flush()
	for _, c := range r.Complaints {
		fmt.Fprintf(w, "WRONG: %s\n", c)
	}
	if r.MoreComplaints > 0 {
		fmt.Fprintf(w, "WRONG: %d more\n", r.MoreComplaints)
	}
}

func against(d, bar time.Duration) string {
	word := "kept"
	if d > bar {
		word = "missed"
	}
	return fmt.Sprintf("%.1f ms (bar %d ms, %s)", float64(d.Microseconds())/1000, bar.Milliseconds(), word)
}

// loadAverage is the host's of the last minutes.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg") // not everywhere
	if f := strings.Fields(string(text)); len(f) > 2 {
		return f[0]
	}
	return "unknown"
}
