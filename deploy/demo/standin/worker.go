package standin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Spawn says which worker to start. Port 0 takes a free one.
type Spawn struct {
	Bin, Model, ID string
	CallbackURL    string // "" = none
	Port           int
	Idle           int       // connections kept for the next request; 0 = 2
	Args           []string  // more flags
	Env            []string  // more variables, NAME=value
	Log            io.Writer // takes a copy of the worker's log; nil = none
}

// Worker is a spawned process.
type Worker struct {
	ID     string
	Port   int
	cmd    *exec.Cmd
	log    *journal
	client *http.Client
	exited chan struct{} // closed when the process has ended
	status int
}

// journal keeps the worker's log.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
	copy io.Writer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Write(p)
	if j.copy != nil {
		_, _ = j.copy.Write(p)
	}
	return len(p), nil
}

// FreePort finds a port that nobody uses at this moment, below the range from
// which the kernel takes ports for outgoing connections: one of those could
// otherwise have it before the worker does.
func FreePort() (int, error) {
	const lowest, highest = 20000, 32000
	var last error
	for range 100 {
		port := lowest + rand.IntN(highest-lowest)
		l, err := net.Listen("tcp", net.JoinHostPort("0.0.0.0", fmt.Sprint(port)))
		if err == nil {
			return port, l.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("standin: no free port from %d to %d: %w", lowest, highest, last)
}

// Start spawns a worker. The caller's LLORCH_ variables do not reach it: what
// it does depends on Spawn alone.
func Start(s Spawn) (*Worker, error) {
	if s.Port == 0 {
		var err error
		if s.Port, err = FreePort(); err != nil {
			return nil, err
		}
	}
	args := []string{"--worker-id", s.ID, "--model", s.Model, "--port", fmt.Sprint(s.Port)}
	if s.CallbackURL != "" {
		args = append(args, "--callback-url", s.CallbackURL)
	}
	w := &Worker{ID: s.ID, Port: s.Port, log: &journal{copy: s.Log}, exited: make(chan struct{})}
	w.client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: s.Idle}}
	w.cmd = exec.Command(s.Bin, append(args, s.Args...)...)
	w.cmd.Stdout, w.cmd.Stderr = w.log, w.log
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "LLORCH_") {
			w.cmd.Env = append(w.cmd.Env, v)
		}
	}
	w.cmd.Env = append(w.cmd.Env, s.Env...)
	w.cmd.SysProcAttr = ownGroup() // a Ctrl-C on our terminal is ours to pass on
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("standin: spawn %s: %w", s.Bin, err)
	}
	go func() {
		_ = w.cmd.Wait() // the status says it all
		w.status = w.cmd.ProcessState.ExitCode()
		close(w.exited)
	}()
	return w, nil
}

// PID is the worker's process id.
func (w *Worker) PID() int { return w.cmd.Process.Pid }

// URL is the worker's address with a path.
func (w *Worker) URL(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", w.Port, path) }

// Do sends one request and reads the whole answer. body nil sends none;
// headers alternate names and values.
func (w *Worker) Do(ctx context.Context, method, path string, body any, headers ...string) (int, http.Header, []byte, error) {
	resp, err := w.send(ctx, method, path, body, headers)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, text, err
}

func (w *Worker) send(ctx context.Context, method, path string, body any, headers []string) (*http.Response, error) {
	var b io.Reader
	if body != nil {
		j, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("standin: %w", err)
		}
		b = bytes.NewReader(j)
	}
	req, err := http.NewRequestWithContext(ctx, method, w.URL(path), b)
	if err != nil {
		return nil, fmt.Errorf("standin: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return w.client.Do(req)
}

// WaitHealthy polls /health until it answers 200.
func (w *Worker) WaitHealthy(ctx context.Context) error {
	for {
		status, _, _, err := w.Do(ctx, "GET", "/health", nil)
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-w.exited:
			return fmt.Errorf("standin: the worker exited with status %d before it was ready:\n%s", w.status, tail(w.LogText(), 2000))
		case <-ctx.Done():
			return fmt.Errorf("standin: the worker did not get ready: %w:\n%s", context.Cause(ctx), tail(w.LogText(), 2000))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// CloseIdle closes the connections that are kept for the next request.
func (w *Worker) CloseIdle() { w.client.CloseIdleConnections() }

// Signal sends a signal.
func (w *Worker) Signal(s os.Signal) error { return w.cmd.Process.Signal(s) }

// Wait waits for the end and returns the exit status, −1 for a signal.
func (w *Worker) Wait(limit time.Duration) (int, error) {
	defer w.client.CloseIdleConnections()
	select {
	case <-w.exited:
		return w.status, nil
	case <-time.After(limit):
		return 0, fmt.Errorf("standin: the worker still runs after %v", limit)
	}
}

// Kill ends the process if it still runs.
func (w *Worker) Kill() {
	if err := w.cmd.Process.Kill(); err == nil || errors.Is(err, os.ErrProcessDone) {
		<-w.exited
	}
	w.client.CloseIdleConnections()
}

// LogText is what the worker has logged.
func (w *Worker) LogText() string {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	return w.log.text.String()
}

// LogLine is one line of the worker's log.
type LogLine struct {
	Timestamp time.Time      `json:"timestamp"`
	Level     string         `json:"level"`
	Fields    map[string]any `json:"fields"`
}

// Log parses the log; a line that is not in the agreed shape is an error. While the worker runs its last lines may still
// be under way: see WaitLine.
func (w *Worker) Log() ([]LogLine, error) {
	var all []LogLine
	whole := w.LogText()
	for text := range strings.Lines(whole[:strings.LastIndexByte(whole, '\n')+1]) {
		var l LogLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			return all, fmt.Errorf("standin: log line %q: %w", text, err)
		}
		if l.Timestamp.IsZero() || l.Level == "" || l.Fields["message"] == nil {
			return all, fmt.Errorf("standin: log line %q lacks timestamp, level or message", text)
		}
		all = append(all, l)
	}
	return all, nil
}

// Find returns the last log line with this message.
func (w *Worker) Find(message string) (LogLine, bool) {
	lines, _ := w.Log()
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i].Fields["message"] == message {
			return lines[i], true
		}
	}
	return LogLine{}, false
}

// WaitLine returns the last log line with this message as soon as there is one. What the worker does reaches its log a
// little later than its answers.
func (w *Worker) WaitLine(ctx context.Context, message string) (LogLine, error) {
	for {
		over := w.over()
		if l, ok := w.Find(message); ok {
			return l, nil
		}
		if over {
			return LogLine{}, fmt.Errorf("standin: the worker ended without a log line %q", message)
		}
		select {
		case <-ctx.Done():
			return LogLine{}, fmt.Errorf("standin: no log line %q: %w", message, context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// over reports whether the worker has ended and all of its log been read.
func (w *Worker) over() bool {
	select {
	case <-w.exited:
		return true
	default:
		return false
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
