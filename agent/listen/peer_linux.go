package listen

import (
	"net"

	"golang.org/x/sys/unix"
)

// peer is the process that listens at the other end of a connection, as the
// kernel noted it when that process began to listen; 0 if it is not visible here.
func peer(conn *net.UnixConn) int32 {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	var who *unix.Ucred
	if raw.Control(func(fd uintptr) { who, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil || err != nil {
		return 0
	}
	return who.Pid
}
