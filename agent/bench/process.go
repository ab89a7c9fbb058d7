package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Process is what the worker's own process takes: time to begin, and memory.
type Process struct {
	Ready      time.Duration `json:"ready_ns"`       // from the start of the process to the log's "ready"
	FirstToken time.Duration `json:"first_token_ns"` // to the first token of a prompt of 16 tokens, over HTTP
	Private    int64         `json:"peak_private_bytes"`
	Cache      int64         `json:"cache_bytes"`
	Beyond     int64         `json:"peak_private_bytes_beyond_cache"` // what no file backs, less the cache
	Peak       int64         `json:"peak_rss_bytes"`                  // mapped files included
}

const (
	sampleEvery = 5 * time.Millisecond
	busyPrompt  = 512
	busyTokens  = 32
	busyStreams = 8
)

// measureProcess starts the worker so often that the median of Repeats has a
// warm page cache, and puts the last one to work.
func measureProcess(ctx context.Context, o Options) (*Process, error) {
	o.say("start of the worker's process")
	var readies, firsts []time.Duration
	p := &Process{}
	for i := range o.Repeats + 1 {
		err := func() error {
			w, err := o.Spawn.start(ctx, o.Model)
			if err != nil {
				return err
			}
			defer w.stop()
			a, err := w.execute(ctx, "start", randomLetters(16), 1)
			if err = a.served(err); err != nil {
				return err
			}
			if i > 0 { // the first has brought the files to memory
				readies, firsts = append(readies, w.ready.Sub(w.began)), append(firsts, a.at[0].Sub(w.began))
			}
			if i < o.Repeats {
				return nil
			}
			o.say("memory of the worker's process under load")
			if err := w.busy(ctx); err != nil {
				return err
			}
			p.Private, p.Cache, p.Peak = w.private.end(), w.cache, readMemory(w.cmd.Process.Pid).peak
			p.Beyond = max(p.Private-p.Cache, 0)
			return nil
		}()
		if err != nil {
			return nil, fmt.Errorf("bench: the worker's process: %w", err)
		}
	}
	p.Ready, p.FirstToken = quantile(readies, 0.5), quantile(firsts, 0.5)
	return p, nil
}

// busy has the worker compute a long prompt, and then as many streams as it
// runs by default.
func (w *worker) busy(ctx context.Context) error {
	var a answer
	var err error
	for n := busyPrompt; n >= 16; n /= 2 {
		if a, err = w.execute(ctx, "long", randomLetters(n), 1); a.status != http.StatusBadRequest { // that is what a short context says
			break
		}
	}
	if err = a.served(err); err != nil {
		return err
	}
	var streams sync.WaitGroup
	errs := make([]error, busyStreams)
	for i := range errs {
		streams.Go(func() {
			a, err := w.execute(ctx, fmt.Sprintf("busy-%d", i), randomLetters(16), busyTokens)
			errs[i] = a.served(err)
		})
	}
	streams.Wait()
	return errors.Join(errs...)
}

// served turns an answer without tokens into an error.
func (a *answer) served(err error) error {
	switch {
	case err != nil:
		return err
	case a.failed != "":
		return fmt.Errorf("the stream failed: %s", a.failed)
	case len(a.at) == 0:
		return fmt.Errorf("HTTP status %d and no token", a.status)
	}
	return nil
}

// watching samples the private memory of a process.
type watching struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
	most   int64
}

// watch samples until end; the process may be over before.
func watch(ctx context.Context, pid int) *watching {
	s := &watching{}
	ctx, s.cancel = context.WithCancel(ctx)
	s.ended.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for ctx.Err() == nil {
			s.most = max(s.most, readMemory(pid).private)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	return s
}

// end stops the sampling and returns the largest sample.
func (s *watching) end() int64 {
	s.cancel()
	s.ended.Wait()
	return s.most
}
