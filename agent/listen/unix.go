package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	socketMode = 0o660
	dialTime   = 5 * time.Second  // to find out whether somebody answers on an old socket
	turnTime   = 10 * time.Second // to wait for another worker that starts in the same folder
)

// Unix listens on a socket at an absolute path, open to owner and group. The
// file of a process that is gone is replaced. Errors: one that wraps
// syscall.EADDRINUSE and names the holder where somebody listens there, and
// those of the file system.
func Unix(path string) (net.Listener, error) {
	l, err := listenUnix(path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return l, nil
}

func listenUnix(path string) (net.Listener, error) {
	done, err := takeTurn(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer done()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// The mode that the socket has before it is bound, less the umask, becomes the file's.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), socketMode) }) // not on every system
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	s := &unixListener{Listener: l, path: path}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.file, err = os.Lstat(path); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// unixListener removes its file when it closes.
type unixListener struct {
	net.Listener
	path   string
	file   fs.FileInfo // as it was made
	remove sync.Once
}

func (u *unixListener) Close() error {
	err := u.Listener.Close()
	u.remove.Do(func() {
		if now, gone := os.Lstat(u.path); gone == nil && os.SameFile(now, u.file) {
			err = errors.Join(err, os.Remove(u.path))
		}
	})
	return err
}

// removeStale makes room for a socket at path.
func removeStale(path string) error {
	file, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if file.Mode()&fs.ModeSocket == 0 {
		return errors.New("there is a file that is no socket: move it away or give another path")
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		defer conn.Close()
		return fmt.Errorf("%w %s", syscall.EADDRINUSE, holder(ctx, peer(conn.(*net.UnixConn))))
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return err
	}
	return fmt.Errorf("%w by a process that does not take connections: %w", syscall.EADDRINUSE, err)
}

// takeTurn holds the folder until done is called, or this process ends.
func takeTurn(folder string) (done func(), err error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(turnTime); ; time.Sleep(10 * time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) || time.Now().After(end) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", folder, err)
		}
	}
}
