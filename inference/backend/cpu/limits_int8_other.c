// The peak of 8-bit dot products is not measured on this architecture.
#include "llo.h"

#ifndef __x86_64__
llo_peak llo_int8_peak(const llo_kernels *k) {
  (void)k;
  return NULL;
}
#endif
