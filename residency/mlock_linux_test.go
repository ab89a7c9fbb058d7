package residency

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLock(t *testing.T) {
	if os.Getenv("RESIDENCY_LOCK_CHILD") != "" {
		lockBeyondLimit(t)
		return
	}
	m, _ := mapFile(t, 4)
	claims := []Claim{{Weights, "a", address(m) + 10, int64(len(m)) - 20}}
	if err := Lock(claims); err != nil {
		t.Fatal(err)
	}
	p := openPages(t)
	if r := Verify(claims, Observe(p, claims)); !r.Resident {
		t.Errorf("locked and not resident: %v", r.Err())
	}
	if got := lockedBytes(t); got < int64(len(m)) {
		t.Errorf("%d bytes locked, want %d", got, len(m))
	}
	if err := Unlock(claims); err != nil {
		t.Fatal(err)
	}
	if got := lockedBytes(t); got != 0 {
		t.Errorf("%d bytes locked after Unlock", got)
	}
}

func lockedBytes(t *testing.T) int64 {
	t.Helper()
	p, err := ReadProcess(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p.Locked
}

// A range that is not mapped cannot be locked; what was locked before it is released.
func TestLockIsAllOrNone(t *testing.T) {
	m, _ := mapFile(t, 8)
	page := os.Getpagesize()
	good := Claim{Weights, "good", address(m), int64(page)}
	gone := Claim{Weights, "gone", address(m) + uintptr(4*page), int64(page)}
	if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, gone.Addr, uintptr(page), 0); errno != 0 {
		t.Fatal(errno)
	}
	err := Lock([]Claim{good, gone})
	var lock *LockError
	if !errors.As(err, &lock) || lock.Need != int64(2*page) || !errors.Is(err, unix.ENOMEM) {
		t.Errorf("error %v", err)
	}
	if got := lockedBytes(t); got != 0 {
		t.Errorf("%d bytes stay locked", got)
	}
}

// The limit counts only without CAP_IPC_LOCK, so it is tested in a process that gives the capability up.
func TestLockLimit(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestLock$", "-test.v")
	cmd.Env = append(os.Environ(), "RESIDENCY_LOCK_CHILD=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestLock") {
		t.Errorf("%v\n%s", err, out)
	}
}

func lockBeyondLimit(t *testing.T) {
	page := os.Getpagesize()
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: uint64(2 * page), Max: uint64(2 * page)}); err != nil {
		t.Fatal(err)
	}
	m, _ := mapFile(t, 3)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		t.Fatal(err)
	}
	caps[0].Effective &^= 1 << unix.CAP_IPC_LOCK
	onOneThread(func() { // capabilities are of a thread
		if err := unix.Capset(&header, &caps[0]); err != nil {
			t.Error(err)
			return
		}
		err := Lock([]Claim{{Weights, "w", address(m), int64(len(m))}})
		var lock *LockError
		if !errors.As(err, &lock) || lock.Limit != int64(2*page) || lock.Need != int64(3*page) || !strings.Contains(err.Error(), "LimitMEMLOCK=infinity") {
			t.Errorf("beyond the limit: %v", err)
		}
		if err := Lock([]Claim{{Weights, "w", address(m), int64(2 * page)}}); err != nil {
			t.Errorf("within the limit: %v", err)
		}
	})
}
