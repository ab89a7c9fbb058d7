//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal holds for files that have a window size: a person is looking.
func isTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}
