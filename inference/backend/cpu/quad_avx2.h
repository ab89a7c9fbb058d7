// The vocabulary of the kernels for blocked weights, in AVX2: four lanes of 16
// bytes, 4 int32 or 4 floats, each lane of a block of its own (body_blocks.h).

#define QUAD_T 1 // activation rows of a tile: 4*1 sums of two registers each

typedef struct { __m256i a, b; } qb;
typedef struct { __m256i a, b; } qi;
typedef struct { __m256 a, b; } qf;

FN __m256i quad_load(const void *p) { return _mm256_loadu_si256(p); }
FN __m256i quad_two(const void *a, const void *b) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(a)), _mm_loadu_si128(b), 1);
}
FN qb qb_load(const void *p) { return (qb){quad_load(p), quad_load((const char *)p + 32)}; }
FN qb qb_four(const void *a, const void *b, const void *c, const void *d) { return (qb){quad_two(a, b), quad_two(c, d)}; }
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
FN qb qb_spread(const void *p) {
  __m256i v = _mm256_broadcastsi128_si256(_mm_loadu_si128(p));
  return (qb){v, v};
}
FN __m256i quad_move(__m256i v, const int a, const int b) {
  __m256i left = _mm256_sllv_epi64(v, _mm256_setr_epi64x(a < 0 ? 64 : a, a < 0 ? 64 : a, b < 0 ? 64 : b, b < 0 ? 64 : b));
  __m256i right = _mm256_srlv_epi64(v, _mm256_setr_epi64x(a < 0 ? -a : 64, a < 0 ? -a : 64, b < 0 ? -b : 64, b < 0 ? -b : 64));
  if (a == 0 && b == 0) return v;
  if (a >= 0 && b >= 0) return left;
  if (a < 0 && b < 0) return right;
  return _mm256_or_si256(left, right);
}
// Shifts the lanes left by a, b, c, d, right if negative; bits that cross bytes
// are for the caller to mask.
FN qb qb_move(qb v, const int a, const int b, const int c, const int d) { return (qb){quad_move(v.a, a, b), quad_move(v.b, c, d)}; }
FN qb qb_and(qb v, const int mask) {
  __m256i m = _mm256_set1_epi8((char)mask);
  return (qb){_mm256_and_si256(v.a, m), _mm256_and_si256(v.b, m)};
}
// a | b & mask
FN qb qb_join(qb a, qb b, const int mask) {
  b = qb_and(b, mask);
  return (qb){_mm256_or_si256(a.a, b.a), _mm256_or_si256(a.b, b.b)};
}
// Lanes masked by a, b, c, d.
FN qb qb_mask(qb v, const int a, const int b, const int c, const int d) {
#define TWO_LANES(x, y) _mm256_setr_m128i(_mm_set1_epi8((char)(x)), _mm_set1_epi8((char)(y)))
  return (qb){_mm256_and_si256(v.a, TWO_LANES(a, b)), _mm256_and_si256(v.b, TWO_LANES(c, d))};
#undef TWO_LANES
}
FN __m256i quad_bits(uint32_t bits, const int value) {
  const long long z = 0, one = 0x0101010101010101, each = (long long)0x8040201008040201;
  __m256i v = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), _mm256_setr_epi64x(z, one, 2 * one, 3 * one));
  __m256i m = _mm256_set1_epi64x(each);
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(v, m), m), _mm256_set1_epi8((char)value));
}
FN qb qb_bits(uint64_t bits, const int value) { return (qb){quad_bits((uint32_t)bits, value), quad_bits((uint32_t)(bits >> 32), value)}; }

FN qi qi_load(const void *p) { return (qi){quad_load(p), quad_load((const char *)p + 32)}; }
FN qi qi_zero(void) { return (qi){_mm256_setzero_si256(), _mm256_setzero_si256()}; }
FN __m256i quad_dot(__m256i acc, __m256i w, __m256i x) {
#if LLO_VNNI == 1
  return _mm256_dpbusd_avx_epi32(acc, w, x);
#elif LLO_VNNI == 2
  return _mm256_dpbusd_epi32(acc, w, x);
#else
  return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)));
#endif
}
// acc + sums of 4 products of codes 0..63 (0..255 with CODES_TO_255) and int8.
FN qi qi_dot(qi acc, qb w, qb x) { return (qi){quad_dot(acc.a, w.a, x.a), quad_dot(acc.b, w.b, x.b)}; }
// The same for int8 codes: with VNNI they count from -128; without, 16-bit sums
// would overflow, so the sign of the code goes to the activation.
#ifdef LLO_VNNI
#define INT8_FROM 128
#define CODES_TO_255 1 // what qi_dot takes
FN qb qb_int8(qb w) {
  __m256i top = _mm256_set1_epi8(-128);
  return (qb){_mm256_xor_si256(w.a, top), _mm256_xor_si256(w.b, top)};
}
FN qi qi_dot8(qi acc, qb w, qb x) { return qi_dot(acc, w, x); }
#else
#define INT8_FROM 0
#define CODES_TO_255 0
FN qb qb_int8(qb w) { return w; }
FN qi qi_dot8(qi acc, qb w, qb x) {
  qb size = {_mm256_abs_epi8(w.a), _mm256_abs_epi8(w.b)};
  return qi_dot(acc, size, (qb){_mm256_sign_epi8(x.a, w.a), _mm256_sign_epi8(x.b, w.b)});
}
#endif
// a*low + b*high of pairs of int16.
FN qi qi_pairs(qi v, const int a, const int b) {
  __m256i f = _mm256_set1_epi32((int)((uint32_t)b << 16 | (a & 0xffff)));
  return (qi){_mm256_madd_epi16(v.a, f), _mm256_madd_epi16(v.b, f)};
}

FN qf qf_load(const float *p) { return (qf){vload(p), vload(p + 8)}; }
FN void qf_store(float *p, qf v) { vstore(p, v.a), vstore(p + 8, v.b); }
FN qf qf_zero(void) { return (qf){vzero(), vzero()}; }
FN qf qf_all(float x) { return (qf){vset1(x), vset1(x)}; }
FN qf qf_of(qi v) { return (qf){_mm256_cvtepi32_ps(v.a), _mm256_cvtepi32_ps(v.b)}; }
FN qf qf_add(qf a, qf b) { return (qf){vadd(a.a, b.a), vadd(a.b, b.b)}; }
FN qf qf_mul(qf a, qf b) { return (qf){vmul(a.a, b.a), vmul(a.b, b.b)}; }
FN qf qf_fma(qf a, qf b, qf c) { return (qf){vfma(a.a, b.a, c.a), vfma(a.b, b.b, c.b)}; }
FN float qf_sum(qf v) { return vsum(vadd(v.a, v.b)); }
FN void qf_sums(const qf v[4], float *out) {
  for (int i = 0; i < 4; i++) out[i] = qf_sum(v[i]);
}
FN qf qf_half(uint16_t h) {
  __m256 v = _mm256_cvtph_ps(_mm_set1_epi16((short)h));
  return (qf){v, v};
}
// Four f16, each to its lane.
FN qf qf_halves(uint64_t four) {
  __m256 v = _mm256_castps128_ps256(_mm_cvtph_ps(_mm_cvtsi64_si128((long long)four)));
  return (qf){_mm256_permutevar8x32_ps(v, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1)),
              _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3))};
}
FN qi quad_bytes(uint64_t v, const uint32_t a, const uint32_t step) {
#define LANE(i) (int)(a + (i) * step)
#define HALF(i) _mm256_setr_epi32(LANE(i), LANE(i), LANE(i), LANE(i), LANE(i + 1), LANE(i + 1), LANE(i + 1), LANE(i + 1))
  __m256i s = _mm256_set1_epi64x((long long)v);
  return (qi){_mm256_shuffle_epi8(s, HALF(0)), _mm256_shuffle_epi8(s, HALF(2))};
#undef HALF
#undef LANE
}
// Bytes first, first+step … of v, each to its lane.
FN qf qf_bytes(uint64_t v, const int first, const int step) {
  return qf_of(quad_bytes(v, 0x80808000u + (uint32_t)first, (uint32_t)step));
}
FN qf qf_int8s(uint64_t v, const int first, const int step) {
  qi s = quad_bytes(v, 0x00808080u + ((uint32_t)first << 24), (uint32_t)step << 24);
  return qf_of((qi){_mm256_srai_epi32(s.a, 24), _mm256_srai_epi32(s.b, 24)});
}
// The 8 bytes, each to two elements in a row; 16, each to one.
FN qf qf_16bytes(uint64_t a, uint64_t b) {
  return qf_of((qi){_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)a)), _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)b))});
}
FN qf qf_8bytes(uint64_t v) {
  __m128i b = _mm_cvtsi64_si128((long long)v);
  b = _mm_unpacklo_epi8(b, b);
  return qf_of((qi){_mm256_cvtepu8_epi32(b), _mm256_cvtepu8_epi32(_mm_srli_si128(b, 8))});
}
FN qf qf_four(float a, float b, float c, float d) {
  return (qf){_mm256_setr_ps(a, a, a, a, b, b, b, b), _mm256_setr_ps(c, c, c, c, d, d, d, d)};
}
// The representation of the largest magnitude of both.
FN uint32_t qf_peak(qf a, qf b) {
  __m256i m = _mm256_set1_epi32(0x7fffffff);
#define SIZE(v) _mm256_and_si256(_mm256_castps_si256(v), m)
  __m256i t = _mm256_max_epu32(_mm256_max_epu32(SIZE(a.a), SIZE(a.b)), _mm256_max_epu32(SIZE(b.a), SIZE(b.b)));
#undef SIZE
  __m128i s = _mm_max_epu32(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1));
  s = _mm_max_epu32(s, _mm_shuffle_epi32(s, 0x4e));
  return (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(s, _mm_shuffle_epi32(s, 0xb1)));
}
// Rounds to nearest even, |x| <= 127.5.
FN void qf_narrow(void *p, qf x) {
  __m256i h = _mm256_packs_epi32(_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)); // 0-3 8-11 | 4-7 12-15
  __m128i s = _mm_packs_epi16(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
  _mm_storeu_si128(p, _mm_shuffle_epi32(s, 0xd8));
}
// Low and high halves of the pairs that qi_pairs takes.
FN void qi_store_pairs(void *p, qi low, qi high) {
  _mm256_storeu_si256(p, _mm256_blend_epi16(low.a, _mm256_slli_epi32(high.a, 16), 0xaa));
  _mm256_storeu_si256((__m256i *)p + 1, _mm256_blend_epi16(low.b, _mm256_slli_epi32(high.b, 16), 0xaa));
}
