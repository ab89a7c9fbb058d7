package cuda

// Fragment order: how bf16 weights lie that the matrix unit multiplies.
//
// Rows go in strips of 16, k in tiles of 16: a tile is 512 bytes, [strip][tile][lane]
// of 16 bytes, and lane 4g+t has the four registers of an mma operand: row g with k
// 4t and 4t+1, row g+8 with the same, row g with k 4t+2 and 4t+3, row g+8 with those.
// (The unit wants other k in these places; their order within a tile is free if the
// activations agree, and so a lane's are one load.) Rows and k are padded with zeros.
//
// Rows that one thread should have both results of are put eight apart in a strip:
// a gate and its up, the two halves of a rotation.

// rowKind says which rows of a matrix the strips hold.
type rowKind int32

const (
	natural    rowKind = iota // row 16s+i
	gateUp                    // of 2·span rows: 8 of the first half, then the 8 of the second they go with
	halves                    // heads of span rows: 8 of the first half of a head, then their partners
	neighbours                // pairs (2i, 2i+1): 8 even rows, then the odd ones
)

// row returns the row of the matrix that is row i of a strip.
func (k rowKind) row(span, strip, i int) int {
	g, high := i%8, i/8
	switch k {
	case gateUp:
		return high*span + 8*strip + g
	case halves:
		per := span / 16
		return strip/per*span + high*span/2 + 8*(strip%per) + g
	case neighbours:
		return 16*strip + 2*g + high
	}
	return 16*strip + i
}

// fragmentOffset is where element k of row i of a strip lies, in bytes, in a matrix
// with so many tiles a strip.
func fragmentOffset(strip, i, k, tiles int) int {
	lane, register := i%8*4+k%16/4, k%4/2*2+i/8
	return ((strip*tiles+k/16)*32+lane)*16 + register*4 + k%2*2
}

// geometry is one instance of the projection kernels: k tiles a warp and pass, and
// passes over k.
type geometry struct{ tiles, passes int }

// Warps that share k, and the bytes of the ring that weights pass: twins of those in
// project.cu.
const (
	warps     = 16
	ringBytes = 11 * 16 << 10
)

// geometries lists the instances there are.
func geometries() (all []geometry) {
	for t := 2; t <= 24; t += 2 {
		all = append(all, geometry{t, 1})
	}
	for t := 14; t <= 28; t += 2 {
		all = append(all, geometry{t, 2})
	}
	return all
}

// tilesFor returns the tiles of a strip for rows of k elements, padding included: so
// that a kernel's warps all have the same number of them.
func tilesFor(k int) int {
	t := ceilDiv(k, 16*warps)
	switch {
	case t > 24 && t <= 56:
		return ceilDiv(t, 4) * 4 * warps
	default:
		return ceilDiv(t, 2) * 2 * warps
	}
}

// chunk is one launch over a stretch of k.
type chunk struct {
	geometry
	k0 int // first k
}

// chunksFor cuts a projection into launches. Two passes keep the sums of at most two
// strips a block; more launches add to what the first has written.
func chunksFor(tiles, strips, blocks int) (all []chunk) {
	t := tiles / warps
	switch {
	case t <= 24:
		return []chunk{{geometry{t, 1}, 0}}
	case t <= 56 && t%4 == 0 && strips <= 2*blocks:
		return []chunk{{geometry{t / 2, 2}, 0}}
	}
	for at := 0; at < t; at += 24 {
		all = append(all, chunk{geometry{min(24, t-at), 1}, at * 16 * warps})
	}
	return all
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
