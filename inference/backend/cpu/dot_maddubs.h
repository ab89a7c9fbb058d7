// The vocabulary of int8 tiles (body_int8.h) for AVX2 without VNNI. vpmaddubsw sums
// two products in 16 bits and saturates, so a panel holds a format's own codes of up
// to six bits, and as many sums are added in 16 bits as fit: 8 of 4-bit codes, 4 of
// 5-bit and 2 of 6-bit ones (2*8*15*127, 2*4*31*127, 2*2*63*127 < 2^15).
//
// Q8_0 stays with floats, which make 0.87 of the FMA peak and round nothing: with its
// activations in two halves of four bits it would make at most 1.08 (timed with one half
// twice, without the memory of the other).
//
// Measured on a 2-core Ice Lake VM shared with other work, by the processor's time,
// best of 40, one work item of 64 rows of 2048 with 252 activation rows, as shares of
// the FMA peak of ymm in the same run (112 GFLOP/s), behind it those of floats: Q4_0
// 1.89, 0.87; Q4_K 1.85, 0.68; Q5_K 1.72, 0.62; Q5_0 1.46, 0.70; Q2_K 1.4, 0.67; Q3_K
// 1.4, 0.61; Q6_K 1.33, 0.59. With VNNI in ymm: Q4_0 and Q8_0 2.5, Q4_K 2.3, Q6_K 2.0.

#define DOT_NT 4   // tokens of a tile: 2*4 accumulators of 16 registers, sums in memory
#define DOT_FROM 1 // dot_sums multiplies it by what the codes count from
#define DOT_TAKES(type) ((type) != LLO_Q8_0)

typedef __m256i vi;
FN vf vifloat(vi v) { return _mm256_cvtepi32_ps(v); }

FN int dot_bits(int type) {
  switch (type) {
    case LLO_Q3_K: return 3;
    case LLO_Q5_0:
    case LLO_Q5_1:
    case LLO_Q5_K: return 5;
    case LLO_Q6_K: return 6;
  }
  return 4;
}

// Where codes without an offset have their zero: in the middle.
FN int dot_zero(int type) { return dot_offset(type) ? 0 : 1 << (dot_bits(type) - 1); }

FN vf dot_code(const int type, const uint8_t *p) {
  __m256i less = _mm256_set1_epi8((char)(128 - dot_zero(type)));
  return _mm256_castsi256_ps(_mm256_sub_epi8(_mm256_loadu_si256((const __m256i *)p), less));
}
#include "dot_lanes.h"

// sum[t] = sums of n*DOT_K products of each of MR weight rows with token t, in 16 bits.
FN void dot_chain(const int T, __m256i sum[DOT_NT][2], const int n, const char *panel, const int8_t *x) {
#pragma GCC unroll 8
  for (int i = 0; i < n; i++, panel += MR * 4, x += DOT_NT * 4) {
    __m256i u = _mm256_loadu_si256((const __m256i *)panel), v = _mm256_loadu_si256((const __m256i *)(panel + VL * 4));
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) {
      int32_t four;
      memcpy(&four, x + 4 * t, 4);
      __m256i q = _mm256_set1_epi32(four), a = _mm256_maddubs_epi16(u, q), b = _mm256_maddubs_epi16(v, q);
      sum[t][0] = i ? _mm256_add_epi16(sum[t][0], a) : a;
      sum[t][1] = i ? _mm256_add_epi16(sum[t][1], b) : b;
      // The compiler must not gather products of several steps, for which there are no registers.
      __asm__("" : "+x"(sum[t][0]), "+x"(sum[t][1]));
    }
  }
}

// acc[t] = the sums of n*DOT_K products of each of MR weight rows with token t, the
// weights being codes less dot_zero.
FN void dot_sums(const int type, const int T, vi acc[DOT_NT][2], const int n, const char *panel, const int8_t *x, const int32_t *start) {
  const int fit = dot_bits(type) <= 4 ? 8 : dot_bits(type) == 5 ? 4 : 2, step = n < fit ? n : fit;
  const __m256i one = _mm256_set1_epi16(1);
#pragma GCC unroll 8
  for (int t = 0; t < T; t++)
    acc[t][0] = acc[t][1] = dot_zero(type) ? _mm256_slli_epi32(_mm256_set1_epi32(start[t]), dot_bits(type) - 1) : _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int i = 0; i < n; i += step) {
    __m256i sum[DOT_NT][2];
    dot_chain(T, sum, step, panel + i * MR * 4, x + i * DOT_NT * 4);
#pragma GCC unroll 8
    for (int t = 0; t < T; t++)
#pragma GCC unroll 2
      for (int v = 0; v < 2; v++) acc[t][v] = _mm256_add_epi32(acc[t][v], _mm256_madd_epi16(sum[t][v], one));
  }
}
