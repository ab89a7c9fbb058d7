package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"llorch/agent/trace"
	"llorch/inference"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// ServerOptions configure the HTTP side. Machine, Metrics and Log are needed;
// the zero value of the rest is documented beside it.
type ServerOptions struct {
	Machine  *Machine
	Metrics  *Metrics
	Log      *slog.Logger
	WorkerID string
	Epoch    string // of this process, as the orchestrator has it; "" = not shown
	Model    string // name shown while the model is not loaded yet
	Token    string // bearer token; "" = open

	AdminToken string   // of admin routes; "" = Token
	Origins    []string // of pages that may use the API, scheme://host[:port] or *; none = no page of another site

	MaxTokens       int           // largest max_tokens; 0 = 2048
	MaxBody         int64         // bytes of a body; 0 = 2 MiB
	Timeout         time.Duration // of a request; 0 = none
	BodyTimeout     time.Duration // for a body to arrive; 0 = 20 s
	WriteTimeout    time.Duration // of one write to a stream; 0 = none
	ShutdownTimeout time.Duration // told to callers of /shutdown
	OverloadStatus  int           // of a refusal for want of room; 0 = 503

	// Loopback says that the server is meant for this machine alone: requests
	// that name another host are refused. AlsoHost is one more name it has.
	Loopback bool
	AlsoHost string

	Trace *trace.Tracer // nil = no traces

	// Stop begins the drain; it reports whether this call began it. nil = never.
	Stop func(cause string) bool
	Now  func() time.Time // nil = time.Now
}

// Server is the HTTP side of the worker. It listens from the first moment;
// work is refused with 503 until Attach has given it an engine and the machine
// is ready.
type Server struct {
	machine         *Machine
	metrics         *Metrics
	log             *slog.Logger
	guard           *guard
	tally           tally
	jobs            *jobs
	workerID, model string
	epoch           string
	maxTokens       int
	maxBody         int64
	timeout         time.Duration
	bodyTimeout     time.Duration
	loopback        bool
	// clientCertificates says that over TLS every route that is not open asks for one.
	// It and loopback are settled before the first Serve.
	clientCertificates bool
	origins            *origins
	tracer             *trace.Tracer
	classes            map[string]authClass // of "METHOD path" on both listeners; complete once NewServer returns
	alsoHost           string
	writeTimeout       time.Duration
	shutdownTimeout    time.Duration
	overload           int
	stop               func(cause string) bool
	now                func() time.Time
	started            time.Time
	serving            atomic.Pointer[serving]
	http               *http.Server
	debug              *http.Server
}

// serving is the engine and what it serves, known once loading is over.
type serving struct {
	engine Engine
	info   ModelInfo
}

// NewServer builds the routes.
func NewServer(o ServerOptions) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxTokens == 0 {
		o.MaxTokens = 2048
	}
	if o.MaxBody == 0 {
		o.MaxBody = 2 << 20
	}
	if o.BodyTimeout == 0 {
		o.BodyTimeout = 20 * time.Second
	}
	if o.OverloadStatus == 0 {
		o.OverloadStatus = http.StatusServiceUnavailable
	}
	if o.Stop == nil {
		o.Stop = func(string) bool { return false }
	}
	s := &Server{
		machine: o.Machine, metrics: o.Metrics, log: o.Log, guard: newGuard(o.Token, o.AdminToken, o.Log), jobs: newJobs(o.Machine),
		workerID: o.WorkerID, epoch: o.Epoch, model: o.Model, maxTokens: o.MaxTokens, maxBody: o.MaxBody, timeout: o.Timeout,
		bodyTimeout: o.BodyTimeout, loopback: o.Loopback, origins: newOrigins(o.Origins), classes: map[string]authClass{}, alsoHost: o.AlsoHost,
		writeTimeout: o.WriteTimeout, shutdownTimeout: o.ShutdownTimeout, overload: o.OverloadStatus, tracer: o.Trace, stop: o.Stop, now: o.Now, started: o.Now(),
	}
	s.http, s.debug = newHTTP(s.router(), o.Log), newHTTP(s.debugRouter(), o.Log)
	return s
}

func newHTTP(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		DisableGeneralOptionsHandler: true,                                              // its answer to OPTIONS * has no correlation id
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong at the level of bytes
	}
}

// Attach gives the server its engine.
func (s *Server) Attach(e Engine, info ModelInfo) {
	s.serving.Store(&serving{e, info})
	s.metrics.attach(e, info)
}

// Handler is the whole of the HTTP side.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve accepts connections until Close; it returns nil then.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close stops listening, lets responses in progress end until ctx does, and
// then cuts what is left. Profiles in the making are cut at once.
func (s *Server) Close(ctx context.Context) error {
	debug := s.debug.Close()
	err := s.http.Shutdown(ctx)
	return errors.Join(debug, err, s.http.Close())
}

// recovery turns a panic of a handler into a typed answer: a 500, or the
// terminal frame of a stream that has begun. The device is not touched by
// handlers, so a panic here says nothing about its health.
func (s *Server) recovery(c *gin.Context) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
			panic(p)
		}
		s.metrics.panics.Inc()
		s.log.Error("handler panicked", "path", c.FullPath(), "panic", p, "stack", string(debug.Stack()), "correlation_id", correlation(c))
		if !c.Writer.Written() {
			yes := true
			writeError(c, http.StatusInternalServerError, "INTERNAL", "internal error", &yes, nil)
			return
		}
		if c.Writer.Header().Get("Content-Type") == "text/event-stream" {
			writeBody(c, appendError(nil, inference.CodeInferenceFailed, "internal error", true))
		}
	}()
	c.Next()
}
