package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	unit = "llorch-cpu@.service"
	// mostExposure is the score of `systemd-analyze security` that the unit may have, 0 is best.
	mostExposure = 2.0
)

// analyze runs systemd-analyze on the unit as an instance; binary stands for
// the worker, which need not be installed.
func analyze(t *testing.T, binary string, args ...string) (string, error) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed: the unit file is not checked by it")
	}
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), strings.Replace(unit, "@", "@test", 1))
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/llorch-cpu", binary)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, append(args, path)...).CombinedOutput()
	return string(out), err
}

// The unit is understood without a complaint; the same check finds a misspelt
// directive, so it does look.
func TestUnitVerifies(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := analyze(t, self, "verify", "--man=no"); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("%v\n%s", err, out)
	}
	if out, _ := analyze(t, self+"\nWatchdogSecs=1", "verify", "--man=no"); !strings.Contains(out, "WatchdogSecs") {
		t.Errorf("a misspelt directive passes: %s", out)
	}
}

func TestUnitIsHardened(t *testing.T) {
	out, err := analyze(t, "/bin/true", "security", "--offline=true", "--no-pager")
	if strings.Contains(out, "unrecognized option") || strings.Contains(out, "Unknown command") {
		t.Skipf("this systemd-analyze cannot look at a file (it is older than 250): the score is not checked\n%s", out)
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

// What the tool does not judge: the promises between the unit and the worker.
func TestUnitFitsTheWorker(t *testing.T) {
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, want := range []string{
		"Type=notify", "NotifyAccess=main", "WatchdogSec=30s", "Restart=on-failure", "RestartPreventExitStatus=2",
		"LoadCredential=api-token:llorch-%i-api-token", "LimitMEMLOCK=infinity", "EnvironmentFile=/etc/llorch/%i.env",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %s", want)
		}
	}
	for _, l := range lines { // the memory plan reads /proc/meminfo
		if strings.HasPrefix(l, "ProcSubset=") {
			t.Errorf("%s hides /proc/meminfo", l)
		}
	}
}
