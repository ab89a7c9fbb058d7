package cuda

import (
	"errors"
	"fmt"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// A block of kernels/attend_teams.cu has a part of a row and a multiprocessor, which it fills. Where there are few of
// them, the projection behind begins on all others at once: its weights come while attention is under way.
const (
	teamsOf   = 4  // teams of a block
	teamsMost = 32 // blocks of a launch, at most
)

// teamsFor tells whether blocks of teams take so many parts of all rows. Bits do not depend on it.
func teamsFor(parts int, r reach) bool {
	return parts <= teamsMost && r == reachShort
}

// teamsShared is the shared memory of a block, in bytes, where rows have so many splits at most: that of the teams, and
// what they leave for each other.
func (s ringShape) teamsShared(splits int) int {
	return teamsOf*s.shared() + 8*splits*s.queries*(1+s.dim/2)
}

// findTeams finds the kernel of a shape, none where it does not fit.
func (r *ringKernel) findTeams(drv driver.Driver, k *Kernels, format tensor.DType) error {
	f, err := k.Function(fmt.Sprintf("attend_teams_%v_%d_%d", format, r.dim, r.queries))
	if errors.Is(err, errNoKernel) {
		return nil
	}
	if err != nil {
		return err
	}
	err = drv.SetFunctionAttribute(f, driver.FunctionMaxShared, r.teamsShared(reachShort.splits(decodeMost)))
	if driver.Code(err) == invalidValue {
		return nil
	}
	r.teams = f
	return err
}

// teamsLaunch is how the kernel is launched for so many rows.
func (r *ringKernel) teamsLaunch(h backend.Heads, rows int, of reach) decodeCall {
	s := decodeShapeOf(h)
	c := driver.Blocks(rows*s.parts, teamsOf*attendThreads)
	c.Shared = uint32(r.teamsShared(of.splits(s.most)))
	return decodeCall{f: r.teams, c: c, ranks: teamsOf}
}
