package agent

import (
	"net"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// checkHost refuses requests that name another host while the server is meant
// for this machine alone. A browser can be made to send such requests: a page
// whose name is re-bound to 127.0.0.1 passes for the same origin, and only the
// Host header tells.
func (s *Server) checkHost(c *gin.Context) {
	if s.loopback && !overUnixSocket(c.Request) { // which no browser reaches
		s.requireOwnHost(c)
	}
}

func overUnixSocket(r *http.Request) bool {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && a.Network() == "unix"
}

func (s *Server) requireOwnHost(c *gin.Context) {
	if s.ownHost(c.Request.Host) {
		return
	}
	s.log.Warn("foreign host refused", "host", c.Request.Host, "correlation_id", correlation(c))
	no := false
	writeError(c, http.StatusForbidden, "INVALID_REQUEST", "this worker serves its own machine only: address it as localhost", &no, nil)
	c.Abort()
}

// checkOrigin refuses what a page of another site makes a browser send: a form
// needs nobody's leave to post to /shutdown on localhost. Programs send neither
// Origin nor Sec-Fetch-Site and are not concerned.
func (s *Server) checkOrigin(c *gin.Context) {
	err := s.origins.check(c.Request, s.classOf(c))
	if err == nil {
		return
	}
	s.log.Warn("cross-origin request refused", "origin", c.GetHeader("Origin"), "correlation_id", correlation(c))
	no := false
	writeError(c, http.StatusForbidden, "INVALID_REQUEST", "requests that a page of another site makes are refused", &no, nil)
	c.Abort()
}

// ownHost holds for names of this machine, and for none: programs that speak
// HTTP/1.0 may leave it out, browsers never do.
func (s *Server) ownHost(header string) bool {
	if header == "" {
		return true
	}
	host := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return strings.EqualFold(host, "localhost") || s.alsoHost != "" && strings.EqualFold(host, s.alsoHost)
}
