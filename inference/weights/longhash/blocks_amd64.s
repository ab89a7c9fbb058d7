#include "textflag.h"

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

#define ONE(I) STRIPE(SI, I, Z0, Z1, Z4, Z5, Z6)
#define TWO(I) ONE(I) \
	STRIPE(R8, I, Z2, Z3, Z7, Z8, Z9)

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

// func hashBlocks(sums *Sum, p *byte, n int, secret *[192]byte)
TEXT ·hashBlocks(SB), NOSPLIT, $0-32
	MOVQ sums+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ secret+24(FP), DX

	// Both halves in turns: the processor fetches each stream by itself, too.
	MOVQ CX, BX
	SHRQ $1, BX
	JZ   odd
	MOVQ BX, AX
	SHLQ $10, AX
	LEAQ (SI)(AX*1), R8
	SHRQ $4, AX
	LEAQ (DI)(AX*1), R9

two:
	VPXORQ    Z0, Z0, Z0
	VPXORQ    Z1, Z1, Z1
	VPXORQ    Z2, Z2, Z2
	VPXORQ    Z3, Z3, Z3
	BLOCK(TWO)
	VPADDQ    Z1, Z0, Z0
	VPADDQ    Z3, Z2, Z2
	VMOVDQU64 Z0, (DI)
	VMOVDQU64 Z2, (R9)
	ADDQ      $64, DI
	ADDQ      $64, R9
	ADDQ      $1024, SI
	ADDQ      $1024, R8
	DECQ      BX
	JNZ       two
	MOVQ      R8, SI
	MOVQ      R9, DI

odd:
	ANDQ      $1, CX
	JZ        done
	VPXORQ    Z0, Z0, Z0
	VPXORQ    Z1, Z1, Z1
	BLOCK(ONE)
	VPADDQ    Z1, Z0, Z0
	VMOVDQU64 Z0, (DI)

done:
	VZEROUPPER
	RET
