package agent

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v3"

	"llorch/config"
)

// manifests calls see for every mapping in deploy/kubernetes, file by file.
func manifests(t *testing.T, see func(file string, m map[string]any)) {
	t.Helper()
	files, err := filepath.Glob("../deploy/kubernetes/*/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d manifests: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var doc any
			if err := d.Decode(&doc); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			walk(doc, func(m map[string]any) { see(filepath.Base(file), m) })
		}
	}
}

func walk(node any, see func(map[string]any)) {
	switch n := node.(type) {
	case map[string]any:
		see(n)
		for _, child := range n {
			walk(child, see)
		}
	case []any:
		for _, child := range n {
			walk(child, see)
		}
	}
}

// part is a path of keys into a mapping, "" where there is none.
func part(m map[string]any, keys ...string) string {
	for _, k := range keys[:len(keys)-1] {
		m, _ = m[k].(map[string]any)
	}
	s, _ := m[keys[len(keys)-1]].(string)
	return s
}

// Probes ask what needs no token and is answered; the gateway sends what is an endpoint.
func TestManifestsAskForEndpoints(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, func(o *ServerOptions) { o.Token = "api" })
	probes, routes := map[string]bool{}, 0
	manifests(t, func(file string, m map[string]any) {
		for _, path := range []string{part(m, "httpGet", "path"), part(m, "prometheus.io/path")} {
			if path == "" {
				continue
			}
			probes[path] = true
			if resp := f.do("GET", path, ""); resp.StatusCode != http.StatusOK {
				t.Errorf("%s: GET %s of a ready worker: %d", file, path, resp.StatusCode)
			}
		}
		if path := part(m, "path", "value"); path != "" {
			routes++
			if resp := f.do(part(m, "method"), path, ""); resp.StatusCode != http.StatusUnauthorized { // so it exists, and asks for a token
				t.Errorf("%s: %s %s without a token: %d", file, m["method"], path, resp.StatusCode)
			}
		}
	})
	if len(probes) != 3 || routes == 0 {
		t.Errorf("probes %v, %d routes: are the manifests read rightly?", probes, routes)
	}
}

// The autoscaler's metric is exported, and a gauge: a counter would grow for ever.
func TestManifestsScaleByWhatIsExported(t *testing.T) {
	exported := serveFake(t, &fakeEngine{script: words("x")}, nil).scrape()
	scaled := 0
	manifests(t, func(file string, m map[string]any) {
		if name := part(m, "pods", "metric", "name"); name != "" {
			scaled++
			if family := exported[name]; family.GetType() != dto.MetricType_GAUGE || family == nil {
				t.Errorf("%s: %s is not an exported gauge", file, name)
			}
		}
	})
	if scaled == 0 {
		t.Error("no autoscaler was found")
	}
}

// The variables that manifests and units set are settings, and their values
// make a worker that serves.
func TestDeployedSettingsAreValid(t *testing.T) {
	environments := map[string][]string{}
	manifests(t, func(file string, m map[string]any) {
		name := part(m, "name")
		if !strings.HasPrefix(name, "LLORCH_") {
			return
		}
		value := part(m, "value")
		if m["valueFrom"] != nil {
			value = "from-the-cluster"
		}
		environments[file] = append(environments[file], name+"="+value)
	})
	for _, unit := range []string{"llorch-cpu@.service", "llorch-cuda@.service"} {
		text, err := os.ReadFile("../deploy/systemd/" + unit)
		if err != nil {
			t.Fatal(err)
		}
		needed := []string{"LLORCH_MODEL=/srv/models/mini", "LLORCH_PORT=8080"} // from the host's files, which win
		for _, line := range regexp.MustCompile(`(?m)^Environment=(.*)$`).FindAllStringSubmatch(string(text), -1) {
			needed = append(strings.Fields(strings.ReplaceAll(line[1], "%i", "0")), needed...)
		}
		environments[unit] = needed
	}
	if len(environments) != 4 {
		t.Errorf("%d environments were found", len(environments))
	}
	for from, environ := range environments {
		cfg, err := config.Load(nil, environ)
		if err == nil {
			err = cfg.ValidateServe()
		}
		if err != nil || len(cfg.Notes) > 0 {
			t.Errorf("%s: %v, notes %q", from, err, cfg.Notes)
		}
	}
}
