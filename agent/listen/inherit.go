package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Variables are those by which a service manager tells of the sockets it
// passes on. They are meant for one process and not for its children.
var Variables = []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}

const (
	firstInherited = 3
	maxInherited   = 64
)

// Socket is a listener that came with the process.
type Socket struct {
	net.Listener
	Name string // as the socket unit has it; may be ""
}

// Inherit returns the listeners that environ, in the form of os.Environ, says
// were passed to the process pid; nil if none were, or they are another
// process's. A descriptor that is no listening stream socket is an error.
func Inherit(environ []string, pid int) ([]Socket, error) {
	return inherit(environ, pid, firstInherited)
}

func inherit(environ []string, pid, first int) ([]Socket, error) {
	count := lookup(environ, "LISTEN_FDS")
	if count == "" || lookup(environ, "LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxInherited {
		return nil, fmt.Errorf("listen: LISTEN_FDS is %.40q: not a number from 0 to %d", count, maxInherited)
	}
	names := strings.Split(lookup(environ, "LISTEN_FDNAMES"), ":")
	all := make([]Socket, 0, n)
	for i := range n {
		s := Socket{}
		if i < len(names) {
			s.Name = names[i]
		}
		if s.Listener, err = fromDescriptor(first + i); err != nil {
			for _, open := range all {
				open.Close()
			}
			return nil, fmt.Errorf("listen: inherited descriptor %d %q: %w", first+i, s.Name, err)
		}
		all = append(all, s)
	}
	return all, nil
}

var errNotListening = errors.New("not a listening stream socket: a socket unit for this worker has ListenStream= and Accept=no")

// fromDescriptor takes over a descriptor.
func fromDescriptor(fd int) (net.Listener, error) {
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "inherited")
	defer f.Close() // the listener has a copy
	for option, want := range map[int]int{syscall.SO_TYPE: syscall.SOCK_STREAM, syscall.SO_ACCEPTCONN: 1} {
		got, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, option)
		if err != nil {
			return nil, fmt.Errorf("%w (%w)", errNotListening, err)
		}
		if got != want {
			return nil, errNotListening
		}
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	return l, nil
}

// lookup is the last value of a variable, as for the process itself.
func lookup(environ []string, name string) (value string) {
	for _, v := range environ {
		if text, ok := strings.CutPrefix(v, name+"="); ok {
			value = text
		}
	}
	return value
}
