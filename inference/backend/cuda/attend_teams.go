package cuda

import (
	"errors"
	"fmt"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// A block of kernels/attend_teams.cu has a part of a row and a multiprocessor, which it fills. Where there are few of
// them, the projection behind begins on all others at once: its weights come while attention is under way. One of
// kernels/attend_pairs.cu has a part of a row and half of a multiprocessor.
const (
	teamsOf   = 4  // teams of a block
	teamsMost = 32 // blocks of a launch, at most
	pairsOf   = 2
	pairsMost = clusterGrid
)

// teamBlocks are the names of the kernels by the teams of a block.
var teamBlocks = map[int]string{teamsOf: "attend_teams", pairsOf: "attend_pairs"}

// teamsFor is how many teams a block has that has a part of a row, of so many parts of all rows, 0 where there are no
// such blocks. Bits do not depend on it.
//
// Pairs are faster from where clusters would have two blocks. Heads of 128 take what memory gives, so as long as many
// multiprocessors would have one block and others two, it is better that all share all splits.
func teamsFor(s ringShape, parts int, r reach) int {
	from := clusterGrid/4 + 1
	if s.dim > 64 {
		from = clusterGrid * 2 / 3
	}
	switch {
	case r != reachShort:
		return 0
	case parts <= teamsMost:
		return teamsOf
	case from <= parts && parts <= pairsMost:
		return pairsOf
	}
	return 0
}

// teamsShared is the shared memory of a block of so many teams, in bytes, where rows have so many splits at most: that
// of the teams, and what they leave for each other.
func (s ringShape) teamsShared(teams, splits int) int {
	return teams*s.shared() + 8*splits*s.queries*(1+s.dim/2)
}

// findTeams finds the kernels of a shape, of blocks that fit.
func (r *ringKernel) findTeams(drv driver.Driver, k *Kernels, format tensor.DType) error {
	r.teams = map[int]driver.Function{}
	for teams, name := range teamBlocks {
		f, err := k.Function(fmt.Sprintf("%s_%v_%d_%d", name, format, r.dim, r.queries))
		if errors.Is(err, errNoKernel) {
			continue
		}
		if err != nil {
			return err
		}
		err = drv.SetFunctionAttribute(f, driver.FunctionMaxShared, r.teamsShared(teams, reachShort.splits(decodeMost)))
		if driver.Code(err) == invalidValue {
			continue
		}
		if err == nil {
			err = drv.SetFunctionAttribute(f, driver.FunctionCarveout, 100)
		}
		if err != nil {
			return err
		}
		r.teams[teams] = f
	}
	return nil
}

// teamsLaunch is how the kernel is launched for so many rows by blocks of so many teams.
func (r *ringKernel) teamsLaunch(h backend.Heads, rows, teams int, of reach) decodeCall {
	s := decodeShapeOf(h)
	c := driver.Blocks(rows*s.parts, teams*attendThreads)
	c.Shared = uint32(r.teamsShared(teams, of.splits(s.most)))
	return decodeCall{f: r.teams[teams], c: c, ranks: teams}
}
