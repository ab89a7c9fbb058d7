package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"llorch/deploy/demo/standin"
	units "llorch/deploy/systemd"
)

// systemd: what the service manager is told, and what it makes of the units.
var systemd = []Drill{
	{"notify-one-life", "systemd", []int{9, 14}, 40 * time.Second, notifyOneLife},
	{"stopped-process-starves-watchdog", "systemd", []int{4, 9}, 40 * time.Second, stopStarves},
	{"hung-device-starves-watchdog", "systemd", []int{4, 9}, 60 * time.Second, hangStarves},
	{"socket-activation", "systemd", []int{9}, 40 * time.Second, socketActivation},
	{"units", "systemd", []int{9}, 40 * time.Second, unitsVerify},
}

// dog is the watchdog's time in these drills. A worker feeds it at half of it.
const dog = time.Second

// notified is a manager's socket and the variables that lead a worker to it.
func notified(b *Bench) (m *standin.Manager, env []string, err error) {
	name := filepath.Join(b.Dir, "notify")
	if m, err = standin.ListenNotify(name); err != nil {
		return nil, nil, err
	}
	b.OnClose(m.Close)
	return m, []string{"NOTIFY_SOCKET=" + name, fmt.Sprintf("WATCHDOG_USEC=%d", dog.Microseconds())}, nil
}

// hears waits until so many messages have held the text.
func hears(ctx context.Context, m *standin.Manager, text string, times int) error {
	return until(ctx, fmt.Sprintf("%s is heard, %d times", text, times), func() error {
		if n := m.Count(text); n < times {
			return fmt.Errorf("heard %d times", n)
		}
		return nil
	})
}

// notifyOneLife: load, ready, fed, stopping, drained, in this order.
func notifyOneLife(ctx context.Context, b *Bench) (string, error) {
	m, env, err := notified(b)
	if err != nil {
		return "", err
	}
	began := time.Now()
	w, err := b.ReadyAs(ctx, standin.Spawn{Env: env})
	if err != nil {
		return "", err
	}
	if err := hears(ctx, m, "WATCHDOG=1", 3); err != nil {
		return "", err
	}
	s, read, err := begin(ctx, w, long("drained", 100))
	if err != nil {
		return "", err
	}
	if err := w.Signal(syscall.SIGTERM); err != nil {
		return "", err
	}
	if _, err := s.All(read...); err != nil {
		return "", err
	}
	if err := errors.Join(exits(ctx, w, 0), hears(ctx, m, "STATUS=drained", 1)); err != nil {
		return "", err
	}
	heard := m.Heard()
	at, readyAfter := 0, time.Duration(0)
	for _, want := range []string{"EXTEND_TIMEOUT_USEC=", "READY=1\n", "WATCHDOG=1", "STOPPING=1\n", "STATUS=drained"} {
		for at < len(heard) && !strings.Contains(heard[at].Text, want) {
			at++
		}
		if at == len(heard) {
			return "", fmt.Errorf("%q was not heard, or not in its place: %q", want, heard)
		}
		if want == "READY=1\n" {
			readyAfter = heard[at].At.Sub(began)
		}
	}
	return fmt.Sprintf("READY after %.2f s, fed %d times, %s", readyAfter.Seconds(), m.Count("WATCHDOG=1"),
		strings.TrimPrefix(heard[at].Text, "STATUS=")), nil
}

// starved checks that nothing is fed for two of the watchdog's times.
func starved(ctx context.Context, m *standin.Manager) error {
	time.Sleep(200 * time.Millisecond) // what was under way arrives
	before := m.Count("WATCHDOG=1")
	select {
	case <-time.After(2 * dog): // what must not happen has no end to wait for
	case <-ctx.Done():
		return ctx.Err()
	}
	if after := m.Count("WATCHDOG=1"); after != before {
		return fmt.Errorf("fed %d times meanwhile", after-before)
	}
	return nil
}

// stopStarves: SIGSTOP, two watchdog times of silence, SIGCONT.
func stopStarves(ctx context.Context, b *Bench) (string, error) {
	m, env, err := notified(b)
	if err != nil {
		return "", err
	}
	w, err := b.ReadyAs(ctx, standin.Spawn{Env: env})
	if err != nil {
		return "", err
	}
	if err := hears(ctx, m, "WATCHDOG=1", 2); err != nil {
		return "", err
	}
	if err := w.Signal(syscall.SIGSTOP); err != nil {
		return "", err
	}
	if err := starved(ctx, m); err != nil {
		return "", err
	}
	fed := m.Count("WATCHDOG=1")
	if err := w.Signal(syscall.SIGCONT); err != nil {
		return "", err
	}
	began := time.Now()
	if err := hears(ctx, m, "WATCHDOG=1", fed+1); err != nil {
		return "", err
	}
	return fmt.Sprintf("not fed for %v, so systemd would end it after %v; fed %.2f s after SIGCONT", 2*dog, dog, time.Since(began).Seconds()),
		expect(ctx, w, "GET", "/ready", nil, 200)
}

// hangStarves: the process runs and answers, its device does not.
func hangStarves(ctx context.Context, b *Bench) (string, error) {
	m, env, err := notified(b)
	if err != nil {
		return "", err
	}
	w, err := b.ReadyFaultyAs(ctx, fmt.Sprintf("hang@%d:12s", afterWarmUp), standin.Spawn{Env: env, Args: hangFlags})
	if err != nil {
		return "", err
	}
	s, _, err := begin(ctx, w, long("hung", 2*afterWarmUp))
	if err != nil {
		return "", err
	}
	defer s.Close()
	if err := untilHung(ctx, w); err != nil {
		return "", err
	}
	if err := errors.Join(starved(ctx, m), expect(ctx, w, "GET", "/live", nil, 200), expect(ctx, w, "GET", "/live?hang=fail", nil, 503)); err != nil {
		return "", err
	}
	fed := m.Count("WATCHDOG=1")
	return fmt.Sprintf("not fed for %v of a hang, fed again after it", 2*dog), hears(ctx, m, "WATCHDOG=1", fed+1)
}

// socketActivation: systemd's own tool holds the port, and the first caller
// starts the worker.
func socketActivation(ctx context.Context, b *Bench) (string, error) {
	const tool = "systemd-socket-activate"
	if _, err := exec.LookPath(tool); err != nil {
		return "", Skip("%s was not found: install systemd", tool)
	}
	port, err := standin.FreePort()
	if err != nil {
		return "", err
	}
	// What the tool says itself is no line of the worker's log.
	script := fmt.Sprintf("#!/bin/sh\nexec %s --listen=127.0.0.1:%d --fdname=http '%s' \"$@\" 2>/dev/null\n", tool, port, b.Bin)
	activator := filepath.Join(b.Dir, "activator")
	if err := os.WriteFile(activator, []byte(script), 0o700); err != nil {
		return "", err
	}
	w, err := b.Spawn(standin.Spawn{Bin: activator, Port: port})
	if err != nil {
		return "", err
	}
	var answered time.Duration
	err = until(ctx, "the port is held", func() error {
		began := time.Now()
		defer func() { answered = time.Since(began) }()
		return expect(ctx, w, "GET", "/live", nil, 200)
	})
	if err == nil {
		err = w.WaitHealthy(ctx)
	}
	if err != nil {
		return "", err
	}
	line, err := logged(ctx, w, "listening")
	if err == nil && (line.Fields["source"] != "inherited" || line.Fields["name"] != "http") {
		err = fmt.Errorf("the socket was not taken over: %v", line.Fields)
	}
	if err == nil {
		err = w.Signal(syscall.SIGTERM)
	}
	return fmt.Sprintf("the caller that started the worker had its answer after %.2f s", answered.Seconds()), errors.Join(err, exits(ctx, w, 0))
}

// unitsVerify: systemd has no complaint of the units, and counts little that a
// worker could do beside its work.
func unitsVerify(ctx context.Context, b *Bench) (string, error) {
	paths, err := units.Stage(b.Dir, b.Bin)
	if err != nil {
		return "", err
	}
	complaints, err := units.Verify(ctx, paths...)
	if errors.Is(err, units.ErrNoTool) {
		return "", Skip("%v", err)
	}
	if err != nil || complaints != "" {
		return "", errors.Join(err, errors.New(complaints))
	}
	figure := fmt.Sprintf("%d units, no complaint; exposure", len(paths))
	for _, p := range paths {
		if filepath.Ext(p) != ".service" {
			continue
		}
		score, _, err := units.Exposure(ctx, p)
		if errors.Is(err, units.ErrNoTool) {
			return "", Skip("%v", err)
		}
		if err == nil && score > 2 {
			err = fmt.Errorf("%s: exposure %.1f", filepath.Base(p), score)
		}
		if err != nil {
			return "", err
		}
		figure += fmt.Sprintf(" %.1f (%s)", score, strings.TrimSuffix(filepath.Base(p), ".service"))
	}
	return figure, nil
}
