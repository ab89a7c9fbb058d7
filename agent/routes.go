package agent

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// route is one row of the table that a router is built from.
type route struct {
	method, path string
	class        authClass
	handle       gin.HandlerFunc
}

// routes is every way in. Aliases are rows of their own: each says who may
// come in by it. DELETE /v1/inference/:id ends any job whose id is known, as
// /cancel does, so it is as much an admin's; a client ends its own job by
// closing its connection.
func (s *Server) routes() []route {
	native := dialect{overload: s.overload}
	ended := dialect{overload: s.overload, done: true}
	return []route{
		{"GET", "/", classOpen, s.health},
		{"GET", "/health", classOpen, s.health},
		{"GET", "/v1/health", classOpen, s.health},
		{"GET", "/live", classOpen, s.live},
		{"GET", "/ready", classOpen, s.readiness},
		{"GET", "/metrics", classOpen, s.metrics.serve},
		{"GET", "/v1/ready", classToken, s.ready},
		{"GET", progressPath, classToken, s.loadingProgress},
		{"POST", "/execute", classToken, s.execute(native)},
		{"POST", "/v1/inference", classToken, s.execute(ended)},
		{"POST", "/cancel", classAdmin, s.cancel},
		{"POST", "/cancel/:id", classAdmin, s.cancelPath},
		{"DELETE", "/v1/inference/:id", classAdmin, s.deleteInference},
		{"POST", "/shutdown", classAdmin, s.shutdown},
		{"POST", "/v1/shutdown", classAdmin, s.shutdown},
		{"POST", "/v1/admin/shutdown", classAdmin, s.shutdown},
	}
}

// router serves the table. What is not in it is 404, or 405 for a known path,
// and says so only to those who may know.
func (s *Server) router() *gin.Engine {
	r := newRouter()
	r.Use(correlate, s.traced, s.recovery, s.limitBody, s.checkHost, s.checkOrigin)
	rows := s.origins.withPreflight(s.routes())
	open := map[string]bool{}
	for _, e := range rows {
		open[e.path] = open[e.path] || e.class == classOpen && e.method != http.MethodOptions
		s.mount(r, e)
	}
	r.NoMethod(func(c *gin.Context) {
		if !open[c.Request.URL.Path] {
			for _, check := range s.admission(classToken) {
				if check(c); c.IsAborted() {
					return
				}
			}
		}
		emptyStatus(c, http.StatusMethodNotAllowed)
	})
	return r
}

// newRouter is a router without routes.
func newRouter() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.RedirectTrailingSlash = false
	r.UseRawPath = true // a job id may hold %2F
	r.ForwardedByClientIP = false
	r.NoRoute(func(c *gin.Context) { emptyStatus(c, http.StatusNotFound) })
	return r
}

// classOf is the class of the route that a request has found; unstated where there is none.
func (s *Server) classOf(c *gin.Context) authClass {
	return s.classes[c.Request.Method+" "+c.FullPath()]
}

// mount adds one row, behind what its class asks for. A GET answers HEAD, too.
func (s *Server) mount(r *gin.Engine, e route) {
	var chain []gin.HandlerFunc
	if e.class != classAdmin {
		chain = append(chain, s.origins.headers)
	}
	chain = append(append(chain, s.admission(e.class)...), e.handle)
	s.classes[e.method+" "+e.path] = e.class
	r.Handle(e.method, e.path, chain...)
	if e.method == http.MethodGet && e.path != progressPath { // whose answer is a stream
		s.classes[http.MethodHead+" "+e.path] = e.class
		r.Handle(http.MethodHead, e.path, chain...)
	}
}

// admission is what a class asks for, in order.
func (s *Server) admission(class authClass) []gin.HandlerFunc {
	if class == classOpen {
		return nil
	}
	return []gin.HandlerFunc{s.requireCertificate, s.guard.check(class)}
}

func emptyStatus(c *gin.Context, status int) {
	c.Status(status)
	c.Writer.WriteHeaderNow()
}
