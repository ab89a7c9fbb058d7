//go:build cuda

package e2e

import (
	"fmt"
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
	if status != 1 || !strings.Contains(out, "no NVIDIA driver") || !strings.Contains(out, "cublaslt") {
		t.Errorf("status %d\n%s%s", status, out, err)
	}
	if status, out, err := command(t, "", "doctor", "--device", "cpu"); status != 0 || !strings.Contains(out, "no NVIDIA driver") {
		t.Errorf("for the CPU: status %d\n%s%s", status, out, err)
	}
}
