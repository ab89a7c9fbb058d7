package listen

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// TCP listens on host:port. Errors: one that wraps syscall.EADDRINUSE and names
// the holder, or what net.Listen says.
func TCP(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: %w %s", address, syscall.EADDRINUSE, holderOfPort(address))
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}
