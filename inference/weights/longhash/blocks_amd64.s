#include "go_asm.h"
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

// The largest words of 16 bits, by lanes, of what lies under the mask at M. The line is in L1 by
// then, and costs nothing more: a core waits for memory.
#define LARGEST(P, I, M, T, X) \
	VMOVDQU64 (64*I)(M), T    \
	VPANDQ    (64*I)(P), T, T \
	VPMAXUW   T, X, X

#define ONE(I) STRIPE(SI, I, Z0, Z1, Z4, Z5, Z6) \
	LARGEST(SI, I, R10, Z11, Z10)
#define TWO(I) ONE(I) \
	STRIPE(R8, I, Z2, Z3, Z7, Z8, Z9) \
	LARGEST(R8, I, R11, Z13, Z12)

// The mask of the next block: M goes on by the bytes in R12, and by those in R14 back where
// the ring begins again, at R13.
#define NEXT(M) \
	ADDQ    R12, M   \
	MOVQ    M, AX    \
	SUBQ    R14, AX  \
	CMPQ    M, R13   \
	CMOVQCC AX, M

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

// func hashBlocks(sums *Sum, p *byte, n int, secret *[192]byte, m *masks)
TEXT ·hashBlocks(SB), NOSPLIT, $0-40
	MOVQ sums+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ secret+24(FP), DX
	MOVQ m+32(FP), AX
	MOVQ masks_first(AX), R10
	MOVQ masks_second(AX), R11
	MOVQ masks_step(AX), R12
	MOVQ masks_end(AX), R13
	MOVQ masks_wrap(AX), R14

	VPXORQ Z10, Z10, Z10
	VPXORQ Z12, Z12, Z12

	// Both halves in turns: the processor fetches each stream by itself, too.
	MOVQ   CX, BX
	SHRQ   $1, BX
	JZ     odd
	MOVQ   BX, AX
	SHLQ   $10, AX
	LEAQ   (SI)(AX*1), R8
	SHRQ   $4, AX
	LEAQ   (DI)(AX*1), R9

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
	NEXT(R10)
	NEXT(R11)
	ADDQ      $64, DI
	ADDQ      $64, R9
	ADDQ      $1024, SI
	ADDQ      $1024, R8
	DECQ      BX
	JNZ       two
	MOVQ      R8, SI
	MOVQ      R9, DI
	MOVQ      R11, R10

odd:
	ANDQ      $1, CX
	JZ        done
	VPXORQ    Z0, Z0, Z0
	VPXORQ    Z1, Z1, Z1
	BLOCK(ONE)
	VPADDQ    Z1, Z0, Z0
	VMOVDQU64 Z0, (DI)

done:
	MOVQ      m+32(FP), AX
	VPMAXUW   Z12, Z10, Z10
	VMOVDQU64 Z10, masks_most(AX)
	VZEROUPPER
	RET
