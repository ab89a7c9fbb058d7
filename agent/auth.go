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

// authClass says who may call a route. Its zero value is guarded, so that a
// route whose author forgot to say is closed.
type authClass uint8

const (
	guarded authClass = iota // needs the token, where one is configured
	public                   // probes and scrapes
)

const (
	maxAuthHeader = 8 << 10
	identityKey   = "identity"
)

// guard checks bearer tokens. Without a configured token everybody may pass.
type guard struct {
	want [sha256.Size]byte
	open bool
	log  *slog.Logger
}

func newGuard(token string, log *slog.Logger) *guard {
	return &guard{want: sha256.Sum256([]byte(token)), open: token == "", log: log}
}

// check lets a request pass or answers 401. Hashes are compared instead of
// tokens: the time taken then says nothing about length or content.
func (g *guard) check(c *gin.Context) {
	if g.open {
		return
	}
	token, ok := bearer(c.Request.Header)
	if !ok {
		g.refuse(c, "MISSING_API_KEY", "Missing API key: send Authorization: Bearer <token>", "none")
		return
	}
	got := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(got[:], g.want[:]) != 1 {
		g.refuse(c, "INVALID_API_KEY", "Invalid API key", fingerprint(got))
		return
	}
	c.Set(identityKey, fingerprint(got))
	g.log.Debug("authenticated", "identity", fingerprint(got), "path", c.FullPath(), "correlation_id", correlation(c))
}

func (g *guard) refuse(c *gin.Context, code, message, identity string) {
	g.log.Warn("authentication failed", "code", code, "identity", identity,
		"path", c.FullPath(), "remote", c.Request.RemoteAddr, "correlation_id", correlation(c))
	c.Header("WWW-Authenticate", "Bearer")
	writeJSON(c, http.StatusUnauthorized, errorBody{Error: errorDetail{Code: code, Message: message}})
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
