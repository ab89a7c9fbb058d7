package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"llorch/deploy/demo/standin"
)

// health: a device that hangs, breaks or is slow, and a process that stands still.
var health = []Drill{
	{"hang-found-and-healed", "health", []int{4}, 40 * time.Second, hangFoundAndHealed},
	{"stop-during-a-hang", "health", []int{4, 10, 14}, 40 * time.Second, stopDuringHang},
	{"device-lost-mid-stream", "health", []int{3, 10}, 40 * time.Second, deviceLost},
	{"failed-step", "health", []int{3, 10}, 40 * time.Second, failedStep},
	{"slow-steps-are-no-hang", "health", []int{4}, 40 * time.Second, slowSteps},
	{"stopped-process", "health", []int{4, 9}, 40 * time.Second, stoppedProcess},
}

// afterWarmUp is a step that comes while the first requests run.
const afterWarmUp = 100

// hangFoundAndHealed: the device stands still for ten seconds with work in it.
func hangFoundAndHealed(ctx context.Context, b *Bench) (string, error) {
	w, err := b.ReadyFaulty(ctx, fmt.Sprintf("hang@%d:10s", afterWarmUp), hangFlags...)
	if err != nil {
		return "", err
	}
	s, read, err := begin(ctx, w, long("hung", 2*afterWarmUp))
	if err != nil {
		return "", err
	}
	defer s.Close()
	type ended struct {
		frames []standin.Frame
		err    error
	}
	stream := make(chan ended, 1)
	go func() {
		all, err := s.All(read...)
		stream <- ended{all, err}
	}()
	if err := untilHung(ctx, w); err != nil {
		return "", err
	}
	at := time.Now()
	limit, err := hungAndTold(ctx, w)
	if err != nil {
		return "", err
	}
	if err := until(ctx, "it heals", func() error { return expect(ctx, w, "GET", "/ready", nil, 200) }); err != nil {
		return "", err
	}
	all := <-stream
	if err = all.err; err == nil && standin.Last(all.frames).Type != "end" {
		err = errors.New("the stream that hung ended with " + standin.Last(all.frames).Raw)
	}
	found := at.Sub(tokenBefore(all.frames, at))
	if err == nil && (found < limit/2 || found > 2*limit+5*time.Second) { // for a machine that does other things, too
		err = fmt.Errorf("found after %v with a limit of %v", found, limit)
	}
	return fmt.Sprintf("hang found after %.1f s of %.1f s, healed by itself, the hung stream ended whole", found.Seconds(), limit.Seconds()), err
}

// tokenBefore is when the last token had come that was there at a time.
func tokenBefore(frames []standin.Frame, at time.Time) (last time.Time) {
	for _, f := range frames {
		if f.Type == "token" && f.At.Before(at) {
			last = f.At
		}
	}
	return last
}

// hangFlags have a hang called one after a second, or four times the longest
// step seen. Small prefill steps keep the step that is to be expected short.
var hangFlags = []string{"--hang-timeout", "1s", "--prefill-chunk", "32", "--shutdown-timeout", "500ms"}

func untilHung(ctx context.Context, w *standin.Worker) error {
	return until(ctx, "the hang is found", func() error {
		return expect(ctx, w, "GET", "/ready", nil, 503, `"cause":"hang"`, `"state":"degraded"`)
	})
}

// hungAndTold checks what a worker with a hung device says and does. It returns
// the time without a step that it calls a hang.
func hungAndTold(ctx context.Context, w *standin.Worker) (time.Duration, error) {
	if err := errors.Join(
		expect(ctx, w, "GET", "/live", nil, 200),
		expect(ctx, w, "POST", "/execute", short("refused"), 503, `"cause":"hang"`)); err != nil {
		return 0, err
	}
	line, err := logged(ctx, w, "hang")
	if err != nil {
		return 0, err
	}
	if !strings.Contains(fmt.Sprint(line.Fields["stacks"]), "goroutine ") {
		return 0, errors.New("the stacks are not in the log")
	}
	words := strings.Fields(fmt.Sprint(line.Fields["reason"])) // no step for 1s with …
	if len(words) < 4 {
		return 0, fmt.Errorf("the reason is %q", words)
	}
	return time.ParseDuration(words[3])
}

// stopDuringHang: the device never comes back, and the worker is told to stop.
func stopDuringHang(ctx context.Context, b *Bench) (string, error) {
	w, err := b.ReadyFaulty(ctx, fmt.Sprintf("hang@%d", afterWarmUp), hangFlags...)
	if err != nil {
		return "", err
	}
	s, read, err := begin(ctx, w, endless("hung"))
	if err != nil {
		return "", err
	}
	if err := untilHung(ctx, w); err != nil {
		return "", err
	}
	began := time.Now()
	if err := w.Signal(syscall.SIGTERM); err != nil {
		return "", err
	}
	all, err := s.All(read...)
	if err != nil {
		return "", err
	}
	if end := standin.Last(all); end.Type != "error" || end.Code != "CANCELLED" {
		return "", fmt.Errorf("the hung stream ended with %s", end.Raw)
	}
	if err := exits(ctx, w, 0); err != nil {
		return "", err
	}
	return fmt.Sprintf("stopped in %.2f s with a drain of 0.5 s and a device that never answers; the stream was ended", time.Since(began).Seconds()), nil
}

// deviceLost: the device breaks while eight streams run. What it computes from
// then on must reach nobody.
func deviceLost(ctx context.Context, b *Bench) (string, error) {
	const streams = 8
	w, err := b.ReadyFaulty(ctx, "fault@150", "--max-batch", fmt.Sprint(streams))
	if err != nil {
		return "", err
	}
	ended := make(chan error, streams)
	for i := range streams {
		go func() {
			s, err := w.Execute(ctx, "", endless(fmt.Sprint("lost-", i)))
			if err != nil {
				ended <- err
				return
			}
			all, err := s.All() // checks that nothing follows the terminal frame
			end := standin.Last(all)
			if err == nil && (end.Type != "error" || end.Code == "CANCELLED") {
				err = fmt.Errorf("a stream ended with %s", end.Raw)
			}
			// From the first such frame on nobody may be told that the worker is well.
			status, _, _, dialled := w.Do(ctx, "GET", "/health", nil)
			if err == nil && dialled == nil && status != 503 {
				err = fmt.Errorf("/health says %d after the fault", status)
			}
			ended <- err
		}()
	}
	var all error
	for range streams {
		all = errors.Join(all, <-ended)
	}
	if all != nil {
		return "", all
	}
	if err := exits(ctx, w, 3); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d of %d streams ended with an error, nothing after it, never 200 again, exit status 3", streams, streams), nil
}

// failedStep: one step fails, the device is well. Only its requests fail.
func failedStep(ctx context.Context, b *Bench) (string, error) {
	w, err := b.ReadyFaulty(ctx, fmt.Sprintf("error@%d", afterWarmUp))
	if err != nil {
		return "", err
	}
	s, read, err := begin(ctx, w, endless("failed"))
	if err != nil {
		return "", err
	}
	all, err := s.All(read...)
	if err != nil {
		return "", err
	}
	end := standin.Last(all)
	if end.Type != "error" || end.Code != "INFERENCE_FAILED" {
		return "", fmt.Errorf("the stream of the failed step ended with %s", end.Raw)
	}
	if _, err := whole(ctx, w, short("next")); err != nil {
		return "", err
	}
	return "its request ended with INFERENCE_FAILED, the next one was served", expect(ctx, w, "GET", "/health", nil, 200)
}

// slowSteps: full load with steps of a third of the time-out is work, not a hang.
func slowSteps(ctx context.Context, b *Bench) (string, error) {
	const lasts = 8 * time.Second
	w, err := b.ReadyFaulty(ctx, "slow@3:350ms", "--hang-timeout", "1s", "--max-batch", "8")
	if err != nil {
		return "", err
	}
	for i := range 16 {
		s, err := w.Execute(ctx, "", endless(fmt.Sprint("slow-", i)))
		if err != nil {
			return "", err
		}
		defer s.Close()
	}
	probes := 0
	for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err := expect(ctx, w, "GET", "/ready", nil, 200); err != nil {
			return "", err
		}
		probes++
	}
	steps, err := metric(ctx, w, "llorch_step_heartbeat_total")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("0 of %d probes in %v called it a hang, %.0f steps", probes, lasts, steps), nil
}

// stoppedProcess: SIGSTOP for three time-outs. The engine had no chance, which
// is no hang; the stream goes on where it was.
func stoppedProcess(ctx context.Context, b *Bench) (string, error) {
	w, err := b.Ready(ctx, "--hang-timeout", "1s")
	if err != nil {
		return "", err
	}
	s, read, err := begin(ctx, w, long("stopped", 400))
	if err != nil {
		return "", err
	}
	if err := w.Signal(syscall.SIGSTOP); err != nil {
		return "", err
	}
	time.Sleep(3 * time.Second)
	if err := w.Signal(syscall.SIGCONT); err != nil {
		return "", err
	}
	status, _, body, err := w.Do(ctx, "GET", "/ready", nil)
	if err != nil || status != 200 {
		return "", fmt.Errorf("/ready after SIGCONT: %d %s %w", status, body, err)
	}
	all, err := s.All(read...)
	if err != nil {
		return "", err
	}
	if _, hung := w.Find("hang"); hung {
		return "", errors.New("the log calls it a hang")
	}
	var told struct{ State string }
	if err := json.Unmarshal(body, &told); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s after 3 s of SIGSTOP, the stream went on to its %d tokens", told.State, standin.Last(all).TokensOut), nil
}
