#include "textflag.h"
#include "stripe_amd64.h"

#define ONE(I) STRIPE(SI, I, Z0, Z1, Z4, Z5, Z6)
#define TWO(I) ONE(I) \
	STRIPE(R8, I, Z2, Z3, Z7, Z8, Z9)

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
