package agent

import (
	"context"
	"strconv"
	"sync"

	"llorch/inference"
)

// jobs knows the requests in flight by their id, so that they can be cancelled
// from another connection and an id cannot run twice.
type jobs struct {
	mu      sync.Mutex
	running map[string]*job
	count   uint64        // of jobs so far
	ended   chan struct{} // room for one: a job has ended
	machine *Machine
}

type job struct {
	id string
	// run is the job's id for the engine, unlike any other: a job whose device
	// is inside a long step is over for its client before the engine forgets it,
	// and the client may use the id again.
	run    string
	cancel context.CancelCauseFunc
	owner  *jobs
	once   sync.Once
}

func newJobs(m *Machine) *jobs {
	return &jobs{running: map[string]*job{}, machine: m, ended: make(chan struct{}, 1)}
}

// add enters a job; ok is false when its id is running already.
func (j *jobs) add(id string, cancel context.CancelCauseFunc) (*job, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, there := j.running[id]; there {
		return nil, false
	}
	j.count++
	entry := &job{id: id, run: strconv.FormatUint(j.count, 10), cancel: cancel, owner: j}
	j.running[id] = entry
	j.machine.begin()
	return entry, true
}

// release takes the job out, once. It comes before the terminal frame goes
// out: a client that has read the end may use the id again at once.
func (e *job) release() {
	e.once.Do(func() {
		e.owner.mu.Lock()
		delete(e.owner.running, e.id)
		e.owner.mu.Unlock()
		e.owner.machine.done()
		select {
		case e.owner.ended <- struct{}{}:
		default:
		}
	})
}

// cancel stops a job and reports whether it was running.
func (j *jobs) cancel(id string) bool {
	j.mu.Lock()
	e := j.running[id]
	j.mu.Unlock()
	if e == nil {
		return false
	}
	e.cancel(inference.ErrCancelled)
	return true
}

// wait returns when no job runs, or ctx ends; it has one caller at a time.
func (j *jobs) wait(ctx context.Context) {
	for {
		j.mu.Lock()
		left := len(j.running)
		j.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-j.ended:
		case <-ctx.Done():
			return
		}
	}
}

// cancelAll stops every job. Their streams end with a terminal frame within
// cancelGrace, also while the device is inside a step that takes longer.
func (j *jobs) cancelAll(cause error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.running {
		e.cancel(cause)
	}
}
