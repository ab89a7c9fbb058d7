package agent

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

// reviewed is what each path was decided to be. A new route fails here until
// somebody has stated who may use it.
var reviewed = map[string]authClass{
	"/": classOpen, "/health": classOpen, "/v1/health": classOpen, "/live": classOpen, "/ready": classOpen, "/metrics": classOpen,
	"/v1/ready": classToken, "/v1/loading/progress": classToken, "/execute": classToken, "/v1/inference": classToken,
	"/cancel": classAdmin, "/cancel/:id": classAdmin, "/v1/inference/:id": classAdmin,
	"/shutdown": classAdmin, "/v1/shutdown": classAdmin, "/v1/admin/shutdown": classAdmin,
	"/debug/pprof/": classAdmin, "/debug/pprof/:profile": classAdmin, "/debug/pprof/profile": classAdmin,
	"/debug/pprof/trace": classAdmin, "/debug/pprof/symbol": classAdmin,
}

// TestEveryRouteStatesItsClass walks the routers themselves, not the table:
// what was registered past the table would be found here. Each route is then
// called with no token, the API token and the admin token.
func TestEveryRouteStatesItsClass(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) {
		o.Token, o.AdminToken, o.Origins = "api", "adm1n", []string{"https://a.example"}
	})
	rows := append(f.server.routes(), f.server.debugRoutes()...)
	for _, r := range rows {
		if r.class == classUnstated || reviewed[r.path] != r.class {
			t.Errorf("%s %s: class %d, reviewed as %d", r.method, r.path, r.class, reviewed[r.path])
		}
	}
	walked := 0
	for _, h := range []http.Handler{f.server.http.Handler, f.server.debug.Handler} {
		for _, r := range h.(*gin.Engine).Routes() {
			walked++
			class := reviewed[r.Path]
			if class == classUnstated || f.server.classes[r.Method+" "+r.Path] == classUnstated {
				t.Errorf("%s %s: nobody has stated who may use it", r.Method, r.Path)
				continue
			}
			if r.Method == http.MethodOptions { // a preflight carries no token and does nothing
				if class == classAdmin {
					t.Errorf("%s: pages may ask for an admin route", r.Path)
				}
				continue
			}
			for token, allowed := range map[string]bool{"": class == classOpen, "api": class != classAdmin, "adm1n": class != classToken} {
				if got := statusOf(h, r.Method, r.Path, token); (got != http.StatusUnauthorized) != allowed {
					t.Errorf("%s %s with token %q: %d", r.Method, r.Path, token, got)
				}
			}
		}
	}
	if walked < len(rows) || len(rows) != len(reviewed) {
		t.Errorf("%d routes walked, %d in the tables, %d reviewed", walked, len(rows), len(reviewed))
	}
}

// statusOf calls a route as a client on loopback does. A handler that would
// stream or profile is past the guard by then: the request is over already.
func statusOf(h http.Handler, method, path, token string) int {
	r := httptest.NewRequest(method, strings.NewReplacer(":id", "x", ":profile", "goroutine").Replace(path), nil)
	over, cancel := context.WithCancel(r.Context())
	cancel()
	r = r.WithContext(over)
	r.Host = "localhost"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// A route whose author forgot the class is closed, not open.
func TestUnstatedRouteIsClosed(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Token, o.AdminToken = "api", "adm1n" })
	r := newRouter()
	f.server.mount(r, route{method: "GET", path: "/forgotten", handle: func(c *gin.Context) { emptyStatus(c, 200) }})
	for token, want := range map[string]int{"": 401, "api": 401, "adm1n": 200} {
		if got := statusOf(r, "GET", "/forgotten", token); got != want {
			t.Errorf("with token %q: %d, want %d", token, got, want)
		}
	}
}

// Without an admin token everything is as with one token; an admin token alone
// closes admin routes and leaves work open.
func TestAdminTokenIsOptional(t *testing.T) {
	for _, c := range []struct {
		api, admin, sent   string
		cancelled, allowed int
	}{
		{"", "", "", 202, 200},
		{"api", "", "api", 202, 200},
		{"api", "", "", 401, 401},
		{"", "adm1n", "", 401, 200},
		{"", "adm1n", "adm1n", 202, 200},
		{"api", "adm1n", "api", 401, 200},
		{"api", "adm1n", "adm1n", 202, 401},
	} {
		f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Token, o.AdminToken = c.api, c.admin })
		if got := statusOf(f.server.Handler(), "POST", "/cancel/j", c.sent); got != c.cancelled {
			t.Errorf("%+v: cancel is %d", c, got)
		}
		if got := statusOf(f.server.Handler(), "GET", "/v1/ready", c.sent); got != c.allowed {
			t.Errorf("%+v: work is %d", c, got)
		}
	}
}

func TestTokensAreNotLogged(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Token, o.AdminToken = "s3cret", "adm1n" })
	for _, token := range []string{"s3cret", "adm1n", "wr0ng"} {
		statusOf(f.server.Handler(), "POST", "/shutdown", token)
		statusOf(f.server.Handler(), "POST", "/execute", token)
	}
	for _, token := range []string{"s3cret", "adm1n", "wr0ng"} {
		if strings.Contains(f.log.String(), token) {
			t.Errorf("%s is in the log", token)
		}
	}
}
