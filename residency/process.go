package residency

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v3/process"
)

// Process is what this process holds, in bytes. The figures after RSS are of Linux and 0 elsewhere.
type Process struct {
	RSS       int64 // in memory now: Anonymous, File and shared memory
	Peak      int64 // highest RSS since the program started
	Anonymous int64 // heap, cache, scratch
	File      int64 // mapped files, the weights among them
	Locked    int64
}

// ReadProcess reads the figures of this process.
func ReadProcess(ctx context.Context) (Process, error) {
	p, err := process.NewProcessWithContext(ctx, int32(os.Getpid()))
	if err != nil {
		return Process{}, fmt.Errorf("residency: own process: %w", err)
	}
	m, err := p.MemoryInfoWithContext(ctx)
	if err != nil {
		return Process{}, fmt.Errorf("residency: own process: %w", err)
	}
	out := Process{RSS: int64(m.RSS)}
	return out, out.readStatus("/")
}

// readStatus adds what /proc/self/status has beyond RSS, lines of "VmHWM:   1234 kB". Its peak is of this program;
// getrusage's would be that of the program that started it, if that one was larger.
func (p *Process) readStatus(root string) error {
	fields := map[string]*int64{"VmHWM": &p.Peak, "RssAnon": &p.Anonymous, "RssFile": &p.File, "VmLck": &p.Locked}
	return eachLine(filepath.Join(root, "proc/self/status"), func(line string) {
		key, value, _ := strings.Cut(line, ":")
		if to := fields[key]; to != nil {
			if kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64); err == nil {
				*to = kb << 10
			}
		}
	})
}
