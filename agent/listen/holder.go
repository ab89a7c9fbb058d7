package listen

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	sockets "github.com/shirou/gopsutil/v3/net"
	"github.com/shirou/gopsutil/v3/process"
)

// searchTime bounds the look at all processes' descriptors.
const searchTime = 2 * time.Second

// holderOfPort says in words who has a TCP address, for the end of an error.
func holderOfPort(address string) string {
	host, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	ctx, cancel := context.WithTimeout(context.Background(), searchTime)
	defer cancel()
	all, err := sockets.ConnectionsWithoutUidsWithContext(ctx, "tcp")
	if err != nil {
		return "by a process that could not be looked for: " + err.Error()
	}
	for _, s := range all {
		if s.Pid != 0 && int(s.Laddr.Port) == n && s.Status == "LISTEN" && overlap(host, s.Laddr.IP) {
			return holder(ctx, s.Pid)
		}
	}
	return holder(ctx, 0)
}

// overlap tells whether two hosts cannot both have a port. A name is taken to
// overlap with everything: it is the kernel that has refused it.
func overlap(a, b string) bool {
	x, y := net.ParseIP(a), net.ParseIP(b)
	return x == nil || y == nil || x.IsUnspecified() || y.IsUnspecified() || x.Equal(y)
}

// holder says in words who a process is; 0 is one that cannot be seen.
func holder(ctx context.Context, pid int32) string {
	switch int(pid) {
	case 0:
		return "by a process that this user cannot see: another user's, or one in another container"
	case os.Getpid():
		return "by this process itself"
	}
	return fmt.Sprintf("by process %d%s", pid, describe(ctx, pid))
}

// describe is " (program --worker-id id)", or less where less is known.
func describe(ctx context.Context, pid int32) string {
	p := process.Process{Pid: pid}
	args, err := p.CmdlineSliceWithContext(ctx)
	if err != nil || len(args) == 0 {
		return ""
	}
	text := presentable(filepath.Base(args[0]))
	if id := workerID(args[1:]); id != "" {
		text += " --worker-id " + presentable(id)
	}
	return " (" + text + ")"
}

// workerID finds the id in a worker's arguments.
func workerID(args []string) string {
	for i, a := range args {
		if id, ok := strings.CutPrefix(a, "--worker-id="); ok {
			return id
		}
		if a == "--worker-id" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

var plain = regexp.MustCompile(`^[\w.:@+-]{1,64}$`)

// presentable quotes what another process has chosen, unless it is plain.
func presentable(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return fmt.Sprintf("%.64q", s)
}
