package systemd

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the tool does not judge: the promises between the units and the worker.
func TestServicesFitTheWorker(t *testing.T) {
	for service, credentials := range map[string]string{"llorch-cpu@.service": "llorch-%i-", "llorch-cuda@.service": "llorch-cuda-"} {
		d := directives(t, service)
		for key, want := range map[string][]string{
			"Type": {"notify"}, "NotifyAccess": {"main"}, "WatchdogSec": {"30s"}, "LimitMEMLOCK": {"infinity"}, "DynamicUser": {"yes"},
			"LoadCredential": {
				"api-token:" + credentials + "api-token", "admin-token:" + credentials + "admin-token",
				"callback-secret:" + credentials + "callback-secret", "tls-cert:" + credentials + "tls-cert",
				"tls-key:" + credentials + "tls-key", "tls-client-ca:" + credentials + "tls-client-ca",
			},
		} {
			if !slices.Equal(d[key], want) {
				t.Errorf("%s: %s is %q, want %q", service, key, d[key], want)
			}
		}
		if p, ok := d["ProcSubset"]; ok {
			t.Errorf("%s: ProcSubset=%s hides /proc/meminfo, from which the memory is planned", service, p)
		}
	}
}

// What becomes of a worker by its exit status, as the worker means it.
func TestRestartByExitStatus(t *testing.T) {
	want := map[string]outcome{
		"0": stays, // stopped as asked
		"1": again, // could not start, or failed
		"2": fails, // wrong settings
		"3": again, // lost its device
		"4": again, // lost its residency
		"5": stays, // deregistered by the orchestrator
	}
	for _, service := range []string{"llorch-cpu@.service", "llorch-cuda@.service"} {
		d := directives(t, service)
		for _, status := range slices.Sorted(maps.Keys(want)) {
			if got := after(d, status); got != want[status] {
				t.Errorf("%s: exit status %s: %s, want %s", service, status, got, want[status])
			}
		}
		if d["StartLimitBurst"] == nil || d["StartLimitIntervalSec"] == nil {
			t.Errorf("%s: a worker that cannot start is tried for ever", service)
		}
	}
}

type outcome string

const (
	again outcome = "started again"
	stays outcome = "stopped"
	fails outcome = "failed"
)

// after is what systemd does when a service ends with a status, for the
// directives that ours have (systemd.service(5)): what prevents a restart is
// asked first, then what forces one, then Restart=.
func after(d map[string][]string, status string) outcome {
	has := func(key string) bool { return slices.Contains(strings.Fields(strings.Join(d[key], " ")), status) }
	clean := status == "0" || has("SuccessExitStatus")
	restart := strings.Join(d["Restart"], " ")
	switch {
	case has("RestartPreventExitStatus"):
	case has("RestartForceExitStatus"), restart == "always", restart == "on-failure" && !clean, restart == "on-success" && clean:
		return again
	}
	if clean {
		return stays
	}
	return fails
}

// A worker of the template has one device and the two files every CUDA process
// needs; the target starts one worker for each device, and a device that is
// not there is no failure.
func TestOneWorkerPerDevice(t *testing.T) {
	d := directives(t, "llorch-cuda@.service")
	allowed := []string{"/dev/nvidia%i rw", "/dev/nvidiactl rw", "/dev/nvidia-uvm rw"}
	if !slices.Equal(d["DeviceAllow"], allowed) || !slices.Equal(d["DevicePolicy"], []string{"closed"}) {
		t.Errorf("devices: %q, policy %q", d["DeviceAllow"], d["DevicePolicy"])
	}
	if !slices.Equal(d["ConditionPathExists"], []string{"/dev/nvidia%i"}) || !slices.Equal(d["PartOf"], []string{"llorch-cuda.target"}) {
		t.Errorf("condition %q, part of %q", d["ConditionPathExists"], d["PartOf"])
	}
	var want []string
	for i := range 8 {
		want = append(want, fmt.Sprintf("llorch-cuda@%d.service", i))
	}
	if got := strings.Fields(strings.Join(directives(t, "llorch-cuda.target")["Wants"], " ")); !slices.Equal(got, want) {
		t.Errorf("the target starts %q", got)
	}
}

// The table in deploy/README.md tells what the units do.
func TestReadmeTellsOfRestarts(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d) \| [^|]+ \| ([^|]+) \| [^|]+ \|$`).FindAllStringSubmatch(string(text), -1)
	if len(rows) != 6 {
		t.Fatalf("%d exit statuses in the table: %q", len(rows), rows)
	}
	d := directives(t, "llorch-cpu@.service")
	for _, r := range rows {
		if got := after(d, r[1]); string(got) != r[2] {
			t.Errorf("exit status %s: %s, the table says %s", r[1], got, r[2])
		}
	}
}
