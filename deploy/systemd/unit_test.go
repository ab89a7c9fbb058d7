package systemd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mostExposure is the score that a service may have.
const mostExposure = 2.0

func stage(t *testing.T) []string {
	t.Helper()
	paths, err := Stage(t.TempDir(), "/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func skipWithoutTool(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, ErrNoTool) {
		t.Skip(err)
	}
}

// The units are understood without a complaint.
func TestUnitsVerify(t *testing.T) {
	out, err := Verify(t.Context(), stage(t)...)
	skipWithoutTool(t, err)
	if err != nil || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("systemd-analyze verify: %d units, no complaint", len(Instances))
}

// The test above must see what is wrong, in each unit.
func TestMisspeltDirectivesAreSeen(t *testing.T) {
	for _, path := range stage(t) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("\n[Unit]\nAfterwards=x\n"); err != nil {
			t.Fatal(err)
		}
		f.Close()
		out, err := Verify(t.Context(), path)
		skipWithoutTool(t, err)
		if !strings.Contains(out, "Afterwards") {
			t.Errorf("%s: a misspelt directive passes: %s", filepath.Base(path), out)
		}
	}
}

func TestServicesAreHardened(t *testing.T) {
	services := 0
	for _, path := range stage(t) {
		if filepath.Ext(path) != ".service" {
			continue
		}
		services++
		score, report, err := Exposure(t.Context(), path)
		skipWithoutTool(t, err)
		if err != nil || score > mostExposure {
			t.Errorf("exposure %.1f, at most %.1f (%v)\n%s", score, mostExposure, err, report)
		}
		t.Logf("systemd-analyze security: %s", exposure.FindString(report))
	}
	if services != 2 {
		t.Errorf("%d services", services)
	}
}

// directives reads a unit file: every value of each key, in order. A key that
// is set twice has both, as in systemd, where most of ours are lists.
func directives(t *testing.T, instance string) map[string][]string {
	t.Helper()
	_, text, err := unit(instance)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for l := range strings.SplitSeq(string(text), "\n") {
		if key, value, ok := strings.Cut(l, "="); ok && !strings.HasPrefix(l, "#") {
			all[key] = append(all[key], value)
		}
	}
	return all
}
