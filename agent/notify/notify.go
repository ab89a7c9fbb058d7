package notify

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// writeTime bounds one send. The queue of a datagram socket is short, and a
// manager that is stopped in a debugger must not stop its services, too.
const writeTime = time.Second

// maxBytes is the longest datagram sent; managers read 4 KiB at a time.
const maxBytes = 4096

// Socket is where the manager listens. All methods may be called from any
// goroutine, and on nil, where they do nothing.
type Socket struct {
	conn     *net.UnixConn
	watchdog time.Duration
}

// Open connects to the manager that environ, in the form of os.Environ, names;
// pid is the caller's. It returns nil, nil when there is none. With an error
// about the watchdog alone the socket works, and the watchdog is off.
func Open(environ []string, pid int) (*Socket, error) {
	name := lookup(environ, "NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	if len(name) < 2 || name[0] != '/' && name[0] != '@' {
		return nil, fmt.Errorf("notify: NOTIFY_SOCKET is %q: only an absolute path and @name, an abstract socket, are known", name)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	s := &Socket{conn: conn}
	s.watchdog, err = watchdog(environ, pid)
	return s, err
}

// watchdog reads how often the manager wants to hear of the process pid; 0 when
// it does not, or means another process.
func watchdog(environ []string, pid int) (time.Duration, error) {
	text := lookup(environ, "WATCHDOG_USEC")
	if text == "" {
		return 0, nil
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec <= 0 || usec > int64((1<<63-1)/time.Microsecond) {
		return 0, fmt.Errorf("notify: WATCHDOG_USEC is %q: not a number of microseconds above 0", text)
	}
	if owner := lookup(environ, "WATCHDOG_PID"); owner != "" {
		n, err := strconv.Atoi(owner)
		if err != nil {
			return 0, fmt.Errorf("notify: WATCHDOG_PID is %q: not a process id", owner)
		}
		if n != pid {
			return 0, nil
		}
	}
	return time.Duration(usec) * time.Microsecond, nil
}

func lookup(environ []string, name string) string {
	for _, v := range environ {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// Watchdog is the time within which the manager must hear Alive again, 0 when
// it does not ask for it. Half of it is the customary interval.
func (s *Socket) Watchdog() time.Duration {
	if s == nil {
		return 0
	}
	return s.watchdog
}

// Line is one statement of a message.
type Line struct{ name, value string }

// Ready says that start-up is over.
func Ready() Line { return Line{"READY", "1"} }

// Stopping says that the service is on its way out.
func Stopping() Line { return Line{"STOPPING", "1"} }

// Alive feeds the watchdog.
func Alive() Line { return Line{"WATCHDOG", "1"} }

// Status is one line for people, shown by the manager's status command.
func Status(text string) Line { return Line{"STATUS", text} }

// Extend asks that the running start or stop be given d from now, rounded up to microseconds.
func Extend(d time.Duration) Line {
	usec := (max(d, 0) + time.Microsecond - 1) / time.Microsecond
	return Line{"EXTEND_TIMEOUT_USEC", strconv.FormatInt(int64(usec), 10)}
}

// Send sends the lines as one datagram.
func (s *Socket) Send(lines ...Line) error {
	if s == nil || len(lines) == 0 {
		return nil
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	if _, err := s.conn.Write(message(lines)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// message joins lines. A line break or other control character in a value
// becomes a space, and what does not fit is cut off the value, whole runes at a time.
func message(lines []Line) []byte {
	var b []byte
	for i, l := range lines {
		if i > 0 {
			b = append(b, '\n')
		}
		b = append(append(b, l.name...), '=')
		for _, r := range l.value {
			if r < ' ' || r == 0x7f {
				r = ' '
			}
			if len(b)+len(string(r)) > maxBytes/len(lines)*(i+1) {
				break
			}
			b = append(b, string(r)...)
		}
	}
	return b
}

// Close leaves the manager's socket.
func (s *Socket) Close() error {
	if s == nil {
		return nil
	}
	if err := s.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}
