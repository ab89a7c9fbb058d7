package trace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	api "go.opentelemetry.io/otel/trace"
)

// failureEvery is how often a collector that fails is logged.
const failureEvery = time.Minute

// Options say where spans go and whose they are.
type Options struct {
	Endpoint string   // base address of the collector; "" = as the environment says, if it does
	Environ  []string // in the form of os.Environ; decides whether there is tracing, the SDK reads the process's own
	WorkerID string
	Version  string
	Log      *slog.Logger
}

// Tracer sends spans. All methods may be called on nil.
type Tracer struct {
	exporter *otlptrace.Exporter
	provider *sdk.TracerProvider
	tracer   api.Tracer
}

// wire is how a trace's identity crosses the wire.
var wire = propagation.TraceContext{}

// Open makes a tracer, or returns nil, nil where no endpoint is configured. It
// does not connect.
func Open(ctx context.Context, o Options) (*Tracer, error) {
	if !wanted(o) {
		return nil, nil
	}
	if p := protocol(o.Environ); p != "" && p != "http/protobuf" {
		o.Log.Warn("tracing", "note", fmt.Sprintf("OTEL_EXPORTER_OTLP_PROTOCOL %.40q is not spoken here: spans go as http/protobuf", p))
	}
	otel.SetErrorHandler(failures(o.Log, time.Now))
	otel.SetLogger(logr.FromSlogHandler(o.Log.Handler()))
	var target []otlptracehttp.Option
	if o.Endpoint != "" {
		target = append(target, otlptracehttp.WithEndpointURL(strings.TrimSuffix(o.Endpoint, "/")+"/v1/traces"))
	}
	exporter, err := otlptracehttp.New(ctx, target...)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	r, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(semconv.ServiceName("llorch"),
		semconv.ServiceVersion(o.Version), semconv.ServiceInstanceID(o.WorkerID)), resource.WithFromEnv())
	if err != nil { // a variable that cannot be read; the rest of the resource is there
		o.Log.Warn("tracing", "error", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(r))
	return &Tracer{exporter, provider, provider.Tracer("llorch/agent", api.WithInstrumentationVersion(o.Version))}, nil
}

// wanted tells whether anybody has asked for traces.
func wanted(o Options) bool {
	if strings.EqualFold(lookup(o.Environ, "OTEL_SDK_DISABLED"), "true") || lookup(o.Environ, "OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return o.Endpoint != "" || lookup(o.Environ, "OTEL_EXPORTER_OTLP_ENDPOINT") != "" || lookup(o.Environ, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

func protocol(environ []string) string {
	if p := lookup(environ, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"); p != "" {
		return p
	}
	return lookup(environ, "OTEL_EXPORTER_OTLP_PROTOCOL")
}

// lookup is the last value of a variable, as for the process itself.
func lookup(environ []string, name string) (value string) {
	for _, v := range environ {
		if text, ok := strings.CutPrefix(v, name+"="); ok {
			value = text
		}
	}
	return value
}

// failures logs the first failure, then one in failureEvery with the number of
// those between: a collector that is away fails with every batch.
func failures(log *slog.Logger, now func() time.Time) otel.ErrorHandler {
	var mu sync.Mutex
	var last time.Time
	unsaid := 0
	return otel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if t := now(); last.IsZero() || t.Sub(last) >= failureEvery {
			log.Warn("tracing", "error", err, "failures_not_logged", unsaid)
			last, unsaid = t, 0
			return
		}
		unsaid++
	})
}

// Close sends what waits, at most until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	err := t.provider.Shutdown(ctx)
	if err != nil {
		// Ends the attempt that is being made: nobody waits for it any more.
		err = errors.Join(err, t.exporter.Shutdown(ctx))
		return fmt.Errorf("trace: %w", err)
	}
	return nil
}

// Request begins the span of an HTTP request, in the trace that its header
// names or one of its own. route is the pattern, not the path.
func (t *Tracer) Request(ctx context.Context, h http.Header, method, route string) *Request {
	if t == nil {
		return nil
	}
	ctx = wire.Extract(ctx, propagation.HeaderCarrier(h))
	ctx, span := t.tracer.Start(ctx, method+" "+route, api.WithSpanKind(api.SpanKindServer),
		api.WithAttributes(semconv.HTTPRequestMethodKey.String(method), semconv.HTTPRoute(route)))
	return &Request{ctx, t.tracer, span}
}

// Call begins the span of a call to another party and puts the trace's identity
// into the header. end takes the error, nil for success.
func (t *Tracer) Call(ctx context.Context, name string, h http.Header) (end func(error)) {
	if t == nil {
		return func(error) {}
	}
	ctx, span := t.tracer.Start(ctx, name, api.WithSpanKind(api.SpanKindClient))
	wire.Inject(ctx, propagation.HeaderCarrier(h))
	return func(err error) {
		if err != nil {
			fail(span, "call failed")
		}
		span.End()
	}
}
