package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"llorch/deploy/demo/standin"
)

// The exit statuses of a worker that its orchestrator does not want: from the
// start, and from then on.
const (
	statusNotStarted   = 1
	statusDeregistered = 5
)

// refusing: a 4xx to the first ready call ends the start, one to a later ready
// call drains the worker.
func refusing(ctx context.Context, b *Bench) (string, error) {
	no, err := b.Orchestrator(func(int, standin.Call) int { return http.StatusUnprocessableEntity })
	if err != nil {
		return "", err
	}
	w, err := b.Spawn(standin.Spawn{CallbackURL: no.URL("/ready")})
	if err != nil {
		return "", err
	}
	if err := exits(ctx, w, statusNotStarted); err != nil {
		return "", err
	}
	later, err := b.Orchestrator(func(n int, _ standin.Call) int {
		if n == 0 {
			return http.StatusOK
		}
		return http.StatusForbidden
	})
	if err != nil {
		return "", err
	}
	w, err = b.ReadyAs(ctx, standin.Spawn{CallbackURL: later.URL("/ready"), Args: []string{"--register-interval", "500ms"}})
	if err != nil {
		return "", err
	}
	if err := exits(ctx, w, statusDeregistered); err != nil {
		return "", err
	}
	if n := len(no.Calls()) + len(later.Calls()); n != 3 {
		return "", fmt.Errorf("%d calls instead of 3: a refusal was not final", n)
	}
	return "refused at the start: exit 1; refused later: drained, exit 5", nil
}

// twoWorkers: the second with an identity does not start, the first works on;
// when the orchestrator gives the identity away the first drains and ends.
func twoWorkers(ctx context.Context, b *Bench) (string, error) {
	registry, _, o, err := openRegistry(b)
	if err != nil {
		return "", err
	}
	flags := keeping(o, "--deregister-url", o.URL("/deregister"), "--shutdown-timeout", "1s")
	first, err := b.ReadyAs(ctx, standin.Spawn{CallbackURL: o.URL("/ready"), Args: flags})
	if err != nil {
		return "", err
	}
	second, err := b.Spawn(standin.Spawn{CallbackURL: o.URL("/ready"), Args: flags})
	if err != nil {
		return "", err
	}
	if err := exits(ctx, second, statusNotStarted); err != nil {
		return "", fmt.Errorf("the second worker: %w", err)
	}
	s, read, err := begin(ctx, first, endless("running"))
	if err != nil {
		return "", err
	}
	defer s.Close()
	registry.Take(first.ID, "another")
	if _, err := s.All(read...); err != nil {
		return "", err
	}
	if err := exits(ctx, first, statusDeregistered); err != nil {
		return "", fmt.Errorf("the first worker: %w", err)
	}
	if !strings.Contains(first.LogText(), `"cause":"deregistered"`) {
		return "", errors.New("the log does not name the cause")
	}
	if m, _ := registry.Member(first.ID); m.Epoch != "another" || m.State != "ready" {
		return "", fmt.Errorf("the other process's registration was touched: %+v", m)
	}
	return "never two: the second exits 1; the first, replaced, ends its stream and exits 5", nil
}

// secured are the files and the listener of an orchestrator with TLS.
func secured(b *Bench, r *standin.Registry) (a *standin.Authority, ca string, how standin.Listener, err error) {
	if a, err = standin.NewAuthority("stand-in authority"); err != nil {
		return
	}
	if ca, err = a.WriteCA(b.Dir); err != nil {
		return
	}
	how.Answer = r.Answer
	how.Port, err = standin.FreePort()
	return
}

// open gives the listener a certificate that is good until a moment.
func open(b *Bench, a *standin.Authority, how standin.Listener, until time.Time, askClients bool) (*standin.Orchestrator, error) {
	cert, key, err := a.Issue(b.Dir, "orchestrator", until)
	if err != nil {
		return nil, err
	}
	if how.TLS, err = a.Server(cert, key, askClients); err != nil {
		return nil, err
	}
	o, err := standin.Open(how)
	if err == nil {
		b.OnClose(o.Close)
	}
	return o, err
}

// certificateExpires: under a running worker, and before one starts.
func certificateExpires(ctx context.Context, b *Bench) (string, error) {
	registry := &standin.Registry{}
	a, ca, how, err := secured(b, registry)
	if err != nil {
		return "", err
	}
	o, err := open(b, a, how, time.Now().Add(time.Hour), false)
	if err != nil {
		return "", err
	}
	flags := keeping(o, "--callback-ca", ca)
	w, err := b.ReadyAs(ctx, standin.Spawn{CallbackURL: o.URL("/ready"), Args: flags})
	if err != nil {
		return "", err
	}
	m, _ := registry.Member(w.ID)
	o.Close()
	if o, err = open(b, a, how, time.Now().Add(-time.Minute), false); err != nil {
		return "", err
	}
	if _, err := untilLost(ctx, w, "untrusted", 1); err != nil {
		return "", err
	}
	late, err := b.Spawn(standin.Spawn{ID: "w-late", CallbackURL: o.URL("/ready"), Args: flags})
	if err != nil {
		return "", err
	}
	if err := exits(ctx, late, statusNotStarted); err != nil {
		return "", err
	}
	if !strings.Contains(late.LogText(), "expired") {
		return "", errors.New("the log of a worker that started with the expired certificate does not say so")
	}
	o.Close()
	registry.Forget()
	if _, err = open(b, a, how, time.Now().Add(time.Hour), false); err != nil {
		return "", err
	}
	took, err := untilBack(ctx, w, registry, m.Epoch)
	return fmt.Sprintf("serves on; back %.1f s after the renewal; a start says why it fails", took.Seconds()), err
}

// clientCertificate: an orchestrator wants to see one, and the worker's is
// replaced while it runs.
func clientCertificate(ctx context.Context, b *Bench) (string, error) {
	registry := &standin.Registry{}
	a, ca, how, err := secured(b, registry)
	if err != nil {
		return "", err
	}
	o, err := open(b, a, how, time.Now().Add(time.Hour), true)
	if err != nil {
		return "", err
	}
	without, err := b.Spawn(standin.Spawn{ID: "w-without", CallbackURL: o.URL("/ready"), Args: keeping(o, "--callback-ca", ca)})
	if err != nil {
		return "", err
	}
	if err := exits(ctx, without, statusNotStarted); err != nil {
		return "", err
	}
	cert, key, err := a.Issue(b.Dir, "worker", time.Now().Add(time.Hour))
	if err != nil {
		return "", err
	}
	flags := keeping(o, "--callback-ca", ca, "--callback-cert", cert, "--callback-key", key)
	w, err := b.ReadyAs(ctx, standin.Spawn{CallbackURL: o.URL("/ready"), Args: flags})
	if err != nil {
		return "", err
	}
	m, _ := registry.Member(w.ID)
	if _, _, err := a.Issue(b.Dir, "worker", time.Now().Add(-time.Minute)); err != nil {
		return "", err
	}
	if _, err := untilLost(ctx, w, "untrusted", 1); err != nil {
		return "", fmt.Errorf("with an expired certificate of its own: %w", err)
	}
	registry.Forget()
	if _, _, err := a.Issue(b.Dir, "worker", time.Now().Add(time.Hour)); err != nil {
		return "", err
	}
	took, err := untilBack(ctx, w, registry, m.Epoch)
	return fmt.Sprintf("without one: exit 1; replaced while running: taken up in %.1f s", took.Seconds()), err
}

// farewell: signed calls say draining at once and drained at the end, with the
// figures of the worker's own log.
func farewell(ctx context.Context, b *Bench) (string, error) {
	registry, _, o, err := openRegistry(b)
	if err != nil {
		return "", err
	}
	registry.Secret = []byte("a secret of the drill")
	secret := filepath.Join(b.Dir, "secret")
	if err := os.WriteFile(secret, registry.Secret, 0o600); err != nil {
		return "", err
	}
	flags := keeping(o, "--callback-secret-file", secret, "--deregister-url", o.URL("/deregister"), "--shutdown-timeout", "1s")
	w, err := b.ReadyAs(ctx, standin.Spawn{CallbackURL: o.URL("/v1/workers/ready"), Args: flags})
	if err != nil {
		return "", err
	}
	s, read, err := begin(ctx, w, endless("running"))
	if err != nil {
		return "", err
	}
	defer s.Close()
	if err := w.Signal(syscall.SIGTERM); err != nil {
		return "", err
	}
	if _, err := s.All(read...); err != nil {
		return "", err
	}
	if err := exits(ctx, w, 0); err != nil {
		return "", err
	}
	line, err := logged(ctx, w, "shutdown")
	if err != nil {
		return "", err
	}
	m, _ := registry.Member(w.ID)
	if all := registry.Refused(); len(all) > 0 {
		return "", fmt.Errorf("refused: %v", all)
	}
	return saidAtTheEnd(o.Calls(), m.Report, line)
}

// saidAtTheEnd checks the order of the farewells and holds the report against
// the worker's log.
func saidAtTheEnd(calls []standin.Call, report []byte, line standin.LogLine) (string, error) {
	var said struct{ Completed, Cut float64 }
	if err := json.Unmarshal(report, &said); err != nil {
		return "", fmt.Errorf("the report %q: %w", report, err)
	}
	var order []string
	for _, c := range calls {
		if c.Path == "/deregister" {
			var b struct{ State string }
			if err := json.Unmarshal(c.Body, &b); err != nil {
				return "", err
			}
			order = append(order, b.State)
		}
	}
	if len(order) < 2 || order[0] != "draining" || order[len(order)-1] != "drained" || said.Completed != line.Fields["completed"] || said.Cut != line.Fields["cut"] {
		return "", fmt.Errorf("said %v with %s, the log has %v", order, report, line.Fields)
	}
	return fmt.Sprintf("draining, then drained with %v completed and %v cut; every call signed", said.Completed, said.Cut), nil
}
