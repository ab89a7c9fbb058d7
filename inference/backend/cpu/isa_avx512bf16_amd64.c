// AVX-512, and dot products of bf16 pairs for bf16 weights in the prefill phase.
#define LLO_VNNI 1
#define TABLE llo_avx512bf16
#define TABLE_NAME "avx512bf16"
#define LLO_MORE ",avx512bf16"
#include "vec_avx512.h"

#include "bf16_avx512.h"

#include "body_pairs.h"
