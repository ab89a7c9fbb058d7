// The vocabulary of the kernels for blocked weights, in NEON: four lanes of 16
// bytes, 4 int32 or 4 floats, each lane of a block of its own (body_blocks.h).
// With the dot product of ARMv8.2 (LLO_DOTPROD) a lane of products is one
// instruction, else four.

#define QUAD_T 1 // activation rows of a tile: 4*1 sums of four registers each

typedef struct { uint8x16_t l[4]; } qb;
typedef struct { int32x4_t l[4]; } qi;
typedef struct { vf l[4]; } qf;

#define LANES _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++)

FN qb qb_four(const void *a, const void *b, const void *c, const void *d) { return (qb){{vbytes(a), vbytes(b), vbytes(c), vbytes(d)}}; }
// Four times 32 bytes, `step` apart: the first 16 to p, the others to q.
FN void qb_split(const char *s, const int step, qb *p, qb *q) {
  *p = qb_four(s, s + step, s + 2 * step, s + 3 * step);
  *q = qb_four(s + 16, s + 16 + step, s + 16 + 2 * step, s + 16 + 3 * step);
}
// Lanes a, b, c, d of the 64 bytes at p.
FN qb qb_pick(const void *p, const int a, const int b, const int c, const int d) {
  const char *s = p;
  return qb_four(s + 16 * a, s + 16 * b, s + 16 * c, s + 16 * d);
}
FN qb qb_load(const void *p) { return qb_pick(p, 0, 1, 2, 3); }
FN qb qb_spread(const void *p) { return qb_four(p, p, p, p); }
FN uint8x16_t quad_move(uint8x16_t v, const int by) { return vreinterpretq_u8_u64(vshlq_u64(vreinterpretq_u64_u8(v), vdupq_n_s64(by))); }
// Shifts the lanes left by a, b, c, d, right if negative; bits that cross bytes
// are for the caller to mask.
FN qb qb_move(qb v, const int a, const int b, const int c, const int d) {
  return (qb){{quad_move(v.l[0], a), quad_move(v.l[1], b), quad_move(v.l[2], c), quad_move(v.l[3], d)}};
}
FN qb qb_and(qb v, const int mask) {
  LANES v.l[i] = vandq_u8(v.l[i], vdupq_n_u8((uint8_t)mask));
  return v;
}
// a | b & mask
FN qb qb_join(qb a, qb b, const int mask) {
  LANES a.l[i] = vorrq_u8(a.l[i], vandq_u8(b.l[i], vdupq_n_u8((uint8_t)mask)));
  return a;
}
// Lanes masked by a, b, c, d.
FN qb qb_mask(qb v, const int a, const int b, const int c, const int d) {
  const int mask[4] = {a, b, c, d};
  LANES v.l[i] = vandq_u8(v.l[i], vdupq_n_u8((uint8_t)mask[i]));
  return v;
}
// Bit 16*i + j of bits to byte j of lane i.
FN qb qb_bits(uint64_t bits, const int value) {
  const uint8x8_t each = vcreate_u8(0x8040201008040201u);
  const uint8x16_t own = vcombine_u8(each, each);
  qb v;
  LANES {
    uint8x16_t two = vcombine_u8(vdup_n_u8((uint8_t)(bits >> 16 * i)), vdup_n_u8((uint8_t)(bits >> (16 * i + 8))));
    v.l[i] = vandq_u8(vtstq_u8(two, own), vdupq_n_u8((uint8_t)value));
  }
  return v;
}

FN qi qi_load(const void *p) {
  const char *s = p;
  qi v;
  LANES v.l[i] = vreinterpretq_s32_u8(vbytes(s + 16 * i));
  return v;
}
FN qi qi_zero(void) {
  const int32x4_t z = vdupq_n_s32(0);
  return (qi){{z, z, z, z}};
}
// acc + sums of 4 products of int8. Without dot products sums of two are made in
// int16, which hold 2*128*127.
FN int32x4_t quad_dot(int32x4_t acc, int8x16_t w, int8x16_t x) {
#ifdef LLO_DOTPROD
  return vdotq_s32(acc, w, x);
#else
  return vpadalq_s16(acc, vpaddq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)), vmull_high_s8(w, x)));
#endif
}
FN qi qi_dot(qi acc, qb w, qb x) {
  LANES acc.l[i] = quad_dot(acc.l[i], vreinterpretq_s8_u8(w.l[i]), vreinterpretq_s8_u8(x.l[i]));
  return acc;
}
// The same for int8 codes, which need no treatment.
#define INT8_FROM 0
#define CODES_TO_255 0
FN qb qb_int8(qb w) { return w; }
FN qi qi_dot8(qi acc, qb w, qb x) { return qi_dot(acc, w, x); }
// a*low + b*high of pairs of int16.
FN qi qi_pairs(qi v, const int a, const int b) {
  LANES {
    int32x4_t low = vshrq_n_s32(vshlq_n_s32(v.l[i], 16), 16), high = vshrq_n_s32(v.l[i], 16);
    v.l[i] = vmlaq_n_s32(vmulq_n_s32(low, a), high, b);
  }
  return v;
}

FN qf qf_load(const float *p) { return (qf){{vload(p), vload(p + 4), vload(p + 8), vload(p + 12)}}; }
FN void qf_store(float *p, qf v) { LANES vstore(p + 4 * i, v.l[i]); }
FN qf qf_all(float x) { return (qf){{vset1(x), vset1(x), vset1(x), vset1(x)}}; }
FN qf qf_zero(void) { return qf_all(0); }
FN qf qf_of(qi v) {
  qf r;
  LANES r.l[i] = vcvtq_f32_s32(v.l[i]);
  return r;
}
FN qf qf_add(qf a, qf b) {
  LANES a.l[i] = vadd(a.l[i], b.l[i]);
  return a;
}
FN qf qf_mul(qf a, qf b) {
  LANES a.l[i] = vmul(a.l[i], b.l[i]);
  return a;
}
FN qf qf_fma(qf a, qf b, qf c) {
  LANES c.l[i] = vfma(a.l[i], b.l[i], c.l[i]);
  return c;
}
FN float qf_sum(qf v) { return vsum(vadd(vadd(v.l[0], v.l[2]), vadd(v.l[1], v.l[3]))); }
FN void qf_sums(const qf v[4], float *out) {
  for (int i = 0; i < 4; i++) out[i] = qf_sum(v[i]);
}
FN qf qf_half(uint16_t h) {
  vf v = vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h)));
  return (qf){{v, v, v, v}};
}
// Four f16, each to its lane.
FN qf qf_halves(uint64_t four) {
  vf v = vcvt_f32_f16(vreinterpret_f16_u64(vcreate_u64(four)));
  return (qf){{vdupq_laneq_f32(v, 0), vdupq_laneq_f32(v, 1), vdupq_laneq_f32(v, 2), vdupq_laneq_f32(v, 3)}};
}
// Bytes first, first+step … of v, each to its lane.
FN qf qf_bytes(uint64_t v, const int first, const int step) {
  qf r;
  LANES r.l[i] = vset1((float)(v >> 8 * (first + i * step) & 255));
  return r;
}
FN qf qf_int8s(uint64_t v, const int first, const int step) {
  qf r;
  LANES r.l[i] = vset1((float)(int8_t)(v >> 8 * (first + i * step)));
  return r;
}
// The 8 bytes, each to two elements in a row; 16, each to one.
FN qf qf_16bytes(uint64_t a, uint64_t b) {
  uint16x8_t low = vmovl_u8(vcreate_u8(a)), high = vmovl_u8(vcreate_u8(b));
  return (qf){{vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))), vcvtq_f32_u32(vmovl_high_u16(low)),
               vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))), vcvtq_f32_u32(vmovl_high_u16(high))}};
}
FN qf qf_8bytes(uint64_t v) {
  uint8x8_t b = vcreate_u8(v);
  return qf_16bytes(vget_lane_u64(vreinterpret_u64_u8(vzip1_u8(b, b)), 0), vget_lane_u64(vreinterpret_u64_u8(vzip2_u8(b, b)), 0));
}
FN qf qf_four(float a, float b, float c, float d) { return (qf){{vset1(a), vset1(b), vset1(c), vset1(d)}}; }
// The representation of the largest magnitude of both.
FN uint32_t qf_peak(qf a, qf b) {
  uint32x4_t most = vdupq_n_u32(0), size = vdupq_n_u32(0x7fffffff);
  LANES {
    most = vmaxq_u32(most, vandq_u32(vreinterpretq_u32_f32(a.l[i]), size));
    most = vmaxq_u32(most, vandq_u32(vreinterpretq_u32_f32(b.l[i]), size));
  }
  return vmaxvq_u32(most);
}
// Rounds to nearest even, |x| <= 127.5.
FN void qf_narrow(void *p, qf x) {
  int16x8_t low = vcombine_s16(vmovn_s32(vcvtnq_s32_f32(x.l[0])), vmovn_s32(vcvtnq_s32_f32(x.l[1])));
  int16x8_t high = vcombine_s16(vmovn_s32(vcvtnq_s32_f32(x.l[2])), vmovn_s32(vcvtnq_s32_f32(x.l[3])));
  vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
}
// Low and high halves of the pairs that qi_pairs takes.
FN void qi_store_pairs(void *p, qi low, qi high) {
  char *s = p;
  LANES {
    int32x4_t v = vbslq_s32(vdupq_n_u32(0xffff), low.l[i], vshlq_n_s32(high.l[i], 16));
    vst1q_u8((uint8_t *)s + 16 * i, vreinterpretq_u8_s32(v));
  }
}
#undef LANES
