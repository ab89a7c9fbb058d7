// The vector vocabulary of the kernel bodies, in AVX-512 (F, BW, DQ, VL), with
// LLO_VNNI also with the dot products of bytes.
#include <immintrin.h>
#include <string.h>
#include "llo.h"

#define VL 16      // float lanes
#define NT 12      // tokens of a GEMM tile: 2*12 accumulators of 32 registers
#define GR 4       // weight rows of a GEMV tile
#define GT 6       // tokens of a GEMV tile: 4*6 accumulators
#ifndef LLO_MORE // what a table adds to the set
#define LLO_MORE ""
#endif
#ifdef LLO_VNNI
#define LLO_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c" LLO_MORE)))
#ifndef TABLE
#define TABLE llo_avx512
#define NARROW "body_int8.h"
#define TABLE_NAME "avx512"
#endif
#else
#define LLO_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define TABLE llo_avx512f
#define TABLE_NAME "avx512f"
#endif
#define QUANT "body_rows.h"
#define FN static inline __attribute__((always_inline)) LLO_TARGET

typedef __m512 vf;

FN vf vzero(void) { return _mm512_setzero_ps(); }
FN vf vset1(float x) { return _mm512_set1_ps(x); }
FN vf vload(const float *p) { return _mm512_loadu_ps(p); }
FN void vstore(float *p, vf v) { _mm512_storeu_ps(p, v); }
FN vf vadd(vf a, vf b) { return _mm512_add_ps(a, b); }
FN vf vsub(vf a, vf b) { return _mm512_sub_ps(a, b); }
FN vf vmul(vf a, vf b) { return _mm512_mul_ps(a, b); }
FN vf vdiv(vf a, vf b) { return _mm512_div_ps(a, b); }
FN vf vmax(vf a, vf b) { return _mm512_max_ps(a, b); }
FN vf vfma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }

FN __mmask16 vfirst(int64_t n) { return (__mmask16)((1u << n) - 1); }
FN vf vloadn(const float *p, int64_t n) { return _mm512_maskz_loadu_ps(vfirst(n), p); }
FN void vstoren(float *p, vf v, int64_t n) { _mm512_mask_storeu_ps(p, vfirst(n), v); }

FN float vsum(vf v) { return _mm512_reduce_add_ps(v); }
FN float vhmax(vf v) { return _mm512_reduce_max_ps(v); }

FN vf widen_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
FN vf widen_bf16(const void *p) {
  __m512i w = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
}
// 2*VL bf16: those of even index to a, of odd index to b. Exact, no shuffle.
FN void split_bf16(const void *p, vf *a, vf *b) {
  __m512i w = _mm512_loadu_si512(p);
  *a = _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
  *b = _mm512_castsi512_ps(_mm512_and_si512(w, _mm512_set1_epi32((int)0xffff0000)));
}

FN vf widen_i8(const void *p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p))); }
// The f16 at p in all lanes.
FN vf vhalf(const void *p) {
  uint16_t h;
  memcpy(&h, p, 2);
  return _mm512_cvtph_ps(_mm256_set1_epi16((short)h));
}

FN void narrow_f16(void *p, vf v) {
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
FN void narrow_bf16(void *p, vf v) {
  __m512i b = _mm512_castps_si512(v);
  __m512i odd = _mm512_and_si512(_mm512_srli_epi32(b, 16), _mm512_set1_epi32(1));
  __m512i r = _mm512_srli_epi32(_mm512_add_epi32(b, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
  __m512i nan = _mm512_or_si512(_mm512_srli_epi32(b, 16), _mm512_set1_epi32(0x40));
  r = _mm512_mask_mov_epi32(r, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), nan);
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(r));
}

// p * 2^n for integral n; 0 where x is below the normal range, NaN kept.
FN vf vscale2(vf p, vf n, vf x) {
  __mmask16 low = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.3365f), _CMP_LT_OQ);
  return _mm512_mask_mov_ps(_mm512_scalef_ps(p, n), low, _mm512_setzero_ps());
}
FN vf vround(vf x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

FN void vtranspose(vf v[VL]) {
  __m512 t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 4) { // 4x4 blocks within each 128-bit lane
    __m512 a = _mm512_unpacklo_ps(v[i], v[i + 1]), b = _mm512_unpackhi_ps(v[i], v[i + 1]);
    __m512 c = _mm512_unpacklo_ps(v[i + 2], v[i + 3]), d = _mm512_unpackhi_ps(v[i + 2], v[i + 3]);
    t[i] = _mm512_shuffle_ps(a, c, 0x44), t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
    t[i + 2] = _mm512_shuffle_ps(b, d, 0x44), t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 4; i++) { // then the 4x4 of lanes
    __m512 a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88), b = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
    __m512 c = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88), d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
    v[i] = _mm512_shuffle_f32x4(a, c, 0x88), v[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
    v[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88), v[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
}

// Lane i is the sum of the lanes of v[i].
FN vf vsums(const vf v[VL]) {
  __m512 t[8], u[4];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) t[i] = vadd(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    __m512d a = _mm512_castps_pd(t[2 * i]), b = _mm512_castps_pd(t[2 * i + 1]);
    u[i] = vadd(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
  __m512 a = vadd(_mm512_shuffle_f32x4(u[0], u[1], 0x88), _mm512_shuffle_f32x4(u[0], u[1], 0xdd));
  __m512 b = vadd(_mm512_shuffle_f32x4(u[2], u[3], 0x88), _mm512_shuffle_f32x4(u[2], u[3], 0xdd));
  return vadd(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

FN float half1(const void *p) {
  uint16_t h;
  memcpy(&h, p, 2);
  return _cvtsh_ss(h);
}

#ifdef LLO_VNNI
// Integers of the prefill kernels: four products of an unsigned and a signed byte
// are added to a 32-bit lane, without saturation.
typedef __m512i vi;

FN vi viload(const void *p) { return _mm512_loadu_si512(p); }
FN vi viset1(const int32_t *p) { return _mm512_set1_epi32(*p); }
FN vi vidot(vi acc, vi u8, vi s8) { return _mm512_dpbusd_epi32(acc, u8, s8); }
FN vf vifloat(vi v) { return _mm512_cvtepi32_ps(v); }
#define DOT_NT 6 // tokens of an int8 tile: 2*6 integer and 2*6 float accumulators
#define DOT_ROWS // panels of int8 are unpacked VL rows at a time
#endif

#include "quad_avx512.h"
