package standin

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Memory is what the kernel says about a worker, in bytes: not the worker's
// own word.
type Memory struct {
	RSS       int64 // all of it
	ModelSize int64 // mapped from files of the model folder
	ModelRSS  int64 // of those, in memory
}

// ReadMemory reads the kernel's account of a process (Linux).
func ReadMemory(pid int, model string) (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("standin: %w", err)
	}
	folder, err := filepath.Abs(model)
	if err == nil {
		folder, err = filepath.EvalSymlinks(folder)
	}
	if err != nil {
		return Memory{}, fmt.Errorf("standin: %w", err)
	}
	var m Memory
	ours := false
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64); {
		case strings.Contains(name, "-") && strings.Contains(name, " "): // a mapping's first line
			ours = strings.Contains(line, folder)
		case err != nil:
		case name == "Size" && ours:
			m.ModelSize += kb << 10
		case name == "Rss":
			m.RSS += kb << 10
			if ours {
				m.ModelRSS += kb << 10
			}
		}
	}
	return m, nil
}

// Descriptors counts a process's open files (Linux).
func Descriptors(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, fmt.Errorf("standin: %w", err)
	}
	return len(entries), nil
}

// Sample reads one value from the text of /metrics: the first line that begins
// with the name and holds all of the labels, as name="value".
func Sample(metrics, name string, labels ...string) (float64, bool) {
next:
	for line := range strings.Lines(metrics) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(series, "{"); !ok || base != name {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(series, l) {
				continue next
			}
		}
		v, err := strconv.ParseFloat(value, 64)
		return v, err == nil
	}
	return 0, false
}
