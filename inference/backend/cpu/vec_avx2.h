// The vector vocabulary of the kernel bodies, in AVX2 with FMA and F16C. LLO_VNNI
// adds the dot products of bytes, 1 in the encoding of AVX-VNNI, 2 in that of
// AVX-512: the same instruction for processors of either kind.
#include <immintrin.h>
#include <string.h>
#include "llo.h"

#define VL 8
#define NT 6 // 2*6 accumulators of 16 registers
#define GR 4
#define GT 2 // 4*2 accumulators
#if LLO_VNNI == 1
#define LLO_TARGET __attribute__((target("avx2,fma,f16c,avxvnni")))
#define TABLE llo_avxvnni
#define TABLE_NAME "avxvnni"
#elif LLO_VNNI == 2
#define LLO_TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512vl,avx512vnni")))
#define TABLE llo_vnni256
#define TABLE_NAME "avxvnni"
#else
#define LLO_TARGET __attribute__((target("avx2,fma,f16c")))
#define TABLE llo_avx2
#define TABLE_NAME "avx2"
#endif
#define NARROW "body_int8.h"
#ifndef LLO_VNNI
#define DOT_TILES "dot_maddubs.h"
#endif
#define FN static inline __attribute__((always_inline)) LLO_TARGET

typedef __m256 vf;

FN vf vzero(void) { return _mm256_setzero_ps(); }
FN vf vset1(float x) { return _mm256_set1_ps(x); }
FN vf vload(const float *p) { return _mm256_loadu_ps(p); }
FN void vstore(float *p, vf v) { _mm256_storeu_ps(p, v); }
FN vf vadd(vf a, vf b) { return _mm256_add_ps(a, b); }
FN vf vsub(vf a, vf b) { return _mm256_sub_ps(a, b); }
FN vf vmul(vf a, vf b) { return _mm256_mul_ps(a, b); }
FN vf vdiv(vf a, vf b) { return _mm256_div_ps(a, b); }
FN vf vmax(vf a, vf b) { return _mm256_max_ps(a, b); }
FN vf vfma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }

FN __m256i vfirst(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
FN vf vloadn(const float *p, int64_t n) { return _mm256_maskload_ps(p, vfirst(n)); }
FN void vstoren(float *p, vf v, int64_t n) { _mm256_maskstore_ps(p, vfirst(n), v); }

FN float vsum(vf v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
FN float vhmax(vf v) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

FN vf widen_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
FN vf widen_bf16(const void *p) {
  __m256i w = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(w, 16));
}
// 2*VL bf16: those of even index to a, of odd index to b. Exact, no shuffle.
FN void split_bf16(const void *p, vf *a, vf *b) {
  __m256i w = _mm256_loadu_si256((const __m256i *)p);
  *a = _mm256_castsi256_ps(_mm256_slli_epi32(w, 16));
  *b = _mm256_castsi256_ps(_mm256_and_si256(w, _mm256_set1_epi32((int)0xffff0000)));
}

FN vf widen_i8(const void *p) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p))); }
// The f16 at p in all lanes.
FN vf vhalf(const void *p) {
  uint16_t h;
  memcpy(&h, p, 2);
  return _mm256_cvtph_ps(_mm_set1_epi16((short)h));
}

FN void narrow_f16(void *p, vf v) {
  _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
FN void narrow_bf16(void *p, vf v) {
  __m256i b = _mm256_castps_si256(v);
  __m256i odd = _mm256_and_si256(_mm256_srli_epi32(b, 16), _mm256_set1_epi32(1));
  __m256i r = _mm256_srli_epi32(_mm256_add_epi32(b, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  __m256i nan = _mm256_or_si256(_mm256_srli_epi32(b, 16), _mm256_set1_epi32(0x40));
  r = _mm256_blendv_epi8(r, nan, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
  r = _mm256_packus_epi32(r, r);
  _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(_mm256_permute4x64_epi64(r, 0x08)));
}

FN vf vpow2(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
// p * 2^n for integral n; 0 where x is below the normal range, infinity above
// it, NaN kept. In two factors because 2^128 is no float.
FN vf vscale2(vf p, vf n, vf x) {
  vf top = _mm256_set1_ps(256), cut = _mm256_min_ps(_mm256_max_ps(n, _mm256_set1_ps(-150)), top);
  __m256i i = _mm256_cvtps_epi32(cut), half = _mm256_srai_epi32(i, 1);
  vf r = _mm256_mul_ps(_mm256_mul_ps(p, vpow2(half)), vpow2(_mm256_sub_epi32(i, half)));
  r = _mm256_blendv_ps(r, _mm256_set1_ps(__builtin_inff()), _mm256_cmp_ps(x, _mm256_set1_ps(88.7229f), _CMP_GT_OQ));
  return _mm256_andnot_ps(_mm256_cmp_ps(x, _mm256_set1_ps(-87.3365f), _CMP_LT_OQ), r);
}
FN vf vround(vf x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

FN void vtranspose(vf v[VL]) {
  __m256 t[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 4) {
    __m256 a = _mm256_unpacklo_ps(v[i], v[i + 1]), b = _mm256_unpackhi_ps(v[i], v[i + 1]);
    __m256 c = _mm256_unpacklo_ps(v[i + 2], v[i + 3]), d = _mm256_unpackhi_ps(v[i + 2], v[i + 3]);
    t[i] = _mm256_shuffle_ps(a, c, 0x44), t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
    t[i + 2] = _mm256_shuffle_ps(b, d, 0x44), t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 4; i++) {
    v[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
    v[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
  }
}

// Lane i is the sum of the lanes of v[i].
FN vf vsums(const vf v[VL]) {
  __m256 a = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
  __m256 b = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));
  return vadd(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

FN float half1(const void *p) {
  uint16_t h;
  memcpy(&h, p, 2);
  return _cvtsh_ss(h);
}

#ifdef LLO_VNNI
// Integers of the prefill kernels: four products of an unsigned and a signed byte
// are added to a 32-bit lane, without saturation.
typedef __m256i vi;

FN vi viload(const void *p) { return _mm256_loadu_si256(p); }
FN vi viset1(const int32_t *p) { return _mm256_set1_epi32(*p); }
#if LLO_VNNI == 1
FN vi vidot(vi acc, vi u8, vi s8) { return _mm256_dpbusd_avx_epi32(acc, u8, s8); }
#else
FN vi vidot(vi acc, vi u8, vi s8) { return _mm256_dpbusd_epi32(acc, u8, s8); }
#endif
FN vf vifloat(vi v) { return _mm256_cvtepi32_ps(v); }
#define DOT_NT 6 // tokens of an int8 tile: 2*6 integer accumulators; the float ones are in memory
#endif

#include "quad_avx2.h"
