package agent

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"llorch/agent/trace"
	"llorch/inference"
)

const (
	spanKey   = "span"
	traceTime = 300 * time.Millisecond // to send the last spans; the engine is closed meanwhile
)

// traced gives each request but probes and scrapes a span, and its caller the trace's id.
func (s *Server) traced(c *gin.Context) {
	if s.tracer == nil {
		return
	}
	if class := s.classOf(c); class == classUnstated || class == classOpen {
		return
	}
	span := s.tracer.Request(c.Request.Context(), c.Request.Header, c.Request.Method, c.FullPath())
	defer func() { span.End(c.Writer.Status()) }()
	c.Set(spanKey, span)
	c.Header("Traceresponse", span.Response())
	c.Next()
}

// spanOf is the span of a request; nil, which works, where it has none.
func spanOf(c *gin.Context) *trace.Request {
	v, _ := c.Get(spanKey)
	span, _ := v.(*trace.Request)
	return span
}

// logger adds the trace's id where there is one.
func (x *exchange) logger() *slog.Logger {
	if id := x.span.TraceID(); id != "" {
		return x.server.log.With("trace_id", id)
	}
	return x.server.log
}

// traceAsked notes the settings of r, never its text.
func (x *exchange) traceAsked(r inference.Request) {
	x.span.Asked(trace.Generation{
		JobID: logID(x.job.id), CorrelationID: x.correlation, Model: x.info.Name, MaxTokens: r.MaxTokens, TopK: r.Sampling.TopK,
		Temperature: r.Sampling.Temperature, TopP: r.Sampling.TopP, Seed: r.Sampling.Seed,
	})
}

func (x *exchange) traceEnded(last inference.Event) {
	o := trace.Outcome{TokensOut: x.tokens, Arrived: x.arrived}
	if e := last.End; e != nil {
		o.Finished, o.TokensIn, o.Queued, o.Prefill, o.Decode, o.Preemptions = string(e.Reason), e.TokensIn, e.Queued, e.Prefill, e.Decode, e.Preemptions
		o.TokensCached = e.TokensCached
	} else {
		o.Error = string(errorOf(last.Err).Code)
	}
	x.span.Ended(o)
}

// traceCall is a span round a call of the orchestrator, which is told the trace.
func (w *worker) traceCall(ctx context.Context, h http.Header) (end func(error)) {
	return w.tracer.Call(ctx, "orchestrator", h)
}

// flushTraces begins to send the last spans; wait returns when they are out or their time is over.
func (w *worker) flushTraces() (wait func()) {
	if w.tracer == nil {
		return func() {}
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), traceTime)
		defer cancel()
		done <- w.tracer.Close(ctx)
	}()
	return func() {
		if err := <-done; err != nil {
			w.log.Warn("tracing", "error", err)
		}
	}
}
