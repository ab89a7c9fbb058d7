//go:build cuda

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"llorch/deploy/demo/standin"
)

func init() { buildFlags = append(buildFlags, "-tags", "cuda") }

// noDriver makes a host of one without a driver.
const noDriver = "LLORCH_LIBCUDA=/nonexistent/libcuda.so.1"

// A worker for a GPU where there is no driver ends with a sentence, and tells no orchestrator that it is there.
func TestCUDAWithoutDriver(t *testing.T) {
	for _, args := range [][]string{{"--device", "cuda:0"}, {"--device", "GPU-3"}, {"--cuda-device", "1"}, {}} {
		o := orchestrate(t, nil)
		f := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready"), Args: args, Env: []string{noDriver}})
		f.exits(1, patience)
		line, _ := f.Find("error")
		if text := fmt.Sprint(line.Fields["error"]); !strings.Contains(text, "no NVIDIA driver") || !strings.Contains(text, "install the NVIDIA driver") {
			t.Errorf("%q: error %s", args, text)
		}
		if calls := o.Calls(); len(calls) != 0 {
			t.Errorf("%q: %d callbacks", args, len(calls))
		}
	}
}

// The program for GPUs serves on the CPU when it is told to.
func TestCUDAProgramOnCPU(t *testing.T) {
	o := orchestrate(t, nil)
	f := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready"), Args: []string{"--device", "cpu"}, Env: []string{noDriver}})
	f.healthy()
	if len(o.Calls()) != 1 {
		t.Errorf("%d callbacks", len(o.Calls()))
	}
}

func TestCUDADoctor(t *testing.T) {
	t.Setenv("LLORCH_LIBCUDA", "/nonexistent/libcuda.so.1")
	status, out, err := command(t, "", "doctor")
	if status != 1 || !strings.Contains(out, "no NVIDIA driver") {
		t.Errorf("status %d\n%s%s", status, out, err)
	}
	if status, out, err := command(t, "", "doctor", "--device", "cpu"); status != 0 || !strings.Contains(out, "no NVIDIA driver") {
		t.Errorf("for the CPU: status %d\n%s%s", status, out, err)
	}
}

// Hosts that cannot serve, by a driver that computes nothing: each start ends with a sentence that says what is wrong and
// what to do, and without a callback.
func TestCUDAUnfitHosts(t *testing.T) {
	library := filepath.Join(t.TempDir(), "libcuda.so.1")
	source := "../../inference/backend/cuda/driver/testdata/fake/libcuda.c"
	if out, err := exec.Command("cc", "-w", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	for _, c := range []struct {
		name, device, env string
		want              []string
	}{
		{"wrong ordinal", "cuda:5", "FAKE_DEVICES=2", []string{"no device cuda:5", "cuda:0 to cuda:1"}},
		{"hidden device", "cuda:1", "CUDA_VISIBLE_DEVICES=3", []string{`CUDA_VISIBLE_DEVICES="3"`, "the only one"}},
		{"no device", "cuda:0", "FAKE_INIT=100", []string{"no GPU", "nvidia-smi -L"}},
		{"half updated driver", "cuda:0", "FAKE_INIT=803", []string{"reboot"}},
		{"old driver", "cuda:0", "FAKE_VERSION=11080", []string{"CUDA 11.8", "update the driver"}},
		{"old GPU", "cuda:0", "FAKE_CAPABILITY=75", []string{"7.5", "Ampere"}},
		{"slice", "cuda:0", "FAKE_NAME=NVIDIA H200 MIG 1g.18gb", []string{"MIG slice", "whole GPU"}},
		{"closed", "cuda:0", "FAKE_MODE=2", []string{"closed to computation"}},
	} {
		o := orchestrate(t, nil)
		f := spawn(t, standin.Spawn{CallbackURL: o.URL("/ready"), Args: []string{"--device", c.device}, Env: []string{"LLORCH_LIBCUDA=" + library, c.env}})
		f.exits(1, patience)
		line, _ := f.Find("error")
		for _, w := range c.want {
			if text := fmt.Sprint(line.Fields["error"]); !strings.Contains(text, w) {
				t.Errorf("%s: %q does not say %q", c.name, text, w)
			}
		}
		if calls := o.Calls(); len(calls) != 0 {
			t.Errorf("%s: %d callbacks", c.name, len(calls))
		}
	}
}
