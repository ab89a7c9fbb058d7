package cuda

// How weights and activations lie in memory for matrix units. kernels/gemm.cuh has the
// same in C.

// fragmentOffset is where an element of a weight in fragment order lies, in bytes: row
// is virtual (rowOrder), kp the padded row length, a multiple of 16.
//
// 16 rows are a strip, 16 k of it a tile of 512 bytes: 32 lanes of four registers of two
// bf16, as mma.m16n8k16 and wgmma take them, but that a lane's four k are neighbours.
func fragmentOffset(row, k, kp int) int {
	tile := row/16*(kp/16) + k/16
	lane := 4*(row%8) + k%16/4
	register := row%16/8 + k%4/2*2
	return tile*512 + lane*16 + register*4 + k%2*2
}

// fragmentBytes is the size of a weight of so many strips.
func fragmentBytes(strips, kp int) int { return strips * kp * 32 }

// packedOffset is where k of a row of activations lies, in bytes, in the packed form of
// that many groups of 8 rows: blocks of 32 k, of groups, of 8 rows of 64 bytes. Inside
// 16 k the order is that of fragments; 16-byte chunks of a row are swizzled by the row.
// Blocks come in twos: zeros fill the last.
func packedOffset(row, k, groups int) int {
	place := k%4/2*8 + k%16/4*2 + k%2
	chunk := k%32/16*2 + place/8
	return (k/32*groups+row/8)*512 + row%8*64 + (chunk^row%8/2)*16 + place%8*2
}

// packedBytes is the size of n rows of k in packed form.
func packedBytes(n, k int) int { return (n + 7) / 8 * ((k + 63) / 64) * 1024 }

// rowKind says which output rows share a strip.
type rowKind int32

const (
	natural          rowKind = iota
	gateUp                   // gate rows, then as many up rows: 8 of either in a strip
	rotaryHalves             // of a head: 8 of the first half and their partners of the second
	rotaryNeighbours         // of a head: 8 even ones and the odd ones beside them
)

// rowOrder is the order of a matrix's rows in strips.
type rowOrder struct {
	kind rowKind
	rows int // output rows of the matrix
	dim  int // of a head, a multiple of 16, for the rotary kinds
}

// strips returns how many there are; the last may have padding.
func (o rowOrder) strips() int {
	if o.kind == gateUp {
		return (o.rows/2 + 7) / 8
	}
	return (o.rows + 15) / 16
}

// output returns the output row at a virtual row, -1 for padding.
func (o rowOrder) output(row int) int {
	strip, low, high := row/16, row%8, row%16/8
	switch o.kind {
	case gateUp:
		if f := 8*strip + low; f < o.rows/2 {
			return f + high*o.rows/2
		}
		return -1
	case rotaryHalves:
		head, j := row/o.dim, row%o.dim/16
		return head*o.dim + 8*j + low + high*o.dim/2
	case rotaryNeighbours:
		return 16*strip + 2*low + high
	}
	if row < o.rows {
		return row
	}
	return -1
}

// unit is what a kernel needs to know of the order besides its kind.
func (o rowOrder) unit() int {
	switch o.kind {
	case natural:
		return o.rows
	case gateUp:
		return o.rows / 2
	}
	return o.dim
}
