// Every kernel in avx512 without VNNI. cgo refuses flags that would choose it for a whole file, so
// each function carries it: LLO_TARGET.
#include "vec_avx512.h"

#include "body.h"
