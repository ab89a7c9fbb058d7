package check

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// confined, in the environment, makes this program take the rights of a unit
// and become the program that its arguments name.
const confined = "LLORCH_CHECK_CONFINED"

func TestMain(m *testing.M) {
	if calls := os.Getenv(confined); calls != "" {
		fmt.Fprintln(os.Stderr, "check:", confine(strings.Fields(calls), os.Args[1:]))
		os.Exit(125)
	}
	os.Exit(m.Run())
}

// confine takes away what the unit does not leave, for good, and runs a
// program. It returns only with an error.
func confine(calls, args []string) error {
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return fmt.Errorf("user: %w", err)
		}
	}
	// The kernel has this since 6.3.
	if err := unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("MemoryDenyWriteExecute: %w", err)
	}
	var families []seccomp.NameWithConditions // RestrictAddressFamilies=
	for _, f := range []uint64{unix.AF_INET, unix.AF_INET6, unix.AF_UNIX} {
		families = append(families, seccomp.NameWithConditions{
			Name: "socket", Conditions: []seccomp.Condition{{Argument: 0, Operation: seccomp.Equal, Value: f}},
		})
	}
	err := seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true, Flag: seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno, // EPERM
			Syscalls: []seccomp.SyscallGroup{
				{Action: seccomp.ActionAllow, Names: slices.DeleteFunc(calls, func(c string) bool { return c == "socket" }), NamesWithCondtions: families},
			},
		},
	})
	if err != nil {
		return fmt.Errorf("SystemCallFilter: %w", err)
	}
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, confined) })
	return fmt.Errorf("%s: %w", args[0], syscall.Exec(args[0], args, environ))
}

// nobody is a user without rights of its own.
const nobody = 65534

// allowedCalls are the system calls of this machine that SystemCallFilter=
// leaves, given its values in order.
func allowedCalls(t *testing.T, filters []string) (calls []string) {
	t.Helper()
	here, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	allowed := callSet(t, "@default") // which systemd adds to every list
	for _, line := range filters {
		names, remove := strings.CutPrefix(line, "~")
		for _, name := range strings.Fields(names) {
			for call := range callSet(t, name) {
				if remove {
					delete(allowed, call)
				} else {
					allowed[call] = true
				}
			}
		}
	}
	for call := range allowed {
		if _, ok := here.SyscallNames[call]; ok {
			calls = append(calls, call)
		}
	}
	slices.Sort(calls)
	return calls
}

// callSet are the calls of a name of systemd.exec(5): a set, or a call.
func callSet(t *testing.T, name string) map[string]bool {
	t.Helper()
	if !strings.HasPrefix(name, "@") {
		return map[string]bool{name: true}
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "syscall-filter", "--no-pager", name).Output()
	if err != nil {
		t.Skipf("systemd-analyze does not list system calls, so the worker is NOT run under the unit's rights: install systemd: %v", err)
	}
	all := map[string]bool{}
	for l := range strings.Lines(string(out)) {
		member := strings.TrimSpace(l)
		if !strings.HasPrefix(l, " ") || strings.HasPrefix(member, "#") || member == "" {
			continue
		}
		for call := range callSet(t, member) {
			all[call] = true
		}
	}
	return all
}
