package agent

import (
	"errors"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/gin-gonic/gin"
)

// debugRoutes is every way in on the debug listener, which is bound to loopback
// alone. /debug/pprof/cmdline is left out: a command line may hold a token.
func (s *Server) debugRoutes() []route {
	return []route{
		{"GET", "/debug/pprof/", classAdmin, gin.WrapF(pprof.Index)},
		{"GET", "/debug/pprof/:profile", classAdmin, gin.WrapF(pprof.Index)}, // heap, goroutine, allocs, block, mutex, threadcreate
		{"GET", "/debug/pprof/profile", classAdmin, gin.WrapF(pprof.Profile)},
		{"GET", "/debug/pprof/trace", classAdmin, gin.WrapF(pprof.Trace)},
		{"GET", "/debug/pprof/symbol", classAdmin, gin.WrapF(pprof.Symbol)},
	}
}

func (s *Server) debugRouter() *gin.Engine {
	r := newRouter()
	r.Use(correlate, s.recovery, s.limitBody, s.requireOwnHost, s.checkOrigin)
	for _, e := range s.debugRoutes() {
		s.mount(r, e)
	}
	r.NoMethod(func(c *gin.Context) { emptyStatus(c, http.StatusMethodNotAllowed) })
	return r
}

// ServeDebug serves profiles on l until Close.
func (s *Server) ServeDebug(l net.Listener) error {
	if err := s.debug.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
