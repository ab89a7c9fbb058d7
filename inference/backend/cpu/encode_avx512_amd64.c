// Encoders of blocked formats in AVX-512: what their bodies need beyond the
// vocabulary of the kernels, then the bodies. Comparisons with a NaN are false.
#include "vec_avx512.h"

#define PAIR 2

typedef __mmask16 vm;

FN vm vless(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
FN vm vequal(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
FN vm vboth(vm a, vm b) { return a & b; }
FN vf vpick(vm m, vf yes, vf no) { return _mm512_mask_blend_ps(m, no, yes); }
// x where it is not a or beyond, a NaN included.
FN vf vupper(vf a, vf x) { return _mm512_max_ps(a, x); }
FN vf vlower(vf a, vf x) { return _mm512_min_ps(a, x); }
FN vf vsqrt(vf x) { return _mm512_sqrt_ps(x); }
FN vf vmagnitude(vf x) { return _mm512_abs_ps(x); }
// Whole numbers 0..255 to bytes.
FN void vbytes(uint8_t *p, vf x) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x))); }
// Rounds to f16 at p and returns what is there.
FN float half_put(uint8_t *p, float x) {
  uint16_t h = _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT);
  memcpy(p, &h, 2);
  return _cvtsh_ss(h);
}

#include "body_fit.h"
#include "body_encode.h"

uint64_t llo_encode_avx512(int type, uint8_t *dst, const float *src, int64_t blocks) {
  return encode_blocks(type, dst, src, blocks);
}
