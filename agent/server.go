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
	Model    string // name shown while the model is not loaded yet
	Token    string // bearer token; "" = open

	MaxTokens       int           // largest max_tokens; 0 = 2048
	MaxBody         int64         // bytes of a body; 0 = 2 MiB
	Timeout         time.Duration // of a request; 0 = none
	BodyTimeout     time.Duration // for a body to arrive; 0 = 20 s
	WriteTimeout    time.Duration // of one write to a stream; 0 = none
	ShutdownTimeout time.Duration // told to callers of /shutdown

	// Loopback says that the server is meant for this machine alone: requests
	// that name another host are refused. AlsoHost is one more name it has.
	Loopback bool
	AlsoHost string

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
	jobs            *jobs
	workerID, model string
	maxTokens       int
	maxBody         int64
	timeout         time.Duration
	bodyTimeout     time.Duration
	loopback        bool
	crossOrigin     *http.CrossOriginProtection
	alsoHost        string
	writeTimeout    time.Duration
	shutdownTimeout time.Duration
	stop            func(cause string) bool
	now             func() time.Time
	started         time.Time
	serving         atomic.Pointer[serving]
	http            *http.Server
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
	if o.Stop == nil {
		o.Stop = func(string) bool { return false }
	}
	s := &Server{
		machine: o.Machine, metrics: o.Metrics, log: o.Log, guard: newGuard(o.Token, o.Log), jobs: newJobs(o.Machine),
		workerID: o.WorkerID, model: o.Model, maxTokens: o.MaxTokens, maxBody: o.MaxBody, timeout: o.Timeout,
		bodyTimeout: o.BodyTimeout, loopback: o.Loopback, crossOrigin: http.NewCrossOriginProtection(), alsoHost: o.AlsoHost,
		writeTimeout: o.WriteTimeout, shutdownTimeout: o.ShutdownTimeout, stop: o.Stop, now: o.Now, started: o.Now(),
	}
	s.http = &http.Server{
		Handler: s.router(), ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		DisableGeneralOptionsHandler: true,                                                // its answer to OPTIONS * has no correlation id
		ErrorLog:                     slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug), // what clients do wrong at the level of bytes
	}
	return s
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
// then cuts what is left.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	return errors.Join(err, s.http.Close())
}

// route is one row of the table that the router is built from.
type route struct {
	method, path string
	auth         authClass
	handle       gin.HandlerFunc
}

// routes is every way in. Aliases are rows of their own: each says who may
// come in by it.
func (s *Server) routes() []route {
	return []route{
		{"GET", "/", public, s.health},
		{"GET", "/health", public, s.health},
		{"GET", "/v1/health", public, s.health},
		{"GET", "/live", public, s.live},
		{"GET", "/ready", public, s.readiness},
		{"GET", "/metrics", public, s.metrics.serve},
		{"GET", "/v1/ready", guarded, s.ready},
		{"GET", progressPath, guarded, s.loadingProgress},
		{"POST", "/execute", guarded, s.execute(false)},
		{"POST", "/v1/inference", guarded, s.execute(true)},
		{"POST", "/cancel", guarded, s.cancel},
		{"POST", "/cancel/:id", guarded, s.cancelPath},
		{"DELETE", "/v1/inference/:id", guarded, s.deleteInference},
		{"POST", "/shutdown", guarded, s.shutdown},
		{"POST", "/v1/shutdown", guarded, s.shutdown},
		{"POST", "/v1/admin/shutdown", guarded, s.shutdown},
	}
}

func (s *Server) router() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.RedirectTrailingSlash = false
	r.UseRawPath = true // a job id may hold %2F
	r.ForwardedByClientIP = false
	r.Use(correlate, s.recovery, s.limitBody, s.checkHost, s.checkOrigin)
	open := map[string]bool{}
	for _, e := range s.routes() {
		if e.auth == public {
			open[e.path] = true
			r.Handle(e.method, e.path, e.handle)
			r.Handle(http.MethodHead, e.path, e.handle)
			continue
		}
		r.Handle(e.method, e.path, s.guard.check, e.handle)
		if e.method == http.MethodGet && e.path != progressPath { // whose answer is a stream
			r.Handle(http.MethodHead, e.path, s.guard.check, e.handle)
		}
	}
	r.NoRoute(func(c *gin.Context) { emptyStatus(c, http.StatusNotFound) })
	r.NoMethod(func(c *gin.Context) {
		if !open[c.Request.URL.Path] {
			s.guard.check(c)
		}
		if !c.IsAborted() {
			emptyStatus(c, http.StatusMethodNotAllowed)
		}
	})
	return r
}

func emptyStatus(c *gin.Context, status int) {
	c.Status(status)
	c.Writer.WriteHeaderNow()
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
