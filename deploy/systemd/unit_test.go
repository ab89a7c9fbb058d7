package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// mostExposure is the score of `systemd-analyze security` that a service may have, 0 is best.
const mostExposure = 2.0

// instances are the units as a host would run them.
var instances = []string{"llorch-cpu@test.service", "llorch-cpu@test.socket", "llorch-cuda@0.service", "llorch-cuda.target"}

var (
	template = regexp.MustCompile(`@[^.]*\.`)
	program  = regexp.MustCompile(`/usr/local/bin/llorch-\w+`)
)

// fileOf is the file that an instance is made from.
func fileOf(instance string) string { return template.ReplaceAllString(instance, "@.") }

// directives reads a unit file: every value of each key, in order. A key that
// is set twice has both, as in systemd, where most of ours are lists.
func directives(t *testing.T, instance string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(fileOf(instance))
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

// stage copies the units into a folder where worker, which must exist, stands
// for the program; it returns the paths of the instances.
func stage(t *testing.T, worker string) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range instances {
		text, err := os.ReadFile(fileOf(name))
		if err != nil {
			t.Fatal(err)
		}
		text = program.ReplaceAll(text, []byte(worker))
		for _, to := range []string{fileOf(name), name} {
			if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		paths = append(paths, filepath.Join(dir, name))
	}
	return paths
}

func analyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze was not found, so the units are NOT checked: install systemd (on Debian: apt install systemd)")
	}
	out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput()
	return string(out), err
}

// The units are understood without a complaint.
func TestUnitsVerify(t *testing.T) {
	out, err := analyze(t, append([]string{"verify", "--man=no"}, stage(t, "/bin/true")...)...)
	if err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("systemd-analyze verify: %d units, no complaint", len(instances))
}

// The test above must see what is wrong, in each unit.
func TestMisspeltDirectivesAreSeen(t *testing.T) {
	for _, path := range stage(t, "/bin/true") {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("WantedBuy=multi-user.target\n[Unit]\nAfterwards=x\n"); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if out, _ := analyze(t, "verify", "--man=no", path); !strings.Contains(out, "Afterwards") {
			t.Errorf("%s: a misspelt directive passes: %s", filepath.Base(path), out)
		}
	}
}

func TestServicesAreHardened(t *testing.T) {
	for _, path := range stage(t, "/bin/true") {
		if filepath.Ext(path) != ".service" {
			continue
		}
		out, err := analyze(t, "security", "--offline=true", "--no-pager", path)
		if strings.Contains(out, "unrecognized option") || strings.Contains(out, "Unknown command") {
			t.Skipf("this systemd-analyze cannot look at a file (it is older than 250), so the score is NOT checked\n%s", out)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		m := regexp.MustCompile(`Overall exposure level[^:]*: ([0-9.]+)`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("no score in\n%s", out)
		}
		score, err := strconv.ParseFloat(m[1], 64)
		if err != nil || score > mostExposure {
			t.Errorf("exposure %s, at most %.1f (%v)\n%s", m[1], mostExposure, err, out)
		}
		t.Logf("systemd-analyze security: %s", m[0])
	}
}
