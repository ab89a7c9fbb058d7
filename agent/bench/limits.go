package bench

// Limits are what the hardware allowed at one moment; 0 where the instruction
// set in use has no such unit.
type Limits struct {
	ReadGBs    float64 `json:"read_gb_per_second"`
	WeightsGBs float64 `json:"weights_read_gb_per_second,omitempty"` // of the weights where they lie
	FMAGFlops  float64 `json:"f32_fma_gflops"`
	Int8Gops   float64 `json:"int8_dot_gops,omitempty"`
	PairGFlops float64 `json:"bf16_pair_gflops,omitempty"`
	TileGFlops float64 `json:"bf16_tile_gflops,omitempty"`
}

// larger returns the larger of each: what was reached between two measurements
// is held against what the machine could do at its better one, so that no
// fraction flatters.
func (l Limits) larger(o Limits) Limits {
	return Limits{
		ReadGBs: max(l.ReadGBs, o.ReadGBs), WeightsGBs: max(l.WeightsGBs, o.WeightsGBs), FMAGFlops: max(l.FMAGFlops, o.FMAGFlops),
		Int8Gops: max(l.Int8Gops, o.Int8Gops), PairGFlops: max(l.PairGFlops, o.PairGFlops), TileGFlops: max(l.TileGFlops, o.TileGFlops),
	}
}

// Unit names a limit, in tables and in the file of thresholds.
type Unit string

const (
	Read  Unit = "read"  // memory, 10⁹ bytes a second
	Where Unit = "where" // the weights where they lie, likewise
	FMA   Unit = "fma"   // float32, 10⁹ operations a second
	Int8  Unit = "int8"  // dot products of 8-bit integers, likewise
	Pair  Unit = "pair"  // dot products of pairs of bfloat16, likewise
	Tile  Unit = "tile"  // matrix tiles of bfloat16, likewise
)

// of returns the limit of a unit.
func (l Limits) of(u Unit) float64 {
	switch u {
	case Read:
		return l.ReadGBs
	case Where:
		return l.WeightsGBs
	case FMA:
		return l.FMAGFlops
	case Int8:
		return l.Int8Gops
	case Pair:
		return l.PairGFlops
	case Tile:
		return l.TileGFlops
	}
	return 0
}

// computing are the units that prefill is held against, best first.
var computing = []Unit{Tile, Int8, Pair, FMA}

// limits measures them now, between two steps of the engine.
func (m *meter) limits() (Limits, error) {
	l, err := m.e.Limits()
	return Limits{
		ReadGBs: l.ReadGBs, WeightsGBs: l.WeightsGBs, FMAGFlops: l.GFlops, Int8Gops: l.IntGops, PairGFlops: l.PairGFlops, TileGFlops: l.TileGFlops,
	}, err
}

// between runs f and measures the limits after it; it returns the larger of
// those before and after.
func (m *meter) between(f func() error) (Limits, error) {
	if err := f(); err != nil {
		return Limits{}, err
	}
	after, err := m.limits()
	if err != nil {
		return Limits{}, err
	}
	l := m.last.larger(after)
	m.last = after
	return l, nil
}
