package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"llorch/deploy/demo/standin"
)

// synced copies the model to files whose pages are clean: the kernel drops no
// others.
func synced(t *testing.T) string {
	t.Helper()
	dir := copyModel(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil || len(files) == 0 {
		t.Fatal("no weights", err)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// evict has the kernel take the pages of a worker's weight files, as it does by
// itself when memory is short. It returns their bytes.
func (f *fleet) evict() (bytes int) {
	f.t.Helper()
	pidfd, err := unix.PidfdOpen(f.PID(), 0)
	if err != nil {
		f.t.Skipf("this kernel or sandbox lets nobody act on another process's memory: %v", err)
	}
	defer unix.Close(pidfd)
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", f.PID()))
	if err != nil {
		f.t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil || !strings.Contains(line, ".safetensors") {
			continue
		}
		area := unix.RemoteIovec{Base: from, Len: int(to - from)}
		n, _, errno := unix.Syscall6(unix.SYS_PROCESS_MADVISE, uintptr(pidfd), uintptr(unsafe.Pointer(&area)), 1, unix.MADV_PAGEOUT, 0, 0)
		if errno != 0 {
			f.t.Skipf("pages cannot be taken from another process here: %v", errno)
		}
		bytes += int(n)
	}
	return bytes
}

// Pages that the kernel took are noticed, read in again and looked at once more.
func TestEvictedPagesComeBack(t *testing.T) {
	f := spawn(t, standin.Spawn{Model: synced(t), Args: []string{"--residency-interval", "100ms"}})
	f.healthy()
	if n := f.evict(); n == 0 {
		t.Fatal("the worker maps no weights")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	line, err := f.WaitLine(ctx, "residency restored")
	if err != nil {
		if _, body := f.get("GET", "/metrics", nil); strings.Contains(body, "llorch_residency_missing_bytes{") && !strings.Contains(f.LogText(), "pages were taken") {
			t.Skip("the kernel kept the pages it was asked to drop: they are not clean, or another process maps them")
		}
		t.Fatal(err)
	}
	if n, _ := line.Fields["bytes"].(float64); n <= 0 {
		t.Errorf("%+v", line.Fields)
	}
	eventually(t, "ready", 10*time.Second, func() bool {
		status, body := f.get("GET", "/health", nil)
		return status == 200 && strings.Contains(body, `"resident":true`) && !strings.Contains(body, "missing_bytes")
	})
	if end := standin.Last(f.run(story("a", 1))); end.Type != "end" {
		t.Errorf("after the eviction: %s", end.Raw)
	}
}

// A model that was replaced for good ends the worker with the status that says so.
func TestReplacedModelEndsTheWorker(t *testing.T) {
	dir := copyModel(t)
	f := spawn(t, standin.Spawn{Model: dir, Args: []string{"--residency-interval", "100ms", "--residency-timeout", "300ms"}})
	f.healthy()
	if err := os.Rename(firstShard(t, dir), filepath.Join(dir, "old")); err != nil {
		t.Fatal(err)
	}
	f.exits(4, 30*time.Second)
	line, ok := f.Find("error")
	if text, _ := line.Fields["error"].(string); !ok || !strings.Contains(text, "residency lost for 300ms") {
		t.Errorf("%+v", line)
	}
}
