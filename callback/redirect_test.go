package callback

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestRedirectWithinOrigin(t *testing.T) {
	for _, status := range []int{307, 308} {
		r := receiveWith(t, func(w http.ResponseWriter, n int) {
			if n == 0 {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			}
		})
		c, _ := quick(t, Options{URL: r.URL + "/ready", Token: "s3cret"})
		if err := c.Ready(t.Context(), sample()); err != nil {
			t.Fatalf("%d: %v", status, err)
		}
		calls := r.seen()
		if len(calls) != 2 || calls[1].path != "/elsewhere" || calls[1].method != http.MethodPost ||
			calls[1].body != calls[0].body || calls[1].header.Get("Authorization") != "Bearer s3cret" {
			t.Errorf("%d: calls %+v", status, calls)
		}
	}
}

func TestRedirectsRefused(t *testing.T) {
	other := receive(t, 200) // another port is another origin
	port := func(s string) string { u, _ := url.Parse(s); return u.Port() }
	for name, tc := range map[string]struct {
		status int
		to     func(self string) string
		want   string
		calls  int
	}{
		"another host":  {307, func(string) string { return other.URL + "/x?key=s3cret" }, other.URL + "/x", 1},
		"another name":  {308, func(self string) string { return "http://localhost:" + port(self) }, "another origin", 1},
		"other scheme":  {307, func(self string) string { return "https://127.0.0.1:" + port(self) }, "another origin", 1},
		"becomes a GET": {302, func(string) string { return "/x" }, "drops the body", 1},
		"see other":     {303, func(string) string { return "/x" }, "drops the body", 1},
		"loop":          {307, func(string) string { return "/ready" }, "more than 3 times", 4},
	} {
		var self string
		r := receiveWith(t, func(w http.ResponseWriter, _ int) {
			w.Header().Set("Location", tc.to(self))
			w.WriteHeader(tc.status)
		})
		self = r.URL
		c, log := quick(t, Options{URL: r.URL + "/ready", Token: "s3cret"})
		err := c.Ready(t.Context(), sample())
		if !errors.Is(err, ErrRedirect) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want a refused redirect with %q", name, err, tc.want)
		}
		if n := len(r.seen()); n != tc.calls {
			t.Errorf("%s: %d calls, want %d", name, n, tc.calls)
		}
		if strings.Contains(fmt.Sprint(err, log), "s3cret") || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%s: %v\n%s", name, err, log)
		}
	}
	if calls := other.seen(); len(calls) != 0 {
		t.Errorf("the other origin was called: %+v", calls)
	}
}
