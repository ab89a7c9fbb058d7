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
	return holder("tcp", func(s sockets.ConnectionStat) bool {
		return int(s.Laddr.Port) == n && s.Status == "LISTEN" && overlap(host, s.Laddr.IP)
	})
}

// holderOfPath is holderOfPort for a Unix socket.
func holderOfPath(path string) string {
	return holder("unix", func(s sockets.ConnectionStat) bool { return s.Laddr.IP == path })
}

// overlap tells whether two hosts cannot both have a port. A name is taken to
// overlap with everything: it is the kernel that has refused it.
func overlap(a, b string) bool {
	x, y := net.ParseIP(a), net.ParseIP(b)
	return x == nil || y == nil || x.IsUnspecified() || y.IsUnspecified() || x.Equal(y)
}

func holder(kind string, match func(sockets.ConnectionStat) bool) string {
	ctx, cancel := context.WithTimeout(context.Background(), searchTime)
	defer cancel()
	all, err := sockets.ConnectionsWithoutUidsWithContext(ctx, kind)
	if err != nil {
		return "by a process that could not be looked for: " + err.Error()
	}
	for _, s := range all {
		switch {
		case s.Pid == 0 || !match(s):
		case int(s.Pid) == os.Getpid():
			return "by this process itself"
		default:
			return fmt.Sprintf("by process %d%s", s.Pid, describe(ctx, s.Pid))
		}
	}
	return "by a process that this user cannot see: another user's, or one in another container"
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
