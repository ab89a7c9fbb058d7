package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"llorch/deploy/demo/standin"
)

// Options say how much and how long. All are needed.
type Options struct {
	Bin, Model string
	For        time.Duration // of full load, start and end not counted
	Streams    int           // at once
	Seed       uint64        // of what happens at random
	Out        io.Writer     // hears how it goes, a line now and then
}

// settle is how long a worker may take to be as it was before the load.
const settle = 30 * time.Second

// soak is one run.
type soak struct {
	Options
	worker       *standin.Worker
	orchestrator *restarting
	tally        tally
	probes       latencies
	memory       memory // RSS, once a second
	runtime      memory // what Go's runtime holds of it, by its own account, as often
	stopped      pauses
	wrong        complaints
}

// Run soaks a worker. The error says that it could not be done; what the worker
// did wrong stands in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	s := &soak{Options: o}
	var err error
	if s.orchestrator, err = newRestarting(); err != nil {
		return nil, err
	}
	defer s.orchestrator.close()
	if s.worker, err = standin.Start(s.spawn()); err != nil {
		return nil, err
	}
	defer s.worker.Kill()
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.worker.WaitHealthy(starting); err != nil {
		return nil, err
	}
	before, err := s.warm(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	s.load(ctx)
	if ctx.Err() != nil {
		return nil, errors.New("soak: interrupted")
	}
	r := s.report(time.Since(began))
	if err := s.finish(ctx, r, before); err != nil {
		s.wrong.add("the end: %v", err)
	}
	r.Complaints, r.MoreComplaints = s.wrong.list, s.wrong.more
	return r, nil
}

// spawn is a worker with room for all streams in one batch, so that each is
// really decoded all the time.
func (s *soak) spawn() standin.Spawn {
	return standin.Spawn{
		Bin: s.Bin, Model: s.Model, ID: "w-soak", CallbackURL: s.orchestrator.URL("/ready"), Idle: 2 * s.Streams,
		Args: []string{"--local-mode", "--log-level", "error", "--max-batch", fmt.Sprint(s.Streams), "--max-queue", fmt.Sprint(s.Streams / 4),
			"--max-context", "256", "--kv-cache-mb", "768", "--hive-url", s.orchestrator.URL(""), "--heartbeat-interval", "2s",
			"--inference-timeout-sec", "0", "--write-timeout", "5s"},
	}
}

// warm has the worker make what it makes once, and returns its footprint then.
func (s *soak) warm(ctx context.Context) (footprint, error) {
	for i := range 20 {
		st, err := s.worker.Execute(ctx, "", standin.Request{JobID: fmt.Sprint("warm", i), Prompt: "Once", MaxTokens: 4})
		if err != nil {
			return footprint{}, err
		}
		if _, err := st.All(); err != nil {
			return footprint{}, err
		}
	}
	return s.footprint(ctx)
}

// load runs everything until the time is over and all streams have ended.
func (s *soak) load(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.For)
	defer cancel()
	var all sync.WaitGroup
	for i := range s.Streams {
		all.Go(func() { s.client(ctx, i, s.random(uint64(i))) })
	}
	for i, f := range []func(context.Context, *rand.Rand){
		s.probe, s.scrape, s.watch, s.badRequests, s.slowReaders, s.halfRequests, s.pause, s.restartOrchestrator, s.tell,
	} {
		all.Go(func() { f(ctx, s.random(uint64(1<<32+i))) })
	}
	all.Wait()
}

func (s *soak) random(n uint64) *rand.Rand { return rand.New(rand.NewPCG(s.Seed, n)) }

// nap waits up to d, and reports whether there is time left.
func nap(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// between is a random time.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

// tell prints a line a minute.
func (s *soak) tell(ctx context.Context, _ *rand.Rand) {
	for began := time.Now(); nap(ctx, time.Minute); {
		fmt.Fprintf(s.Out, "%4.0f s  %s  RSS %d MiB\n", time.Since(began).Seconds(), s.tally.String(), s.memory.last().bytes>>20)
	}
}
