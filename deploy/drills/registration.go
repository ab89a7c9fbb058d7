package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"llorch/deploy/demo/standin"
)

// registration: the orchestrator that is down, slow, wrong or forgetful.
var registration = []Drill{
	{"orchestrator-down", "registration", []int{5}, time.Minute, outage("unreachable", 6, down)},
	{"orchestrator-slow", "registration", []int{5}, time.Minute, outage("timeout", 2, slow)},
	{"orchestrator-half-open", "registration", []int{5}, time.Minute, outage("timeout", 2, halfOpen)},
	{"orchestrator-answers-500", "registration", []int{5}, time.Minute, outage("server_error", 4, failing)},
	{"orchestrator-redirects", "registration", []int{5}, time.Minute, outage("redirected", 2, redirecting)},
	{"orchestrator-never-ends-its-answer", "registration", []int{5}, time.Minute, outage("server_error", 2, endlessAnswer)},
	{"orchestrator-restarts-without-memory", "registration", []int{5}, time.Minute, lostState},
	{"orchestrator-refuses", "registration", []int{5}, time.Minute, refusing},
	{"certificate-expires", "registration", []int{5}, time.Minute, certificateExpires},
	{"client-certificate-is-asked-for", "registration", []int{5}, time.Minute, clientCertificate},
	{"two-workers-with-one-identity", "registration", []int{5, 14}, time.Minute, twoWorkers},
	{"farewell-in-order", "registration", []int{5, 14}, time.Minute, farewell},
}

// back is the time within which an orchestrator that returns must have the
// worker again.
const back = 5 * time.Second

// keeping are the flags of a worker whose registration is watched closely.
func keeping(o *standin.Orchestrator, more ...string) []string {
	return append([]string{"--heartbeat-interval", "200ms", "--callback-timeout", "1s", "--hive-url", o.URL("")}, more...)
}

// breaker makes something wrong listen on the port of an orchestrator that has
// gone, and returns what ends it.
type breaker func(b *Bench, port int) (mend func(), err error)

func down(*Bench, int) (func(), error) { return func() {}, nil }

func halfOpen(b *Bench, port int) (func(), error) {
	s, err := standin.ListenSilent(port)
	if err != nil {
		return nil, err
	}
	b.OnClose(s.Close)
	return func() { s.Close() }, nil
}

func slow(b *Bench, port int) (func(), error) {
	hold := make(chan struct{})
	end, err := answering(standin.Listener{Answer: func(int, standin.Call) int { <-hold; return http.StatusOK }})(b, port)
	return func() { end(); close(hold) }, err
}

func failing(b *Bench, port int) (func(), error) {
	return answering(standin.Listener{Answer: func(int, standin.Call) int { return http.StatusInternalServerError }})(b, port)
}

func endlessAnswer(b *Bench, port int) (func(), error) {
	return answering(standin.Listener{Reply: standin.Endless(http.StatusInternalServerError)})(b, port)
}

// redirecting fails heartbeats, since one that is redirected is no loss, and
// sends ready calls to a thief.
func redirecting(b *Bench, port int) (func(), error) {
	thief, err := b.Orchestrator(nil)
	if err != nil {
		return nil, err
	}
	b.OnClose(func() error {
		if n := len(thief.Calls()); n > 0 {
			return fmt.Errorf("%d calls followed a redirect to another host", n)
		}
		return nil
	})
	return answering(standin.Listener{Reply: func(n int, c standin.Call, w http.ResponseWriter) bool {
		if strings.HasSuffix(c.Path, "heartbeat") {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return standin.Redirect(thief.URL("/ready"))(n, c, w)
	}})(b, port)
}

func answering(how standin.Listener) breaker {
	return func(b *Bench, port int) (func(), error) {
		how.Port = port
		o, err := standin.Open(how)
		if err != nil {
			return nil, err
		}
		b.OnClose(o.Close)
		return func() { o.Close() }, nil
	}
}

// outage breaks the orchestrator of a registered worker until it has seen so
// many attempts fail (six bring its waits to their longest), gives it a new one
// without memory, and measures how long it takes to be back.
func outage(outcome string, atLeast float64, breaks breaker) func(context.Context, *Bench) (string, error) {
	return func(ctx context.Context, b *Bench) (string, error) {
		registry, how, o, err := openRegistry(b)
		if err != nil {
			return "", err
		}
		w, err := b.ReadyAs(ctx, standin.Spawn{CallbackURL: o.URL("/ready"), Args: keeping(o)})
		if err != nil {
			return "", err
		}
		before, _ := registry.Member(w.ID)
		o.Close()
		mend, err := breaks(b, how.Port)
		if err != nil {
			return "", err
		}
		attempts, err := untilLost(ctx, w, outcome, atLeast)
		if err != nil {
			return "", err
		}
		if _, err := whole(ctx, w, short("alone")); err != nil {
			return "", fmt.Errorf("a worker without its orchestrator does not work: %w", err)
		}
		mend()
		registry.Forget()
		if o, err = standin.Open(how); err != nil {
			return "", err
		}
		b.OnClose(o.Close)
		took, err := untilBack(ctx, w, registry, before.Epoch)
		return fmt.Sprintf("%v attempts %s; back after %.1f s", attempts, outcome, took.Seconds()), err
	}
}

// openRegistry starts an orchestrator with a memory on a port that it can have
// again.
func openRegistry(b *Bench) (*standin.Registry, standin.Listener, *standin.Orchestrator, error) {
	port, err := standin.FreePort()
	if err != nil {
		return nil, standin.Listener{}, nil, err
	}
	registry := &standin.Registry{}
	how := standin.Listener{Port: port, Answer: registry.Answer}
	o, err := standin.Open(how)
	if err != nil {
		return nil, how, nil, err
	}
	b.OnClose(o.Close)
	return registry, how, o, nil
}

// The values of llorch_registration_state that are looked for.
const (
	stateRegistered    = 2
	stateLost          = 3
	stateReregistering = 4
)

// untilLost waits until the metrics say that the registration is lost, and that
// so many calls have ended in this way; it returns how many.
func untilLost(ctx context.Context, w *standin.Worker, outcome string, atLeast float64) (attempts float64, err error) {
	err = until(ctx, "lost, with attempts that ended as "+outcome, func() error {
		state, err := metric(ctx, w, "llorch_registration_state")
		if err != nil {
			return err
		}
		attempts, err = metric(ctx, w, "llorch_callback_attempts_total", fmt.Sprintf("outcome=%q", outcome))
		if err == nil && (state != stateLost && state != stateReregistering || attempts < atLeast) {
			err = fmt.Errorf("state %v, %v attempts", state, attempts)
		}
		return err
	})
	return attempts, err
}

// untilBack measures the time from now until a registry knows the worker, with
// the epoch that it has always had.
func untilBack(ctx context.Context, w *standin.Worker, r *standin.Registry, epoch string) (time.Duration, error) {
	began := time.Now()
	var m standin.Member
	err := until(ctx, "registered again", func() error {
		var ok bool
		if m, ok = r.Member(w.ID); !ok {
			return errors.New("the orchestrator does not know it")
		}
		return nil
	})
	took := time.Since(began)
	if err != nil {
		return took, err
	}
	if m.Epoch != epoch || epoch == "" {
		return took, fmt.Errorf("epoch %q, was %q", m.Epoch, epoch)
	}
	if took > back {
		return took, fmt.Errorf("registered again only after %v, the limit is %v", took, back)
	}
	return took, until(ctx, "the metric says registered", func() error {
		s, err := metric(ctx, w, "llorch_registration_state")
		if err == nil && s != stateRegistered {
			err = fmt.Errorf("it says %v", s)
		}
		return err
	})
}

// lostState: the orchestrator has forgotten everybody, three times, without
// having been away.
func lostState(ctx context.Context, b *Bench) (string, error) {
	registry, _, o, err := openRegistry(b)
	if err != nil {
		return "", err
	}
	w, err := b.ReadyAs(ctx, standin.Spawn{CallbackURL: o.URL("/v2/internal/workers/ready"), Args: keeping(o)})
	if err != nil {
		return "", err
	}
	m, _ := registry.Member(w.ID)
	var longest time.Duration
	for range 3 {
		registry.Forget()
		took, err := untilBack(ctx, w, registry, m.Epoch)
		if err != nil {
			return "", err
		}
		longest = max(longest, took)
	}
	gone, err := metric(ctx, w, "llorch_callback_attempts_total", `outcome="gone"`)
	if err == nil && gone < 3 {
		err = fmt.Errorf("three losses, %v heartbeats answered 404", gone)
	}
	return fmt.Sprintf("3 of 3 losses mended, the slowest in %.1f s", longest.Seconds()), err
}
