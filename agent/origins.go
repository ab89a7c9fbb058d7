package agent

import (
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/rs/cors"
)

// preflightAge is how long a browser may keep the answer to a preflight.
const preflightAge = 10 * time.Minute

// origins decides what pages of other sites may do: nothing, unless their origin
// was listed, and never anything on an admin route.
type origins struct {
	protection *http.CrossOriginProtection
	list       []string   // scheme://host[:port], or * for all
	cors       *cors.Cors // nil without a list
}

func newOrigins(list []string) *origins {
	o := &origins{protection: http.NewCrossOriginProtection(), list: list}
	if len(list) > 0 {
		// No credentials: a token is put into the request by the page itself, and
		// cookies or client certificates must not lend a page its visitor's rights.
		o.cors = cors.New(cors.Options{
			AllowedOrigins: list, AllowedMethods: []string{"GET", "HEAD", "POST"}, MaxAge: int(preflightAge.Seconds()),
			AllowedHeaders: append([]string{"Authorization", "Content-Type", correlationHeader, "Traceparent", "Tracestate"}, deadlineHeaders[:]...),
			ExposedHeaders: []string{correlationHeader, "Retry-After", "Traceresponse"},
		})
	}
	return o
}

// check is an error where a page of another site has made a browser send r.
func (o *origins) check(r *http.Request, class authClass) error {
	if class == classOpen || class == classToken {
		if origin := r.Header.Get("Origin"); origin != "" && (slices.Contains(o.list, "*") || slices.Contains(o.list, origin)) {
			return nil
		}
	}
	return o.protection.Check(r)
}

// headers tells a browser whether the page that asked may read the answer.
func (o *origins) headers(c *gin.Context) {
	if o.cors != nil && c.Request.Method != http.MethodOptions {
		o.cors.HandlerFunc(c.Writer, c.Request)
	}
}

// preflight answers the question a browser asks before it sends a request.
func (o *origins) preflight(c *gin.Context) {
	o.cors.HandlerFunc(c.Writer, c.Request)
	if !c.Writer.Written() {
		emptyStatus(c, http.StatusNoContent)
	}
}

// withPreflight adds OPTIONS to every path that pages of listed origins may use.
func (o *origins) withPreflight(rows []route) []route {
	if o.cors == nil {
		return rows
	}
	seen := map[string]bool{}
	for _, e := range slices.Clone(rows) {
		if e.class != classAdmin && !seen[e.path] {
			seen[e.path] = true
			rows = append(rows, route{http.MethodOptions, e.path, classOpen, o.preflight})
		}
	}
	return rows
}
