package trace

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	api "go.opentelemetry.io/otel/trace"
)

// Request is the span of one HTTP request. It belongs to one goroutine. All
// methods may be called on nil.
type Request struct {
	ctx    context.Context // holds the span
	tracer api.Tracer
	span   api.Span
}

// TraceID is the trace's id in hexadecimal; "" on nil.
func (r *Request) TraceID() string {
	if r == nil {
		return ""
	}
	return r.span.SpanContext().TraceID().String()
}

// Response is the value of the header Traceresponse.
func (r *Request) Response() string {
	s := r.span.SpanContext()
	return fmt.Sprintf("00-%s-%s-%s", s.TraceID(), s.SpanID(), s.TraceFlags())
}

// Generation is what was asked for.
type Generation struct {
	JobID, CorrelationID, Model string
	MaxTokens, TopK             int
	Temperature, TopP           float32
	Seed                        uint64
}

// cancelled is the code of a generation that its client did not want any more: no failure of this server.
const cancelled = "CANCELLED"

// Asked notes the settings of a generation.
func (r *Request) Asked(g Generation) {
	if r == nil || !r.span.IsRecording() {
		return
	}
	attrs := []attribute.KeyValue{
		semconv.GenAIOperationNameTextCompletion, semconv.GenAIProviderNameKey.String("llorch"),
		semconv.GenAIRequestModel(g.Model), semconv.GenAIResponseModel(g.Model), semconv.GenAIOutputTypeText,
		semconv.GenAIRequestMaxTokens(g.MaxTokens), semconv.GenAIRequestTemperature(float64(g.Temperature)), semconv.GenAIRequestTopP(float64(g.TopP)),
		semconv.GenAIRequestSeed(int(int64(g.Seed))), // the attribute is signed; the log has the seed as it was given
		attribute.String("llorch.job_id", g.JobID), attribute.String("llorch.correlation_id", g.CorrelationID),
	}
	if g.TopK > 0 {
		attrs = append(attrs, semconv.GenAIRequestTopK(float64(g.TopK)))
	}
	r.span.SetAttributes(attrs...)
}

// FirstToken notes when the first token was there.
func (r *Request) FirstToken(at time.Time) {
	if r != nil {
		r.span.AddEvent("first token", api.WithTimestamp(at))
	}
}

// Outcome is how a generation ended. The times are the engine's, counted from
// Arrived; without Finished they are not known.
type Outcome struct {
	Finished            string // the reason; "" = it failed with Error
	Error               string // a code of the wire
	TokensIn, TokensOut int
	TokensCached        int // of TokensIn, found in the prefix cache
	Arrived             time.Time
	Queued              time.Duration // from Arrived to the first step
	Prefill             time.Duration // from the first step to the first token
	Decode              time.Duration // from the first step to the last token
	Preemptions         int
}

// Ended notes the outcome, with one span within this for each phase.
func (r *Request) Ended(o Outcome) {
	if r == nil || !r.span.IsRecording() {
		return
	}
	out := semconv.GenAIUsageOutputTokens(o.TokensOut)
	if o.Finished == "" {
		r.span.SetAttributes(out, semconv.ErrorTypeKey.String(o.Error))
		if o.Error != cancelled {
			r.span.SetStatus(codes.Error, o.Error)
		}
		return
	}
	in := semconv.GenAIUsageInputTokens(o.TokensIn)
	r.span.SetAttributes(in, out, semconv.GenAIResponseFinishReasons(finishReason(o.Finished)), attribute.Int("llorch.preemptions", o.Preemptions),
		attribute.Int("llorch.tokens_cached", o.TokensCached))
	first := o.Arrived.Add(o.Queued)
	r.phase("queue", o.Arrived, first)
	r.phase("prefill", first, first.Add(o.Prefill), in)
	r.phase("decode", first.Add(o.Prefill), first.Add(max(o.Decode, o.Prefill)), out)
}

func (r *Request) phase(name string, from, to time.Time, attrs ...attribute.KeyValue) {
	_, span := r.tracer.Start(r.ctx, name, api.WithTimestamp(from), api.WithAttributes(attrs...))
	span.End(api.WithTimestamp(to))
}

// finishReason has the words of the GenAI conventions for what they know.
func finishReason(reason string) string {
	switch reason {
	case "MAX_TOKENS":
		return "length"
	case "EOS", "STOP_SEQUENCE":
		return "stop"
	}
	return strings.ToLower(reason)
}

// End ends the span with the status of the answer. What the caller did wrong
// (4xx) is no failure of this server.
func (r *Request) End(status int) {
	if r == nil {
		return
	}
	r.span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if status >= http.StatusInternalServerError {
		fail(r.span, fmt.Sprint(status))
	}
	r.span.End()
}

func fail(span api.Span, kind string) {
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	span.SetStatus(codes.Error, kind)
}
