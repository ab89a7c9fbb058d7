package agent

import (
	"net/http"
	"testing"
)

// preflight asks as a browser does before a page's request.
func (f *fixture) preflight(path, origin, method, headers string) *http.Response {
	return f.do("OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", headers)
}

func TestNoOriginIsAllowedUnlessListed(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, nil)
	for _, resp := range []*http.Response{
		f.do("GET", "/health", "", "Origin", "https://a.example"),
		f.do("POST", "/execute", good, "Origin", "https://a.example"),
		f.preflight("/execute", "https://a.example", "POST", "content-type"),
	} {
		for name := range resp.Header {
			if len(name) > 15 && name[:15] == "Access-Control-" {
				t.Errorf("%s: %s is sent", resp.Request.URL, name)
			}
		}
	}
	if resp := f.preflight("/execute", "https://a.example", "POST", "content-type"); resp.StatusCode != 405 {
		t.Errorf("a preflight is answered with %d", resp.StatusCode)
	}
}

func TestListedOriginsUseTheAPI(t *testing.T) {
	const listed = "https://a.example"
	for _, list := range [][]string{{listed}, {"https://b.example:8443", listed}, {"*"}} {
		f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Token, o.Origins, o.Loopback = "s3cret", list, true })
		any := list[0] == "*"
		want := listed
		if any {
			want = "*"
		}
		for _, path := range []string{"/execute", "/v1/inference", "/health", "/v1/ready"} {
			resp := f.preflight(path, listed, "POST", "authorization,content-type")
			if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != want || resp.Header.Get("Access-Control-Allow-Methods") != "POST" ||
				resp.Header.Get("Access-Control-Allow-Headers") != "authorization,content-type" || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%v %s: %d %v", list, path, resp.StatusCode, resp.Header)
			}
		}
		answer := f.do("POST", "/execute", good, "Origin", listed, "Sec-Fetch-Site", "cross-site", "Authorization", "Bearer s3cret")
		if text(t, answer); answer.StatusCode != 200 || answer.Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("%v: %d %v", list, answer.StatusCode, answer.Header)
		}
		// The page must be able to read why it is refused, and is not let in without the token.
		if resp := f.do("POST", "/execute", good, "Origin", listed); resp.StatusCode != 401 || resp.Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("%v: %d %v", list, resp.StatusCode, resp.Header)
		}
		other := f.do("POST", "/execute", good, "Origin", "https://evil.example", "Authorization", "Bearer s3cret")
		if text(t, other); (other.StatusCode == 200) != any || (other.Header.Get("Access-Control-Allow-Origin") != "") != any {
			t.Errorf("%v: an origin that is not listed gets %d %v", list, other.StatusCode, other.Header)
		}
	}
}

// No page stops the worker or a job, whatever its origin.
func TestOriginsHaveNoPartInAdminRoutes(t *testing.T) {
	for _, list := range [][]string{{"https://a.example"}, {"*"}} {
		f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) {
			o.Origins = list
			o.Stop = func(string) bool { t.Error("a page stopped the worker"); return true }
		})
		for _, path := range []string{"/shutdown", "/v1/shutdown", "/v1/admin/shutdown", "/cancel/x"} {
			if resp := f.do("POST", path, "", "Origin", "https://a.example"); resp.StatusCode != 403 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%v %s: %d %v", list, path, resp.StatusCode, resp.Header)
			}
			if resp := f.preflight(path, "https://a.example", "POST", ""); resp.StatusCode == 204 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%v preflight of %s: %d %v", list, path, resp.StatusCode, resp.Header)
			}
		}
	}
}

// A name re-bound to this machine stays refused where the worker is on loopback, CORS or not.
func TestListedOriginDoesNotExcuseAForeignHost(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Loopback, o.Origins = true, []string{"*"} })
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.URL+"/v1/ready", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	req.Header.Set("Origin", "http://evil.example")
	resp, err := f.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("%d", resp.StatusCode)
	}
}
