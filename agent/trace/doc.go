// Package trace tells an OpenTelemetry collector of each request: one server span
// with the GenAI attributes, and within it the times queued, in prefill and in decode.
//
// What must always hold:
//
//   - Without a configured endpoint Open returns nil, and nothing is made, kept or
//     measured: every method may be called on nil and does nothing.
//   - Spans have counts, times, settings and ids, never a prompt or a generated text.
//   - A request never waits for the collector: ended spans go into a bounded queue, and
//     what does not fit is dropped. A collector that fails is logged once in failureEvery.
//   - Close returns within its time whatever the collector does.
//
// Decisions:
//
//   - Spans go over HTTP with protobuf bodies; the gRPC exporter is left out. The standard
//     OTEL_ variables that concern endpoint, headers, certificates, sampling, batches and
//     resource have their effect through the SDK.
//   - A caller's sampling decision is kept (traceparent); without one every request is
//     sampled, unless OTEL_TRACES_SAMPLER says otherwise. Probes and scrapes have no spans.
//   - The answer has the trace's id in the header Traceresponse (W3C Trace Context Level 2),
//     so that a client which sends no traceparent can still find its request.
package trace
