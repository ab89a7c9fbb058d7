//go:build cuda

// One symbol for every function of the driver that jumps through its place in the table, which shim.c fills. They are
// hidden: go-nvml links with --export-dynamic, and a library that looks for the driver's functions must not find these.

#if defined(__CET__)
#include <cet.h>
#else
#define _CET_ENDBR
#endif

	.section .note.GNU-stack,"",%progbits
	.text
	.set place, 0

.macro TRAMPOLINE name
	.globl \name
	.hidden \name
	.type \name, %function
	.p2align 4
\name:
#if defined(__x86_64__)
	_CET_ENDBR
	jmp *(llorch_cuda_calls + place)(%rip)
#elif defined(__aarch64__)
	adrp x16, llorch_cuda_calls + place
	add x16, x16, :lo12:(llorch_cuda_calls + place)
	ldr x16, [x16]
	br x16
#else
#error "the CUDA backend is for x86-64 and 64-bit ARM"
#endif
	.size \name, . - \name
	.set place, place + 8
.endm

#define CALL(name) TRAMPOLINE name
#include "calls.h"
