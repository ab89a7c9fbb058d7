package bench

import (
	"bufio"
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
	"syscall"
	"time"
)

// Spawn says how the worker's process is started.
type Spawn struct {
	Bin  string
	Args []string // settings of the engine; model, port and log format are added
	Env  []string // as os.Environ; nil = this process's
}

// worker is a spawned process that serves on loopback.
type worker struct {
	cmd     *exec.Cmd
	url     string
	began   time.Time // when the process was started
	ready   time.Time // when its log said that it is
	cache   int64     // bytes of its key-value cache, by its own plan
	client  *http.Client
	private *watching
	ended   chan struct{} // closed when its log has ended
	fault   string        // in that log: of a worker that ended early
}

const (
	readyTimeout = 10 * time.Minute // of a model on a slow disk
	stopTimeout  = 15 * time.Second
)

// start spawns a worker and waits until it is ready. Cancelling ctx stops it.
func (s Spawn) start(ctx context.Context, model string) (*worker, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args := append([]string{"serve"}, s.Args...)
	args = append(args, "--model", model, "--port", fmt.Sprint(port), "--local-mode", "--log-format", "json", "--log-level", "info")
	w := &worker{url: fmt.Sprintf("http://127.0.0.1:%d", port), ended: make(chan struct{})}
	w.client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}}
	w.cmd = exec.CommandContext(ctx, s.Bin, args...)
	w.cmd.Cancel = func() error { return w.cmd.Process.Signal(syscall.SIGTERM) }
	w.cmd.WaitDelay = stopTimeout
	w.cmd.Env = s.Env
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	w.began = time.Now()
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: start the worker: %w", err)
	}
	w.private = watch(ctx, w.cmd.Process.Pid)
	ready := make(chan time.Time, 1)
	go w.read(out, ready)
	if err := w.await(ctx, ready); err != nil {
		return nil, err
	}
	return w, nil
}

// await returns when the worker is ready. Where it fails the worker has been stopped.
func (w *worker) await(ctx context.Context, ready <-chan time.Time) error {
	var err error
	select {
	case w.ready = <-ready:
		return nil
	case <-w.ended:
		err = fmt.Errorf("bench: the worker ended before it was ready: %s", w.fault)
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-time.After(readyTimeout):
		err = fmt.Errorf("bench: the worker was not ready within %v", readyTimeout)
	}
	w.stop()
	return err
}

// read takes from the log what the measurements need, and the rest away.
func (w *worker) read(log io.Reader, ready chan<- time.Time) {
	defer close(w.ended)
	in := bufio.NewScanner(log)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var line struct {
			Fields struct {
				Message, Error string
				Cache          int64
			}
		}
		if json.Unmarshal(in.Bytes(), &line) != nil {
			continue
		}
		if line.Fields.Error != "" {
			w.fault = line.Fields.Error
		}
		switch line.Fields.Message {
		case "memory_plan":
			w.cache = line.Fields.Cache
		case "ready":
			select {
			case ready <- time.Now():
			default:
			}
		}
	}
	_, _ = io.Copy(io.Discard, log) // a line beyond the buffer must not stop the worker
}

// stop ends the process and waits for it.
func (w *worker) stop() {
	w.client.CloseIdleConnections()
	_ = w.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	late := time.AfterFunc(stopTimeout, func() { _ = w.cmd.Process.Kill() })
	defer late.Stop()
	<-w.ended
	_ = w.cmd.Wait()
	w.private.end()
}

// answer is what a client saw of one request.
type answer struct {
	status int         // of HTTP
	at     []time.Time // of each token
	failed string      // code of an error frame; "" = none
}

// errCut says that a stream had no last frame.
var errCut = errors.New("bench: the stream ended without a last frame")

// execute sends one greedy request and reads its frames to the end. Statuses
// other than 200 are no error.
func (w *worker) execute(ctx context.Context, job, prompt string, tokens int) (a answer, err error) {
	body, err := json.Marshal(map[string]any{"job_id": job, "prompt": prompt, "max_tokens": tokens, "temperature": 0})
	if err != nil {
		return a, fmt.Errorf("bench: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/execute", bytes.NewReader(body))
	if err != nil {
		return a, fmt.Errorf("bench: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := w.client.Do(req)
	if err != nil {
		return a, fmt.Errorf("bench: %w", err)
	}
	defer res.Body.Close()
	if a.status = res.StatusCode; a.status != http.StatusOK {
		_, _ = io.Copy(io.Discard, res.Body)
		return a, nil
	}
	a.at = make([]time.Time, 0, tokens)
	err = a.read(res.Body)
	return a, err
}

// read takes the time of each token frame; the terminal frame ends it.
func (a *answer) read(body io.Reader) error {
	for in := bufio.NewReader(body); ; {
		line, err := in.ReadBytes('\n')
		frame, data := bytes.CutPrefix(line, []byte(`data: {"type":"`))
		switch {
		case data && bytes.HasPrefix(frame, []byte(`token"`)):
			a.at = append(a.at, time.Now())
		case data && bytes.HasPrefix(frame, []byte(`end"`)):
			_, _ = io.Copy(io.Discard, in) // the connection can be used again
			return nil
		case data && bytes.HasPrefix(frame, []byte(`error"`)):
			var e struct{ Code string }
			if json.Unmarshal(bytes.TrimPrefix(line, []byte("data: ")), &e) != nil || e.Code == "" {
				e.Code = "error"
			}
			a.failed = e.Code
			return nil
		case err != nil:
			return errCut
		}
	}
}

// freePort finds a port that nobody uses at this moment, below the range from
// which kernels take ports for outgoing connections.
func freePort() (int, error) {
	const lowest, highest = 20000, 32000
	var last error
	for range 100 {
		port := lowest + rand.IntN(highest-lowest)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("bench: no free port from %d to %d: %w", lowest, highest, last)
}

// memory is what the kernel says of a process; zero where it does not say.
type memory struct {
	private int64 // anonymous and shared memory now: what no file backs
	peak    int64 // largest resident set so far, mapped files included
}

func readMemory(pid int) (m memory) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(text)) {
		var kb int64
		name, value, _ := strings.Cut(line, ":")
		if _, err := fmt.Sscanf(value, "%d kB", &kb); err != nil {
			continue
		}
		switch name {
		case "RssAnon", "RssShmem":
			m.private += kb << 10
		case "VmHWM":
			m.peak = kb << 10
		}
	}
	return m
}
