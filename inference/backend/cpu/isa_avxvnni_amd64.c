// Every kernel in avx2 with AVX-VNNI. cgo refuses flags that would choose it for a whole file, so
// each function carries it: LLO_TARGET.
#define LLO_VNNI 1
#include "vec_avx2.h"

#include "body.h"
