package cli

import (
	"fmt"
	"strings"
	"testing"
)

// A log line must not be glued to the bar that stands where it is written.
func TestLinesAndBarShareATerminal(t *testing.T) {
	var tty strings.Builder
	s := &screen{lines: &tty, bar: &tty}
	bar := screenBar{s}
	fmt.Fprint(s, "one\n")
	fmt.Fprint(bar, eraseLine+"[#...]")
	fmt.Fprint(s, "two\n")
	fmt.Fprint(bar, eraseLine+"[##..]")
	fmt.Fprint(bar, eraseLine)
	fmt.Fprint(s, "three\n")
	want := "one\n" + eraseLine + "[#...]" + eraseLine + "two\n[#...]" + eraseLine + "[##..]" + eraseLine + "three\n"
	if got := tty.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
