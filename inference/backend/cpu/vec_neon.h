// The vector vocabulary of the kernel bodies, in NEON of 64-bit ARM.
#include <arm_neon.h>
#include <string.h>
#include "llo.h"

#define VL 4
#define NT 12 // 2*12 accumulators of 32 registers
#define GR 4
#define GT 4 // 4*4 accumulators
#if defined(LLO_I8MM)
#define LLO_TARGET __attribute__((target("arch=armv8.2-a+dotprod+i8mm")))
#define TABLE llo_i8mm
#define TABLE_NAME "i8mm"
#define NARROW "body_int8.h"
#define DOT_TILES "dot_i8mm.h"
#elif defined(LLO_DOTPROD)
#define LLO_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#define TABLE llo_dotprod
#define TABLE_NAME "dotprod"
#else
#define LLO_TARGET
#define TABLE llo_neon
#define TABLE_NAME "neon"
#endif
#define FN static inline __attribute__((always_inline)) LLO_TARGET

typedef float32x4_t vf;

FN vf vzero(void) { return vdupq_n_f32(0); }
FN vf vset1(float x) { return vdupq_n_f32(x); }
FN uint8x16_t vbytes(const void *p) { return vld1q_u8(p); } // of any alignment
FN vf vload(const float *p) { return vreinterpretq_f32_u8(vbytes(p)); }
FN void vstore(float *p, vf v) { vst1q_u8((uint8_t *)p, vreinterpretq_u8_f32(v)); }
FN vf vadd(vf a, vf b) { return vaddq_f32(a, b); }
FN vf vsub(vf a, vf b) { return vsubq_f32(a, b); }
FN vf vmul(vf a, vf b) { return vmulq_f32(a, b); }
FN vf vdiv(vf a, vf b) { return vdivq_f32(a, b); }
FN vf vfma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
FN vf vmax(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); } // b where one is NaN, as on x86
FN vf vloadn(const float *p, int64_t n) {
  float v[VL] = {0};
  memcpy(v, p, (size_t)n * 4);
  return vload(v);
}
FN void vstoren(float *p, vf v, int64_t n) {
  float out[VL];
  vstore(out, v);
  memcpy(p, out, (size_t)n * 4);
}
FN float vsum(vf v) { return (v[0] + v[2]) + (v[1] + v[3]); }
FN float vhmax(vf v) {
  float a = v[0] > v[1] ? v[0] : v[1], b = v[2] > v[3] ? v[2] : v[3];
  return a > b ? a : b;
}

FN uint16x4_t load_halves(const void *p) { return vreinterpret_u16_u8(vld1_u8(p)); }
FN vf widen_f16(const void *p) { return vcvt_f32_f16(vreinterpret_f16_u16(load_halves(p))); }
FN vf widen_bf16(const void *p) { return vreinterpretq_f32_u32(vshll_n_u16(load_halves(p), 16)); }
// 2*VL bf16: those of even index to a, of odd index to b. Exact, no shuffle.
FN void split_bf16(const void *p, vf *a, vf *b) {
  uint32x4_t w = vreinterpretq_u32_u8(vbytes(p));
  *a = vreinterpretq_f32_u32(vshlq_n_u32(w, 16));
  *b = vreinterpretq_f32_u32(vandq_u32(w, vdupq_n_u32(0xffff0000)));
}
FN vf widen_i8(const void *p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}
// The f16 at p in all lanes.
FN vf vhalf(const void *p) {
  uint16_t h;
  memcpy(&h, p, 2);
  return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h)));
}

FN float half1(const void *p) { return vhalf(p)[0]; }

FN void narrow_f16(void *p, vf v) { vst1_u8(p, vreinterpret_u8_f16(vcvt_f16_f32(v))); }
FN void narrow_bf16(void *p, vf v) {
  uint32x4_t b = vreinterpretq_u32_f32(v), odd = vandq_u32(vshrq_n_u32(b, 16), vdupq_n_u32(1));
  uint32x4_t r = vshrq_n_u32(vaddq_u32(b, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16);
  uint32x4_t nan = vorrq_u32(vshrq_n_u32(b, 16), vdupq_n_u32(0x40));
  r = vbslq_u32(vceqq_f32(v, v), r, nan);
  vst1_u8(p, vreinterpret_u8_u16(vmovn_u32(r)));
}

FN vf vpow2(int32x4_t n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23)); }
// p * 2^n for integral n; 0 where x is below the normal range, infinity above
// it, NaN kept. In two factors because 2^128 is no float.
FN vf vscale2(vf p, vf n, vf x) {
  int32x4_t i = vcvtnq_s32_f32(vminnmq_f32(vmaxnmq_f32(n, vset1(-150)), vset1(256))), half = vshrq_n_s32(i, 1);
  vf r = vmul(vmul(p, vpow2(half)), vpow2(vsubq_s32(i, half)));
  r = vbslq_f32(vcgtq_f32(x, vset1(88.7229f)), vset1(__builtin_inff()), r);
  return vbslq_f32(vcltq_f32(x, vset1(-87.3365f)), vzero(), r);
}
FN vf vround(vf x) { return vrndnq_f32(x); }

FN void vtranspose(vf v[VL]) {
  float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(v[0], v[1])), b = vreinterpretq_f64_f32(vtrn2q_f32(v[0], v[1]));
  float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(v[2], v[3])), d = vreinterpretq_f64_f32(vtrn2q_f32(v[2], v[3]));
  v[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c)), v[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
  v[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c)), v[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}

// Lane i is the sum of the lanes of v[i].
FN vf vsums(const vf v[VL]) { return vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3])); }

#include "quad_neon.h"
