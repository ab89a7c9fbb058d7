package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestGeneratedWorkerID(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		c, err := load(t, "", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^worker-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(c.WorkerID) || seen[c.WorkerID] {
			t.Errorf("worker id %q", c.WorkerID)
		}
		seen[c.WorkerID] = true
	}
}

func TestAddresses(t *testing.T) {
	for _, tc := range []struct{ args, bind, uri string }{
		{"--port 8004", "0.0.0.0:8004", "http://localhost:8004"},
		{"--port 8004 --local-mode", "127.0.0.1:8004", "http://localhost:8004"},
		{"--port 8004 --local-mode --host ::1", "[::1]:8004", "http://[::1]:8004"},
		{"--port 8004 --host 10.0.0.1", "10.0.0.1:8004", "http://10.0.0.1:8004"},
		{"--port 8004 --host 0.0.0.0", "0.0.0.0:8004", "http://localhost:8004"},
		{"--port 8004 --host ::", "[::]:8004", "http://localhost:8004"},
		{"--port 8004 --host 0.0.0.0 --advertise-host pod-1.ns", "0.0.0.0:8004", "http://pod-1.ns:8004"},
		{"--port 8004 --advertise-host fd00::1", "0.0.0.0:8004", "http://[fd00::1]:8004"},
	} {
		c, err := load(t, "", nil, strings.Fields(tc.args))
		if err != nil || c.BindAddress() != tc.bind || c.URI() != tc.uri {
			t.Errorf("%s: %s, %s, %v; want %s, %s", tc.args, c.BindAddress(), c.URI(), err, tc.bind, tc.uri)
		}
	}
}

func TestLocalModeKeepsToken(t *testing.T) {
	c, err := load(t, "", []string{"LLORCH_API_TOKEN=s3cret"}, []string{"--local-mode"})
	if err != nil || c.APIToken.Reveal() != "s3cret" {
		t.Errorf("token %q, %v", c.APIToken.Reveal(), err)
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	c, err := load(t, "", []string{"LLORCH_API_TOKEN=s3cret"}, []string{"--callback-url", "http://user:s3cret@h:9200/ready?key=s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("start", "config", c)
	log.Info("start", "token", c.APIToken)
	slog.New(slog.NewTextHandler(&out, nil)).Info("start", "config", c)
	fmt.Fprintf(&out, "%v %+v %#v %s %q", c.APIToken, c.APIToken, c.APIToken, c.APIToken, c.APIToken)
	j, err := json.Marshal(struct{ T Secret }{c.APIToken})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(j)
	if strings.Contains(out.String(), "s3cret") {
		t.Errorf("the secret is printed: %s", out.String())
	}
	for _, want := range []string{`"api_token":"[set]"`, `"callback_url":"http://h:9200/ready"`, `"callback_timeout":5000000000`, `"device":"auto:0"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
}

func TestInferenceTimeout(t *testing.T) {
	if got := Default().InferenceTimeout(); got != 300*time.Second {
		t.Errorf("default inference timeout %v, want 5m", got)
	}
}

func TestURIWithTLS(t *testing.T) {
	if got := (Config{Port: 8443, AdvertiseHost: "w.example", TLSCert: "/c.pem"}).URI(); got != "https://w.example:8443" {
		t.Error(got)
	}
}
