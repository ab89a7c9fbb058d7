package cpu

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// defaultThreads is one thread a physical core that this process may run on,
// but not more than the CPU time its cgroup gets: a thread beyond the quota
// would hold the others up at every barrier while it is throttled.
func defaultThreads() int {
	n := physicalCores("/sys/devices/system/cpu", allowedCPUs())
	if quota := cpuQuota("/proc/self/cgroup", "/sys/fs/cgroup"); quota < float64(n) {
		n = int(quota)
	}
	return max(n, 1)
}

// allowedCPUs lists the CPUs of this process's affinity mask.
func allowedCPUs() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(os.Getpid(), &set); err != nil {
		return nil
	}
	var cpus []int
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	return cpus
}

// physicalCores counts the cores of cpus: those that share a core list each
// other as siblings under sys. A CPU without such a list counts as a core.
func physicalCores(sys string, cpus []int) int {
	cores := map[string]bool{}
	for _, c := range cpus {
		id := strconv.Itoa(c)
		siblings, err := os.ReadFile(filepath.Join(sys, "cpu"+id, "topology", "thread_siblings_list"))
		if err != nil {
			siblings = []byte(id)
		}
		cores[strings.TrimSpace(string(siblings))] = true
	}
	return len(cores)
}

// cpuQuota returns the CPUs' worth of time that the cgroups of this process
// allow, infinite without a limit. It reads the unified hierarchy, from the
// group itself to the root: the smallest limit counts.
func cpuQuota(self, root string) float64 {
	quota := math.Inf(1)
	groups, err := os.ReadFile(self)
	if err != nil {
		return quota
	}
	for line := range strings.Lines(string(groups)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		for {
			quota = min(quota, readQuota(filepath.Join(root, group, "cpu.max")))
			if group == "/" || group == "." || group == "" {
				break
			}
			group = filepath.Dir(group)
		}
	}
	return quota
}

// readQuota reads "quota period" in microseconds, or "max period".
func readQuota(path string) float64 {
	text, _ := os.ReadFile(path)
	fields := strings.Fields(string(text))
	if len(fields) != 2 {
		return math.Inf(1)
	}
	quota, err1 := strconv.ParseFloat(fields[0], 64)
	period, err2 := strconv.ParseFloat(fields[1], 64)
	if err1 != nil || err2 != nil || period <= 0 {
		return math.Inf(1)
	}
	return quota / period
}

// processorName returns what the maker calls the processor.
func processorName() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "cpu"
}
