// The peak of 8-bit dot products is not measured on this architecture.
#include "llo.h"

#if !defined(__x86_64__) && !defined(__aarch64__)
llo_peak llo_int8_peak(const llo_kernels *k) {
  (void)k;
  return NULL;
}
#endif
