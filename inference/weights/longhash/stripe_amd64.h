// A stripe of the block at P into its two sums A and B, which hide the latency of
// adding. A line is fetched 3 KB before it is read.
#define STRIPE(P, I, A, B, V, K, H) \
	PREFETCHT0 (3072+64*I)(P)    \
	VMOVDQU64  (64*I)(P), V      \
	VPXORQ     (8*I)(DX), V, K   \
	VPSHUFD    $0x31, K, H       \
	VPSHUFD    $0x4e, V, V       \
	VPMULUDQ   K, H, K           \
	VPADDQ     V, A, A           \
	VPADDQ     K, B, B

// All stripes of a block.
#define BLOCK(F) \
	F(0)  \
	F(1)  \
	F(2)  \
	F(3)  \
	F(4)  \
	F(5)  \
	F(6)  \
	F(7)  \
	F(8)  \
	F(9)  \
	F(10) \
	F(11) \
	F(12) \
	F(13) \
	F(14) \
	F(15)
