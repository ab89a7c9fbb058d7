package cuda

// Operand order: how activations lie in bf16 for the products of a prompt. Rows go in
// groups of 8, k in blocks of 32: [block][group][row] of 64 bytes, whose 16-byte chunks
// are swizzled by the row, as wgmma wants its B in shared memory, so that a block of any
// number of groups is one copy. Inside 16 k the order is that of weights in fragment
// order. Blocks come in twos: zeros fill the last.

// operandOffset is where k of a row lies, in bytes, among so many groups.
func operandOffset(row, k, groups int) int {
	place := k%4/2*8 + k%16/4*2 + k%2
	chunk := k%32/16*2 + place/8
	return (k/32*groups+row/8)*512 + row%8*64 + (chunk^row%8/2)*16 + place%8*2
}

// operandBytes is the size of n rows of k.
func operandBytes(n, k int) int { return ceilDiv(n, 8) * ceilDiv(k, 64) * 1024 }
