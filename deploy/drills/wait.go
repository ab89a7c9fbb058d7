package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"llorch/deploy/demo/standin"
)

// until waits for a state. It gives up with the context, and says then what was
// being waited for and what was seen last.
func until(ctx context.Context, what string, look func() error) error {
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("never happened: %s: %w", what, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// expect sends a request and compares the status; the answer must hold the texts.
func expect(ctx context.Context, w *standin.Worker, method, path string, body any, status int, texts ...string) error {
	got, _, answer, err := w.Do(ctx, method, path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if got != status {
		return fmt.Errorf("%s %s: %d instead of %d: %.300s", method, path, got, status, answer)
	}
	for _, t := range texts {
		if !strings.Contains(string(answer), t) {
			return fmt.Errorf("%s %s: no %q in %.300s", method, path, t, answer)
		}
	}
	return nil
}

// logged waits for a line of the worker's log: lines arrive after the answers
// that they are about.
func logged(ctx context.Context, w *standin.Worker, message string) (line standin.LogLine, err error) {
	err = until(ctx, "a log line "+message, func() error {
		var ok bool
		if line, ok = w.Find(message); !ok {
			return errors.New("there is none")
		}
		return nil
	})
	return line, err
}

// metric reads one value of /metrics.
func metric(ctx context.Context, w *standin.Worker, name string, labels ...string) (float64, error) {
	_, _, text, err := w.Do(ctx, "GET", "/metrics", nil)
	if err != nil {
		return 0, err
	}
	v, ok := standin.Sample(string(text), name, labels...)
	if !ok {
		return 0, fmt.Errorf("/metrics has no %s %v", name, labels)
	}
	return v, nil
}

// exits waits for the end of the process and compares its status.
func exits(ctx context.Context, w *standin.Worker, status int) error {
	limit := time.Minute
	if end, ok := ctx.Deadline(); ok {
		limit = time.Until(end)
	}
	got, err := w.Wait(limit)
	if err == nil && got != status {
		err = fmt.Errorf("exit status %d instead of %d", got, status)
	}
	return err
}

// endless is a request that runs to its last token: a penalty below 1 favours
// what was said before, so the text goes in circles and never ends itself.
func endless(id string) standin.Request { return long(id, 2000) }

// long is a request of exactly so many tokens.
func long(id string, tokens int) standin.Request {
	favour := 0.3
	return standin.Request{JobID: id, Prompt: "Once upon a time", MaxTokens: tokens, RepetitionPenalty: &favour}
}

// short is a request of a few tokens.
func short(id string) standin.Request {
	return standin.Request{JobID: id, Prompt: "Once upon a time", MaxTokens: 8}
}

// whole runs a request to its end and wants a good one.
func whole(ctx context.Context, w *standin.Worker, r standin.Request) ([]standin.Frame, error) {
	s, err := w.Execute(ctx, "", r)
	if err != nil {
		return nil, err
	}
	if s.Status != 200 {
		s.Close()
		return nil, fmt.Errorf("request %s: status %d", r.JobID, s.Status)
	}
	all, err := s.All()
	if err == nil && standin.Last(all).Type != "end" {
		err = fmt.Errorf("request %s ended with %s", r.JobID, standin.Last(all).Raw)
	}
	return all, err
}

// begin starts a request and reads up to its first token.
func begin(ctx context.Context, w *standin.Worker, r standin.Request) (*standin.Stream, []standin.Frame, error) {
	s, err := w.Execute(ctx, "", r)
	if err != nil {
		return nil, nil, err
	}
	var read []standin.Frame
	for {
		f, err := s.Next()
		if err != nil {
			s.Close()
			return nil, nil, fmt.Errorf("request %s, status %d, before its first token: %w", r.JobID, s.Status, err)
		}
		read = append(read, f)
		if f.Type == "token" {
			return s, read, nil
		}
	}
}
