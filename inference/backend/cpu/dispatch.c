// The instruction sets of this build and whether the host can run them.
#include "llo.h"

#include <string.h>

#ifdef __x86_64__
static int has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
static int has_avx512(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

const llo_kernels *llo_find(const char *name) {
  if (!strcmp(name, "portable")) return &llo_portable;
#ifdef __x86_64__
  __builtin_cpu_init();
  if (!strcmp(name, "avx2") && has_avx2()) return &llo_avx2;
  if (!strcmp(name, "avx512") && has_avx512()) return &llo_avx512;
#endif
  return NULL;
}

void llo_exp(const llo_kernels *k, float *x, int64_t n) { k->exp(x, n); }
