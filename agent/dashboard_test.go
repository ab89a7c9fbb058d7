package agent

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// dashboard is what the tests read of Grafana's format.
type dashboard struct {
	Title         string
	SchemaVersion int
	Panels        []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ RefID, Expr string }
	}
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	raw, err := os.ReadFile("../deploy/grafana/llorch.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Every series that the dashboard asks for is exported, with the labels by
// which it is chosen and grouped.
func TestDashboardAsksForWhatIsExported(t *testing.T) {
	f := serveFake(t, &fakeEngine{script: words("x")}, mirrored)
	f.recordEverything()
	exported, d := f.scrape(), readDashboard(t)
	asked := map[string]bool{}
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			if strings.Count(target.Expr, "(") != strings.Count(target.Expr, ")") {
				t.Errorf("%s: unbalanced: %s", p.Title, target.Expr)
			}
			for _, problem := range unknownSeries(target.Expr, exported, asked) {
				t.Errorf("%s: %s", p.Title, problem)
			}
		}
	}
	if len(asked) < 20 {
		t.Errorf("only %d series were found in the dashboard: is it read rightly? %v", len(asked), asked)
	}
	for _, v := range d.Templating.List {
		inside, isLabel := strings.CutPrefix(v.Query, "label_values(")
		if !isLabel {
			continue
		}
		name, label, _ := strings.Cut(strings.TrimSuffix(inside, ")"), ", ")
		if exported[name] == nil || labelOf(exported[name].Metric[0], label) == "" {
			t.Errorf("variable %s: no %s with the label %s", v.Name, name, label)
		}
	}
}

// The test above must see what is wrong.
func TestUnknownSeriesAreSeen(t *testing.T) {
	exported := serveFake(t, &fakeEngine{script: words("x")}, mirrored).scrape()
	for expr, problems := range map[string]int{
		`llorch_state{worker_id="a"}`:                                            0,
		`sum by (le, worker_id) (rate(worker_inference_duration_ms_bucket[5m]))`: 0,
		`llorch_states`:                              1,
		`llorch_state{worker="a"}`:                   1,
		`sum by (class) (llorch_state)`:              1,
		`rate(vllm:e2e_request_latency_seconds[5m])`: 1,
		`rate(vllm:prompt_tokens_total_count[5m]) / vllm:nothing_total{engine="0"} or go_threads`: 2,
	} {
		if got := unknownSeries(expr, exported, map[string]bool{}); len(got) != problems {
			t.Errorf("%s: %q, want %d", expr, got, problems)
		}
	}
}

var (
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
	series   = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})?(\[[^\]]*\])?(\s*\()?`)
	matcher  = regexp.MustCompile(`([a-z_]+)(?:=|!=)~?"`)
)

// unknownSeries is what an expression names that is not exported. It knows as
// much of PromQL as the dashboard uses.
func unknownSeries(expr string, exported map[string]*dto.MetricFamily, asked map[string]bool) (problems []string) {
	var groups []string
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		groups = append(groups, strings.Split(g[1], ", ")...)
	}
	for _, s := range series.FindAllStringSubmatch(grouping.ReplaceAllString(expr, ""), -1) {
		name, selector := s[1], s[2]
		if s[4] != "" || name == "or" { // a function, an operator
			continue
		}
		family, ok := familyOf(name, exported)
		if !ok {
			problems = append(problems, name+" is not exported")
			continue
		}
		asked[name] = true
		labels := slices.Clone(groups)
		for _, m := range matcher.FindAllStringSubmatch(selector, -1) {
			labels = append(labels, m[1])
		}
		for _, l := range labels {
			ofPrometheus := l == "instance" || l == "le" && strings.HasSuffix(name, "_bucket")
			if !ofPrometheus && labelOf(family.Metric[0], l) == "" {
				problems = append(problems, name+" has no label "+l)
			}
		}
	}
	return problems
}

// familyOf finds the family that a series belongs to.
func familyOf(name string, exported map[string]*dto.MetricFamily) (*dto.MetricFamily, bool) {
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		if whole, cut := strings.CutSuffix(name, part); cut {
			f := exported[whole]
			return f, f.GetType() == dto.MetricType_HISTOGRAM
		}
	}
	f := exported[name]
	return f, f != nil && f.GetType() != dto.MetricType_HISTOGRAM
}

// Panels have ids of their own and places that do not overlap.
func TestDashboardLayout(t *testing.T) {
	d := readDashboard(t)
	if d.Title == "" || d.SchemaVersion == 0 || len(d.Panels) == 0 {
		t.Fatalf("not a dashboard: %q, schema %d, %d panels", d.Title, d.SchemaVersion, len(d.Panels))
	}
	for i, p := range d.Panels {
		if g := p.GridPos; g.W <= 0 || g.H <= 0 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%s lies outside: %+v", p.Title, g)
		}
		for _, q := range d.Panels[:i] {
			a, b := p.GridPos, q.GridPos
			if p.ID == q.ID {
				t.Errorf("%s and %s have the id %d", p.Title, q.Title, p.ID)
			}
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s lies over %s", p.Title, q.Title)
			}
		}
	}
}
