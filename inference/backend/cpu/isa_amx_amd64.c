// AVX-512, and AMX for projections of the prefill phase.
#define LLO_VNNI 1
#define TABLE llo_amx
#define TABLE_NAME "amx"
#define LLO_MORE ",avx512bf16"
#include "vec_avx512.h"

#include "tiles_amx.h"

#include "body_amx.h"
