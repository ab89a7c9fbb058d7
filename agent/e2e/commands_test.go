package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// command runs the program to its end.
func command(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	c := exec.CommandContext(t.Context(), binary, args...)
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &err
	if e := c.Run(); e != nil && c.ProcessState == nil {
		t.Fatal(e)
	}
	return c.ProcessState.ExitCode(), out.String(), err.String()
}

func TestUsageErrors(t *testing.T) {
	ok := []string{"--worker-id", "w", "--model", model, "--callback-url", "http://127.0.0.1:1/x"}
	for _, args := range [][]string{
		{}, append(ok[:len(ok):len(ok)], "--port", "1", "--no-such-flag"), {"--worker-id", "w", "--port", "9001"},
		append(ok[:len(ok):len(ok)], "--port", "70000"), append(ok[:len(ok):len(ok)], "--port", "x"), append(ok[:len(ok):len(ok)], "--port"),
		{"frobnicate"}, {"serve", "extra"}, {"generate", "--model", model, "--temperature", "3", "hi"}, {"generate", "--model", model, "a", "b"},
		{"generate", "hi"}, {"inspect"}, {"inspect", model, "--model", model}, {"doctor", "x"}, {"version", "x"},
	} {
		status, out, err := command(t, "", args...)
		if status != 2 || !strings.Contains(err, "Usage:") || out != "" {
			t.Errorf("%q: status %d\nstdout %s\nstderr %.200s", args, status, out, err)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"--version"}, {"version"}, {"help", "generate"}, {"completion", "bash"}, {"inspect", "--help"}} {
		if status, out, err := command(t, "", args...); status != 0 || out == "" || err != "" {
			t.Errorf("%q: status %d, %d bytes of output, stderr %s", args, status, len(out), err)
		}
	}
}

func TestGenerate(t *testing.T) {
	args := []string{"generate", "--model", model, "--max-tokens", "12", "--temperature", "0"}
	status, one, figures := command(t, "", append(args[:len(args):len(args)], "Once upon a time")...)
	if status != 0 || strings.TrimSpace(one) == "" || !strings.Contains(figures, "tokens/s") {
		t.Fatalf("status %d %q %s", status, one, figures)
	}
	if status, two, _ := command(t, "Once upon a time\n", args...); status != 0 || two != one {
		t.Errorf("by standard input: status %d %q, as argument %q", status, two, one)
	}
	if status, _, err := command(t, "", "generate", "--model", "/nonexistent", "hi"); status != 1 || !strings.Contains(err, "/nonexistent") {
		t.Errorf("status %d %s", status, err)
	}
}

func TestInspect(t *testing.T) {
	status, out, err := command(t, "", "inspect", model, "--json", "--tensors")
	var r struct {
		Architecture, Quant string
		Parameters          int64
		Layers              int
		Files, Tensors      []any
		Memory              struct {
			Required int64
			Fits     bool
		}
	}
	if e := json.Unmarshal([]byte(out), &r); status != 0 || e != nil {
		t.Fatalf("status %d %v %s", status, e, err)
	}
	if r.Architecture != "llama" || r.Quant != "BF16" || r.Parameters < 1e6 || r.Layers < 2 || len(r.Files) != 2 || len(r.Tensors) < 10 || !r.Memory.Fits || r.Memory.Required < 1e6 {
		t.Errorf("%+v", r)
	}
	if status, out, _ := command(t, "", "inspect", model); status != 0 || !strings.Contains(out, "fits") {
		t.Errorf("status %d %s", status, out)
	}
}

func TestDoctor(t *testing.T) {
	status, out, err := command(t, "", "doctor", "--json", "--model", model)
	var all []struct{ Subject, Grade, Text string }
	if e := json.Unmarshal([]byte(out), &all); status != 0 || e != nil {
		t.Fatalf("status %d %v %s %s", status, e, out, err)
	}
	seen := map[string]string{}
	for _, f := range all {
		seen[f.Subject] = f.Grade
	}
	for _, s := range []string{"host", "device cpu", "memory", "residency", "open files", "memlock", "model"} {
		if seen[s] == "" {
			t.Errorf("nothing about %s", s)
		}
	}
	if status, _, _ := command(t, "", "doctor", "--model", "/nonexistent"); status != 1 {
		t.Errorf("a missing model: status %d", status)
	}
}

// A report that could not be written is a failure, not a success without output.
func TestFullDiskIsToldByTheStatus(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("this system has no /dev/full:", err)
	}
	defer full.Close()
	for _, args := range [][]string{{"version"}, {"inspect", model}, {"inspect", model, "--json"}, {"doctor"}, {"doctor", "--json"}} {
		c := exec.CommandContext(t.Context(), binary, args...)
		c.Stdout = full
		if err := c.Run(); c.ProcessState == nil || c.ProcessState.ExitCode() != 1 {
			t.Errorf("%q: %v", args, err)
		}
	}
}
