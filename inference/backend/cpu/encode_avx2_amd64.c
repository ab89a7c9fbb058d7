// Encoders of blocked formats in AVX2: what their bodies need beyond the
// vocabulary of the kernels, then the bodies. Comparisons with a NaN are false.
#include "vec_avx2.h"

#define PAIR 2

typedef __m256 vm;

FN vm vless(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
FN vm vequal(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
FN vm vboth(vm a, vm b) { return _mm256_and_ps(a, b); }
FN vf vpick(vm m, vf yes, vf no) { return _mm256_blendv_ps(no, yes, m); }
// x where it is not a or beyond, a NaN included.
FN vf vupper(vf a, vf x) { return _mm256_max_ps(a, x); }
FN vf vlower(vf a, vf x) { return _mm256_min_ps(a, x); }
FN vf vsqrt(vf x) { return _mm256_sqrt_ps(x); }
FN vf vmagnitude(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
// Whole numbers 0..255 to bytes.
FN void vbytes(uint8_t *p, vf x) {
  __m256i v = _mm256_cvtps_epi32(x);
  __m128i w = _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(w, w));
}
// Rounds to f16 at p and returns what is there.
FN float half_put(uint8_t *p, float x) {
  uint16_t h = _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT);
  memcpy(p, &h, 2);
  return _cvtsh_ss(h);
}

#include "body_fit.h"
#include "body_encode.h"

uint64_t llo_encode_avx2(int type, uint8_t *dst, const float *src, int64_t blocks) {
  return encode_blocks(type, dst, src, blocks);
}
