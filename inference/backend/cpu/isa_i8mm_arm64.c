// Every kernel in NEON with the dot products of ARMv8.2, prefill of blocked weights
// with the matrix multiplication of ARMv8.6: Apple M2, Graviton3 and later.
#define LLO_DOTPROD 1
#define LLO_I8MM 1
#include "vec_neon.h"

#include "body.h"
