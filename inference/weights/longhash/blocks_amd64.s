#include "textflag.h"

// A line is fetched 3 KB before it is read. Two sums hide the latency of adding.
#define STRIPE(I) \
	PREFETCHT0 (3072+64*I)(SI)     \
	VMOVDQU64  (64*I)(SI), Z2      \
	VPXORQ     (8*I)(DX), Z2, Z3   \
	VPSHUFD    $0x31, Z3, Z4       \
	VPSHUFD    $0x4e, Z2, Z2       \
	VPMULUDQ   Z3, Z4, Z3          \
	VPADDQ     Z2, Z0, Z0          \
	VPADDQ     Z3, Z1, Z1

// func hashBlocks(acc *[8]uint64, p *byte, n int, secret *[192]byte)
TEXT ·hashBlocks(SB), NOSPLIT, $0-32
	MOVQ         acc+0(FP), DI
	MOVQ         p+8(FP), SI
	MOVQ         n+16(FP), CX
	MOVQ         secret+24(FP), DX
	VMOVDQU64    (DI), Z0
	MOVQ         $0x9e3779b1, AX
	VPBROADCASTQ AX, Z5

block:
	VPXORQ Z1, Z1, Z1
	STRIPE(0)
	STRIPE(1)
	STRIPE(2)
	STRIPE(3)
	STRIPE(4)
	STRIPE(5)
	STRIPE(6)
	STRIPE(7)
	STRIPE(8)
	STRIPE(9)
	STRIPE(10)
	STRIPE(11)
	STRIPE(12)
	STRIPE(13)
	STRIPE(14)
	STRIPE(15)
	VPADDQ    Z1, Z0, Z0
	VPSRLQ    $47, Z0, Z2
	VPXORQ    Z2, Z0, Z0
	VPXORQ    128(DX), Z0, Z0
	VPSRLQ    $32, Z0, Z3
	VPMULUDQ  Z5, Z0, Z0
	VPMULUDQ  Z5, Z3, Z3
	VPSLLQ    $32, Z3, Z3
	VPADDQ    Z3, Z0, Z0
	ADDQ      $1024, SI
	DECQ      CX
	JNZ       block
	VMOVDQU64 Z0, (DI)
	VZEROUPPER
	RET
