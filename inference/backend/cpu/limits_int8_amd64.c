// The peak of 8-bit dot products: vpdpbusd, or vpmaddubsw where there is none, on
// registers only. Twelve chains hide the latency of five cycles at two a cycle.
#include "llo.h"

#include <immintrin.h>
#include <string.h>

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) static double vnni512(int64_t iterations) {
  __m512i acc[12], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-2), t = _mm512_setzero_si512();
#pragma GCC unroll 12
  for (int i = 0; i < 12; i++) acc[i] = _mm512_set1_epi32(i);
  for (int64_t n = 0; n < iterations; n++) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) {
      acc[i] = _mm512_dpbusd_epi32(acc[i], a, b);
      __asm__ volatile("" : "+v"(acc[i]));
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < 12; i++) t = _mm512_add_epi32(t, acc[i]);
  volatile int keep = _mm512_cvtsi512_si32(t); // one lane: their sum does not fit
  (void)keep;
  return (double)iterations * 12 * 64 * 2;
}

__attribute__((target("avx2,avxvnni"))) static double vnni256(int64_t iterations) {
  __m256i acc[12], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2), t = _mm256_setzero_si256();
#pragma GCC unroll 12
  for (int i = 0; i < 12; i++) acc[i] = _mm256_set1_epi32(i);
  for (int64_t n = 0; n < iterations; n++) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) {
      acc[i] = _mm256_dpbusd_avx_epi32(acc[i], a, b);
      __asm__ volatile("" : "+x"(acc[i]));
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < 12; i++) t = _mm256_add_epi32(t, acc[i]);
  volatile int keep = _mm256_extract_epi32(t, 0);
  (void)keep;
  return (double)iterations * 12 * 32 * 2;
}

// Without VNNI a dot product is a multiplication that sums pairs, a second one
// that sums the pairs, and an addition.
__attribute__((target("avx2"))) static double maddubs256(int64_t iterations) {
  __m256i acc[12], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2), one = _mm256_set1_epi16(1), t = _mm256_setzero_si256();
#pragma GCC unroll 12
  for (int i = 0; i < 12; i++) acc[i] = _mm256_set1_epi32(i);
  for (int64_t n = 0; n < iterations; n++) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) {
      __asm__ volatile("" : "+x"(a));
      acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), one));
      __asm__ volatile("" : "+x"(acc[i]));
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < 12; i++) t = _mm256_add_epi32(t, acc[i]);
  volatile int keep = _mm256_extract_epi32(t, 0);
  (void)keep;
  return (double)iterations * 12 * 32 * 2;
}

llo_peak llo_int8_peak(const llo_kernels *k) {
  if (!strcmp(k->name, "portable")) return NULL;
  __builtin_cpu_init();
  int wide = strncmp(k->name, "avx2", 4) && strncmp(k->name, "avxvnni", 7);
  if (wide && __builtin_cpu_supports("avx512vnni")) return vnni512;
  return __builtin_cpu_supports("avxvnni") ? vnni256 : maddubs256; // every other table has AVX2
}
