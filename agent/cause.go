package agent

import (
	"errors"
	"net/http"
)

// Cause says in one word why the worker takes no work. The words are part of
// the wire: scripts and alerts compare them.
type Cause uint8

const (
	CauseNone Cause = iota
	CauseStarting
	CauseLoading
	CauseVerifying
	CauseRegistering
	CauseHang
	CauseResidency
	CauseFilesChanged
	CauseFault
	CauseDeregistered
	CauseDraining
	CauseStopped
	numCauses
)

// causeFacts is everything that depends on the cause, in one table.
var causeFacts = [numCauses]struct {
	word   string
	status int  // of /health and /ready
	heals  bool // the worker may become ready again by itself
	exit   int  // exit status of a process that ends because of it
}{
	CauseNone:        {"", http.StatusOK, true, exitOK},
	CauseStarting:    {"starting", http.StatusServiceUnavailable, true, exitError},
	CauseLoading:     {"loading", http.StatusServiceUnavailable, true, exitError},
	CauseVerifying:   {"verifying", http.StatusServiceUnavailable, true, exitError},
	CauseRegistering: {"registering", http.StatusServiceUnavailable, true, exitError},
	// The worker does not end itself for a hang: a watchdog that is starved does, by a signal. A stop that is asked for
	// does not wait for the device.
	CauseHang: {"hang", http.StatusServiceUnavailable, true, exitOK},
	// These two end the process when they last, see --residency-timeout: a new worker may get the memory, or the new files.
	CauseResidency:    {"residency", http.StatusServiceUnavailable, true, exitLost},
	CauseFilesChanged: {"files_changed", http.StatusServiceUnavailable, true, exitLost}, // heals when the old files are put back
	CauseFault:        {"device_fault", http.StatusServiceUnavailable, false, exitRestart},
	CauseDeregistered: {"deregistered", http.StatusServiceUnavailable, false, exitDeregistered}, // while it drains for that
	CauseDraining:     {"draining", http.StatusServiceUnavailable, false, exitOK},
	CauseStopped:      {"stopped", http.StatusServiceUnavailable, false, exitOK},
}

// Exit statuses of a worker; 2, wrong flags, is given before there is one.
const (
	exitOK      = 0
	exitError   = 1
	exitRestart = 3 // nothing is wrong with the settings: start the worker again
	exitLost    = 4 // the model's memory or files were lost for good: the same

	exitDeregistered = 5 // the orchestrator has no use for this worker: do not start it again by yourself
)

// ErrFault marks the end of a worker that lost its device.
var ErrFault = errors.New("agent: device fault")

// ErrDeregistered marks the end of a worker that its orchestrator no longer wants.
var ErrDeregistered = errors.New("agent: deregistered")

// ErrLost marks the end of a worker whose model is not in memory any more.
var ErrLost = errors.New("agent: residency lost")

// ExitStatus is the status a process must end with after Run returned err.
func ExitStatus(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, ErrFault):
		return causeFacts[CauseFault].exit
	case errors.Is(err, ErrDeregistered):
		return causeFacts[CauseDeregistered].exit
	case errors.Is(err, ErrLost):
		return causeFacts[CauseResidency].exit
	}
	return exitError
}

func (c Cause) String() string { return causeFacts[c].word }

// Heals reports whether the worker may become ready again by itself.
func (c Cause) Heals() bool { return causeFacts[c].heals }

// HealthStatus is the HTTP status a probe gets while the cause holds.
func (c Cause) HealthStatus() int { return causeFacts[c].status }
