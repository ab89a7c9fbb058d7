package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"llorch/agent/trace"
	"llorch/inference"
)

const (
	metricsEvery = 500 * time.Millisecond
	// cancelGrace is how long a cancelled stream waits for the engine's own
	// last event before it ends without it: the device may be in a long step.
	cancelGrace = 100 * time.Millisecond
	// maxLogID bounds what a caller can put into a log line.
	maxLogID = 128
)

// exchange is one accepted request and its stream of frames. It belongs to the
// goroutine of its HTTP handler.
type exchange struct {
	server      *Server
	job         *job
	info        ModelInfo
	arrived     time.Time // before the engine was asked
	began       time.Time
	maxTokens   int
	ctx         context.Context
	cancel      context.CancelCauseFunc
	correlation string
	stream      *stream
	tokens      int       // token frames made
	last        time.Time // when the engine made the newest
	mirror      *mirror
	release     *releaseWatch
	span        *trace.Request // nil without traces
}

// start sends the first frame, before any work of the engine can delay it.
func (x *exchange) start(r inference.Request, identity string) {
	sum := sha256.Sum256([]byte(r.Prompt))
	x.traceAsked(r)
	x.logger().Info("execute_start", "job_id", logID(x.job.id), "correlation_id", x.correlation, "identity", identity,
		"prompt_sha256", hex.EncodeToString(sum[:6]), "prompt_bytes", len(r.Prompt), "max_tokens", r.MaxTokens,
		"temperature", r.Sampling.Temperature, "seed", r.Sampling.Seed)
	x.stream.buf = appendStarted(x.stream.buf, x.job.id, x.info.Name, x.began)
	x.flush()
}

// flush writes waiting frames; a client that cannot be written to is gone.
func (x *exchange) flush() {
	if x.stream.flush() != nil {
		x.cancel(nil)
	}
}

// relay passes tokens on until the stream's last event, which it returns. Its
// Err is set, by the context's cause, where the engine did not end in time.
func (x *exchange) relay(events <-chan inference.Event) inference.Event {
	tick := time.NewTicker(metricsEvery)
	defer tick.Stop()
	stopped := x.ctx.Done()
	var grace <-chan time.Time
	for {
		select {
		case ev, open := <-events:
			for open && ev.End == nil && ev.Err == nil {
				x.token(ev)
				if len(events) == 0 || len(x.stream.buf) >= flushAt {
					break
				}
				ev, open = <-events
			}
			if !open {
				return inference.Event{Err: errNoEnd}
			}
			if ev.End != nil || ev.Err != nil {
				x.release.released(ev)
				return ev
			}
			x.flush()
		case <-tick.C:
			m := streamMeter{x.tokens, x.server.now().Sub(x.began), x.info.DeviceBytes}
			x.stream.buf = appendMetrics(x.stream.buf, x.job.id, m)
			x.flush()
		case <-stopped:
			stopped, grace = nil, time.After(cancelGrace)
		case <-grace:
			go x.release.outlived(events)
			return inference.Event{Err: causeOf(x.ctx)}
		}
	}
}

var errNoEnd = &inference.Error{Code: inference.CodeInferenceFailed, Retriable: true,
	Err: errors.New("the engine ended the stream without a last event")}

func (x *exchange) token(ev inference.Event) {
	x.stream.buf = appendToken(x.stream.buf, ev.Text, ev.Index)
	if x.tokens++; x.tokens == 1 {
		x.span.FirstToken(ev.At)
	}
	x.mirror.token(x.arrived, x.last, ev.At)
	x.last = ev.At
	x.server.metrics.generated.Inc()
}

// causeOf is the error a stopped context stands for on the wire.
func causeOf(ctx context.Context) *inference.Error {
	cause := context.Cause(ctx)
	if errors.Is(cause, inference.ErrTimeout) {
		return &inference.Error{Code: inference.CodeTimeout, Retriable: true, Err: inference.ErrTimeout}
	}
	if !errors.Is(cause, inference.ErrCancelled) && !errors.Is(cause, inference.ErrDraining) {
		cause = fmt.Errorf("the client is gone: %w", inference.ErrCancelled)
	}
	return &inference.Error{Code: inference.CodeCancelled, Err: cause}
}

// finish accounts for the stream, then sends its terminal frame: whoever reads
// that frame finds counters, state and job id already settled.
func (x *exchange) finish(last inference.Event, done bool) {
	st := x.stream
	if last.Err == nil {
		st.buf = appendEnd(st.buf, last.End)
	} else {
		e := errorOf(last.Err)
		st.buf = appendError(st.buf, e.Code, messageOf(e), e.Retriable)
	}
	if done {
		st.buf = append(st.buf, doneFrame...)
	}
	x.account(last)
	x.job.release()
	x.flush()
}

func errorOf(err error) *inference.Error {
	var e *inference.Error
	if errors.As(err, &e) {
		return e
	}
	return &inference.Error{Code: inference.CodeInferenceFailed, Retriable: true, Err: err}
}

// account records the outcome in metrics and log.
func (x *exchange) account(last inference.Event) {
	took := x.server.now().Sub(x.began)
	outcome := outcomeOf(last)
	x.server.metrics.finished(outcome, took)
	x.server.endedWhileStopping(outcome)
	x.mirror.finished(last, x.arrived, x.maxTokens)
	x.traceEnded(last)
	attrs := []any{"job_id", logID(x.job.id), "correlation_id", x.correlation, "outcome", outcome,
		"tokens_generated", x.tokens, "duration_ms", took.Milliseconds(),
		"tokens_per_sec", float64(x.tokens) / max(took.Seconds(), 1e-9)}
	if e := last.End; e != nil {
		attrs = append(attrs, "tokens_in", e.TokensIn, "tokens_cached", e.TokensCached, "stop_reason", string(e.Reason), "queued_ms", e.Queued.Milliseconds(),
			"prefill_ms", e.Prefill.Milliseconds(), "decode_time_ms", e.Decode.Milliseconds(), "preemptions", e.Preemptions)
		x.logger().Info("execute_end", attrs...)
		return
	}
	attrs = append(attrs, "error", last.Err)
	if outcome == "error" {
		x.logger().Error("execute_end", attrs...)
		return
	}
	x.logger().Info("execute_end", attrs...)
}

// outcomeOf is the metrics label of a stream's last event.
func outcomeOf(last inference.Event) string {
	if last.Err == nil {
		return "success"
	}
	switch errorOf(last.Err).Code {
	case inference.CodeCancelled:
		return "cancelled"
	case inference.CodeTimeout:
		return "timeout"
	}
	return "error"
}

// logID shortens an id that is too long for a log line.
func logID(id string) string {
	if len(id) <= maxLogID {
		return id
	}
	return fmt.Sprintf("%s… (%d bytes)", id[:maxLogID], len(id))
}
