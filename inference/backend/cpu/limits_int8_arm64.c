// The peak of the matrix multiplication of bytes: smmla on registers only. Twelve
// chains hide the latency of three or four cycles at up to four a cycle.
#include "llo.h"

#include <arm_neon.h>
#include <string.h>

__attribute__((target("arch=armv8.2-a+dotprod+i8mm"))) static double smmla(int64_t iterations) {
  int32x4_t acc[12], t = vdupq_n_s32(0);
  const int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(-2);
#pragma GCC unroll 12
  for (int i = 0; i < 12; i++) acc[i] = vdupq_n_s32(i);
  for (int64_t n = 0; n < iterations; n++) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) {
      acc[i] = vmmlaq_s32(acc[i], a, b);
      __asm__ volatile("" : "+w"(acc[i]));
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < 12; i++) t = vaddq_s32(t, acc[i]);
  volatile int keep = vgetq_lane_s32(t, 0);
  (void)keep;
  return (double)iterations * 12 * 2 * 2 * 8 * 2;
}

// Prefill of the other tables multiplies floats, which is what they are held against.
llo_peak llo_int8_peak(const llo_kernels *k) { return strcmp(k->name, "i8mm") ? NULL : smmla; }
