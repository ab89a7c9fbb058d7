//go:build cgo && linux

package cpu

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestPhysicalCores(t *testing.T) {
	sys := t.TempDir()
	for cpu, siblings := range map[string]string{"0": "0,4", "4": "0,4", "1": "1", "2": "2-3", "3": "2-3"} {
		write(t, filepath.Join(sys, "cpu"+cpu, "topology/thread_siblings_list"), siblings+"\n")
	}
	for _, c := range []struct {
		cpus []int
		want int
	}{{nil, 0}, {[]int{0, 4}, 1}, {[]int{0, 1, 2, 3, 4}, 3}, {[]int{3}, 1}, {[]int{1, 9}, 2}} {
		if got := physicalCores(sys, c.cpus); got != c.want {
			t.Errorf("CPUs %v are %d cores, want %d", c.cpus, got, c.want)
		}
	}
}

func TestCPUQuota(t *testing.T) {
	inf := math.Inf(1)
	for name, c := range map[string]struct {
		self  string
		files map[string]string
		want  float64
	}{
		"none":           {"0::/a\n", nil, inf},
		"own":            {"0::/a/b\n", map[string]string{"a/b": "150000 100000\n"}, 1.5},
		"parent's":       {"0::/a/b\n", map[string]string{"a/b": "max 100000\n", "a": "50000 100000\n"}, 0.5},
		"smallest":       {"0::/a/b\n", map[string]string{"a/b": "400000 100000\n", "a": "200000 100000\n", "": "max 100000"}, 2},
		"of a container": {"0::/\n", map[string]string{"": "300000 100000\n"}, 3},
		"other version":  {"4:cpu:/a\n", map[string]string{"a": "100000 100000\n"}, inf},
		"malformed":      {"0::/a\n", map[string]string{"a": "many\n"}, inf},
		"no period":      {"0::/a\n", map[string]string{"a": "1000 0\n"}, inf},
	} {
		root := t.TempDir()
		write(t, filepath.Join(root, "self"), c.self)
		for group, text := range c.files {
			write(t, filepath.Join(root, "sys", group, "cpu.max"), text)
		}
		if got := cpuQuota(filepath.Join(root, "self"), filepath.Join(root, "sys")); got != c.want {
			t.Errorf("%s: %v CPUs, want %v", name, got, c.want)
		}
	}
	if n := defaultThreads(); n < 1 {
		t.Errorf("%d threads by default", n)
	}
}

// TestExp: at most 2 units in the last place over the normal range, exact at 0
// and beyond the range, NaN kept.
func TestExp(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, isa := range ISAs() {
		kern := findISA(isa)
		var x []float32
		for v := float32(-87.3); v < 88.7; v += 0.00037 {
			x = append(x, v)
		}
		for i, y := range exps(kern, x) {
			want := math.Exp(float64(x[i]))
			unit := float64(math.Nextafter32(float32(want), inf)) - float64(float32(want))
			if err := math.Abs(float64(y)-want) / unit; !(err <= 2) {
				t.Fatalf("%s: exp(%v) = %v, %.2f units from %v", isa, x[i], y, err, want)
			}
		}
		for in, want := range map[float32]float32{0: 1, -inf: 0, -1000: 0, -88: 0, inf: inf, 1000: inf, 89: inf} {
			if y := exps(kern, []float32{in, in, in})[2]; y != want {
				t.Errorf("%s: exp(%v) = %v, want %v", isa, in, y, want)
			}
		}
		if y := exps(kern, []float32{nan})[0]; y == y {
			t.Errorf("%s: exp(NaN) = %v", isa, y)
		}
	}
}
