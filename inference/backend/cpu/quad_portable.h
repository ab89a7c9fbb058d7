// The vocabulary of the kernels for blocked weights, in portable C: four lanes of
// 16 bytes, 4 int32 or 4 floats, each lane of a block of its own (body_blocks.h).

#define QUAD_T 1 // activation rows of a tile

typedef uint8_t quad_u8 __attribute__((vector_size(16)));
typedef uint16_t quad_u16 __attribute__((vector_size(16)));
typedef int16_t quad_i16 __attribute__((vector_size(16)));
typedef int32_t quad_i32 __attribute__((vector_size(16)));
typedef uint64_t quad_u64 __attribute__((vector_size(16)));

typedef struct { quad_u8 l[4]; } qb;
typedef struct { quad_i32 l[4]; } qi;
typedef struct { vf l[4]; } qf;

#define LANES for (int i = 0; i < 4; i++)

FN qb qb_four(const void *a, const void *b, const void *c, const void *d) {
  qb v;
  memcpy(&v.l[0], a, 16), memcpy(&v.l[1], b, 16), memcpy(&v.l[2], c, 16), memcpy(&v.l[3], d, 16);
  return v;
}
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
FN quad_u8 quad_move(quad_u8 v, const int by) { return by < 0 ? (quad_u8)((quad_u64)v >> -by) : (quad_u8)((quad_u64)v << by); }
// Shifts the lanes left by a, b, c, d, right if negative; bits that cross bytes
// are for the caller to mask.
FN qb qb_move(qb v, const int a, const int b, const int c, const int d) {
  return (qb){{quad_move(v.l[0], a), quad_move(v.l[1], b), quad_move(v.l[2], c), quad_move(v.l[3], d)}};
}
FN qb qb_and(qb v, const int mask) {
  LANES v.l[i] &= (uint8_t)mask;
  return v;
}
// a | b & mask
FN qb qb_join(qb a, qb b, const int mask) {
  LANES a.l[i] |= b.l[i] & (uint8_t)mask;
  return a;
}
// Lanes masked by a, b, c, d.
FN qb qb_mask(qb v, const int a, const int b, const int c, const int d) {
  v.l[0] &= (uint8_t)a, v.l[1] &= (uint8_t)b, v.l[2] &= (uint8_t)c, v.l[3] &= (uint8_t)d;
  return v;
}
// Eight bits to eight bytes of 0 or 1: a byte of the product has its own bit
// only, which carries into bit 7 if it is there.
FN uint64_t quad_byte(uint64_t bits) {
  uint64_t v = (bits & 255) * 0x0101010101010101u & 0x8040201008040201u;
  return (v + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
}
FN qb qb_bits(uint64_t bits, const int value) {
  qb v;
  LANES {
    uint64_t two[2] = {quad_byte(bits >> 16 * i) * (uint64_t)value, quad_byte(bits >> (16 * i + 8)) * (uint64_t)value};
    memcpy(&v.l[i], two, 16);
  }
  return v;
}

FN qi qi_load(const void *p) {
  qi v;
  memcpy(&v, p, 64);
  return v;
}
FN qi qi_zero(void) { return (qi){{{0}}}; }
FN quad_i32 quad_low(quad_i32 v) { return (quad_i32)((vu)v << 16) >> 16; } // of pairs of int16
FN quad_i32 quad_sum(quad_i16 we, quad_i16 wo, quad_u8 x) {
  quad_i16 s = we * ((quad_i16)((quad_u16)x << 8) >> 8) + wo * ((quad_i16)x >> 8);
  return quad_low((quad_i32)s) + ((quad_i32)s >> 16);
}
// acc + sums of 4 products of codes 0..63 (0..255 with CODES_TO_255) and int8.
FN qi qi_dot(qi acc, qb w, qb x) {
  LANES acc.l[i] += quad_sum((quad_i16)((quad_u16)w.l[i] & 255), (quad_i16)((quad_u16)w.l[i] >> 8), x.l[i]);
  return acc;
}
// The same for int8 codes.
#define INT8_FROM 0
#define CODES_TO_255 0
FN qb qb_int8(qb w) { return w; }
FN qi qi_dot8(qi acc, qb w, qb x) {
  LANES acc.l[i] += quad_sum((quad_i16)((quad_u16)w.l[i] << 8) >> 8, (quad_i16)w.l[i] >> 8, x.l[i]);
  return acc;
}
// a*low + b*high of pairs of int16.
FN qi qi_pairs(qi v, const int a, const int b) {
  LANES v.l[i] = quad_low(v.l[i]) * a + (v.l[i] >> 16) * b;
  return v;
}

FN qf qf_load(const float *p) {
  qf v;
  memcpy(&v, p, 64);
  return v;
}
FN void qf_store(float *p, qf v) { memcpy(p, &v, 64); }
FN qf qf_zero(void) { return (qf){{{0}}}; }
FN qf qf_all(float x) { return (qf){{vset1(x), vset1(x), vset1(x), vset1(x)}}; }
FN qf qf_of(qi v) {
  qf r;
  LANES r.l[i] = __builtin_convertvector(v.l[i], vf);
  return r;
}
FN qf qf_add(qf a, qf b) {
  LANES a.l[i] += b.l[i];
  return a;
}
FN qf qf_mul(qf a, qf b) {
  LANES a.l[i] *= b.l[i];
  return a;
}
FN qf qf_fma(qf a, qf b, qf c) {
  LANES c.l[i] = a.l[i] * b.l[i] + c.l[i];
  return c;
}
FN float qf_sum(qf v) { return vsum((v.l[0] + v.l[2]) + (v.l[1] + v.l[3])); }
FN void qf_sums(const qf v[4], float *out) {
  for (int i = 0; i < 4; i++) out[i] = qf_sum(v[i]);
}
FN qf qf_half(uint16_t h) {
  uint16_t four[4] = {h, h, h, h};
  vf v = widen_f16(four);
  return (qf){{v, v, v, v}};
}
// Four f16, each to its lane.
FN qf qf_halves(uint64_t four) {
  vf v = widen_f16(&four);
  return (qf){{vset1(v[0]), vset1(v[1]), vset1(v[2]), vset1(v[3])}};
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
  float r[16];
  for (int i = 0; i < 8; i++) r[i] = (float)(a >> 8 * i & 255), r[8 + i] = (float)(b >> 8 * i & 255);
  return qf_load(r);
}
FN qf qf_8bytes(uint64_t v) {
  float r[16];
  for (int i = 0; i < 16; i++) r[i] = (float)(v >> 8 * (i / 2) & 255);
  return qf_load(r);
}
FN qf qf_four(float a, float b, float c, float d) { return (qf){{vset1(a), vset1(b), vset1(c), vset1(d)}}; }
// The representation of the largest magnitude of both.
FN uint32_t qf_peak(qf a, qf b) {
  uint32_t bits[32], most = 0;
  memcpy(bits, &a, 64), memcpy(bits + 16, &b, 64);
  for (int i = 0; i < 32; i++) {
    uint32_t m = bits[i] & 0x7fffffff;
    most = m > most ? m : most;
  }
  return most;
}
// Rounds to nearest even, |x| <= 127.5: behind 1.5*2^23 a float has no fraction.
FN void qf_narrow(void *p, qf x) {
  int8_t out[16];
  float v[16];
  qf_store(v, x);
  for (int i = 0; i < 16; i++) out[i] = (int8_t)(float_bits(v[i] + 0x1.8p23f) - float_bits(0x1.8p23f));
  memcpy(p, out, 16);
}
// Low and high halves of the pairs that qi_pairs takes.
FN void qi_store_pairs(void *p, qi low, qi high) {
  LANES low.l[i] = (quad_i32)(((vu)low.l[i] & 0xffff) | (vu)high.l[i] << 16);
  memcpy(p, &low, 64);
}
#undef LANES
