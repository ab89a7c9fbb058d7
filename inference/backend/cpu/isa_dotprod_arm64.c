// Every kernel in NEON with the dot products of ARMv8.2: Apple M1, Graviton2 and
// later.
#define LLO_DOTPROD 1
#include "vec_neon.h"

#include "body.h"
