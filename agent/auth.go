package agent

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"log/slog"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// authClass says who may call a route. The zero value is no class: a test fails
// on a route that has it, and the guard treats it as admin.
type authClass uint8

const (
	classUnstated authClass = iota
	classOpen               // probes and scrapes
	classToken              // work: needs the API token, where one is set
	classAdmin              // stops the worker or other people's jobs: needs the admin token, where one is set, else the API token
)

const (
	maxAuthHeader = 8 << 10
	identityKey   = "identity"
)

// guard checks bearer tokens. A class without a configured token is open to everybody.
type guard struct {
	api, admin key
	open       bool // no API token is set
	log        *slog.Logger
}

// key is the hash of a configured token; the zero value is none.
type key struct {
	sum [sha256.Size]byte
	set bool
}

func newKey(token string) key { return key{sha256.Sum256([]byte(token)), token != ""} }

func newGuard(token, adminToken string, log *slog.Logger) *guard {
	return &guard{api: newKey(token), admin: newKey(adminToken), open: token == "", log: log}
}

// keyOf is what a class asks for. The admin token opens nothing else: whoever
// runs jobs and whoever runs the worker are different parties once it is set.
func (g *guard) keyOf(class authClass) key {
	switch {
	case class == classOpen:
		return key{}
	case class != classToken && g.admin.set:
		return g.admin
	}
	return g.api
}

// check lets a request of a class pass or answers 401. Hashes are compared instead
// of tokens: the time taken then says nothing about length or content.
func (g *guard) check(class authClass) gin.HandlerFunc {
	want := g.keyOf(class)
	return func(c *gin.Context) {
		if !want.set {
			return
		}
		token, ok := bearer(c.Request.Header)
		if !ok {
			g.refuse(c, "MISSING_API_KEY", "Missing API key: send Authorization: Bearer <token>", "none")
			return
		}
		got := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(got[:], want.sum[:]) != 1 {
			g.refuse(c, "INVALID_API_KEY", "Invalid API key", fingerprint(got))
			return
		}
		c.Set(identityKey, fingerprint(got))
		g.log.Debug("authenticated", "identity", fingerprint(got), "path", c.FullPath(), "correlation_id", correlation(c))
	}
}

func (g *guard) refuse(c *gin.Context, code, message, identity string) {
	g.log.Warn("authentication failed", "code", code, "identity", identity,
		"path", c.FullPath(), "remote", c.Request.RemoteAddr, "correlation_id", correlation(c))
	c.Header("WWW-Authenticate", "Bearer")
	writeJSON(c, http.StatusUnauthorized, errorBody{Error: errorDetail{Code: code, Message: message}})
	c.Abort()
}

// requireCertificate refuses a client that came over TLS and has shown no
// certificate, where the server asks for one. One that was shown has been
// verified in the handshake. A Unix socket and the debug listener have no TLS.
func (s *Server) requireCertificate(c *gin.Context) {
	if !s.clientCertificates || c.Request.TLS == nil {
		return
	}
	if len(c.Request.TLS.VerifiedChains) > 0 {
		c.Set(identityKey, "certificate:"+hex.EncodeToString(c.Request.TLS.PeerCertificates[0].SerialNumber.Bytes()))
		return
	}
	s.log.Warn("client certificate missing", "path", c.FullPath(), "remote", c.Request.RemoteAddr, "correlation_id", correlation(c))
	no := false
	writeError(c, http.StatusForbidden, "CLIENT_CERTIFICATE_REQUIRED", "this route asks for a client certificate", &no, nil)
	c.Abort()
}

// bearer returns the token of the one Authorization header. The scheme is
// case-sensitive; spaces round the token do not belong to it.
func bearer(h http.Header) (string, bool) {
	values := h["Authorization"]
	if len(values) != 1 || len(values[0]) > maxAuthHeader {
		return "", false
	}
	token, ok := strings.CutPrefix(values[0], "Bearer ")
	token = strings.Trim(token, " ")
	if !ok || token == "" || strings.ContainsFunc(token, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return "", false
	}
	return token, true
}

// fingerprint names a token in logs without giving it away.
func fingerprint(sum [sha256.Size]byte) string { return "token:" + hex.EncodeToString(sum[:3]) }
