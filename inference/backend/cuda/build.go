package cuda

import (
	"fmt"
	"strconv"
	"strings"
)

// Build is what the embedded kernels were compiled by and for.
type Build struct {
	Major, Minor int // release of CUDA
	Targets      []Target
}

// Target is machine code for a compute capability, or PTX that the driver
// compiles for any from it on.
type Target struct {
	Capability int  // 10·major + minor
	PTX        bool // compiled when it is loaded: slower to start
	Exact      bool // runs on this capability alone, with what only that has (90a)
}

func (t Target) String() string {
	s := fmt.Sprintf("%d.%d", t.Capability/10, t.Capability%10)
	switch {
	case t.PTX:
		s += " and newer, as PTX"
	case t.Exact:
		s += "a"
	}
	return s
}

// ParseBuild reads what scripts/cuda/kernels.sh wrote: "13.0 80 86 89 90a ptx90".
func ParseBuild(text string) (Build, error) {
	var b Build
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return b, fmt.Errorf("cuda: %q does not say what the kernels are compiled for", text)
	}
	if _, err := fmt.Sscanf(fields[0], "%d.%d", &b.Major, &b.Minor); err != nil {
		return b, fmt.Errorf("cuda: %q is no release of CUDA", fields[0])
	}
	for _, f := range fields[1:] {
		number, isPTX := strings.CutPrefix(f, "ptx")
		number, isExact := strings.CutSuffix(number, "a")
		n, err := strconv.Atoi(number)
		if err != nil || n < 10 {
			return b, fmt.Errorf("cuda: %q is no target of kernels", f)
		}
		b.Targets = append(b.Targets, Target{Capability: n, PTX: isPTX, Exact: isExact})
	}
	return b, nil
}

// For picks the code that runs on a capability; ok is false where there is none.
// Machine code runs on its own capability and on later ones of the same major
// number; the driver prefers it to PTX and takes the newest that fits.
func (b Build) For(capability int) (best Target, ok bool) {
	for _, t := range b.Targets {
		fits := t.Capability == capability
		switch {
		case t.PTX && !t.Exact:
			fits = t.Capability <= capability
		case !t.PTX && !t.Exact:
			fits = t.Capability <= capability && t.Capability/10 == capability/10
		}
		if fits && (!ok || rank(t) > rank(best)) {
			best, ok = t, true
		}
	}
	return best, ok
}

func rank(t Target) int {
	r := 4 * t.Capability
	if !t.PTX {
		r += 10_000
	}
	if t.Exact {
		r++
	}
	return r
}

// Oldest is the least capability that any of the code runs on.
func (b Build) Oldest() int {
	oldest := 0
	for _, t := range b.Targets {
		if oldest == 0 || t.Capability < oldest {
			oldest = t.Capability
		}
	}
	return oldest
}

// String lists what there is code for: "8.0, 8.6, 9.0a, 9.0 and newer, as PTX".
func (b Build) String() string {
	words := make([]string, len(b.Targets))
	for i, t := range b.Targets {
		words[i] = t.String()
	}
	return strings.Join(words, ", ")
}
