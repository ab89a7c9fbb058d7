// The vocabulary of the kernels for blocked weights, in AVX-512: four lanes of 16
// bytes, 4 int32 or 4 floats, each lane of a block of its own (body_blocks.h).

#define QUAD_T 4 // activation rows of a tile: 4*4 sums of 32 registers

typedef __m512i qb;
typedef __m512i qi;
typedef __m512 qf;

FN qb qb_load(const void *p) { return _mm512_loadu_si512(p); }
FN qb qb_four(const void *a, const void *b, const void *c, const void *d) {
  qb v = _mm512_castsi128_si512(_mm_loadu_si128(a));
  v = _mm512_inserti32x4(v, _mm_loadu_si128(b), 1);
  v = _mm512_inserti32x4(v, _mm_loadu_si128(c), 2);
  return _mm512_inserti32x4(v, _mm_loadu_si128(d), 3);
}
// Four times 32 bytes, `step` apart: the first 16 to p, the others to q.
FN void qb_split(const char *s, const int step, qb *p, qb *q) {
  __m512i a = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)s));
  __m512i b = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(s + 2 * step)));
  a = _mm512_inserti64x4(a, _mm256_loadu_si256((const __m256i *)(s + step)), 1);
  b = _mm512_inserti64x4(b, _mm256_loadu_si256((const __m256i *)(s + 3 * step)), 1);
  *p = _mm512_shuffle_i32x4(a, b, 0x88), *q = _mm512_shuffle_i32x4(a, b, 0xdd);
}
// Lanes a, b, c, d of the 64 bytes at p.
FN qb qb_pick(const void *p, const int a, const int b, const int c, const int d) {
  return _mm512_permutexvar_epi64(
      _mm512_setr_epi64(2 * a, 2 * a + 1, 2 * b, 2 * b + 1, 2 * c, 2 * c + 1, 2 * d, 2 * d + 1), qb_load(p));
}
FN qb qb_spread(const void *p) { return _mm512_broadcast_i32x4(_mm_loadu_si128(p)); }
// Shifts the lanes left by a, b, c, d, right if negative; bits that cross bytes
// are for the caller to mask.
FN qb qb_move(qb v, const int a, const int b, const int c, const int d) {
  return _mm512_rolv_epi64(v, _mm512_setr_epi64(a & 63, a & 63, b & 63, b & 63, c & 63, c & 63, d & 63, d & 63));
}
FN qb qb_and(qb v, const int mask) { return _mm512_and_si512(v, _mm512_set1_epi8((char)mask)); }
// a | b & mask
FN qb qb_join(qb a, qb b, const int mask) { return _mm512_ternarylogic_epi64(a, b, _mm512_set1_epi8((char)mask), 0xf8); }
// Lanes masked by a, b, c, d.
FN qb qb_mask(qb v, const int a, const int b, const int c, const int d) {
#define EIGHT(m) (long long)(0x0101010101010101u * (uint64_t)(m))
  return _mm512_and_si512(v, _mm512_setr_epi64(EIGHT(a), EIGHT(a), EIGHT(b), EIGHT(b), EIGHT(c), EIGHT(c), EIGHT(d), EIGHT(d)));
#undef EIGHT
}
FN qb qb_bits(uint64_t bits, const int value) { return _mm512_maskz_set1_epi8(bits, (char)value); }

FN qi qi_load(const void *p) { return _mm512_loadu_si512(p); }
FN qi qi_zero(void) { return _mm512_setzero_si512(); }
// acc + sums of 4 products of codes 0..63 (0..255 with CODES_TO_255) and int8.
FN qi qi_dot(qi acc, qb w, qb x) {
#ifdef LLO_VNNI
  return _mm512_dpbusd_epi32(acc, w, x);
#else
  return _mm512_add_epi32(acc, _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), _mm512_set1_epi16(1)));
#endif
}
// The same for int8 codes: with VNNI they count from -128; without, 16-bit sums
// would overflow, so the sign of the code goes to the activation.
#ifdef LLO_VNNI
#define INT8_FROM 128
#define CODES_TO_255 1 // what qi_dot takes
FN qb qb_int8(qb w) { return _mm512_xor_si512(w, _mm512_set1_epi8(-128)); }
FN qi qi_dot8(qi acc, qb w, qb x) { return _mm512_dpbusd_epi32(acc, w, x); }
#else
#define INT8_FROM 0
#define CODES_TO_255 0
FN qb qb_int8(qb w) { return w; }
FN qi qi_dot8(qi acc, qb w, qb x) {
  x = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
  return qi_dot(acc, _mm512_abs_epi8(w), x);
}
#endif
// a*low + b*high of pairs of int16.
FN qi qi_pairs(qi v, const int a, const int b) {
  return _mm512_madd_epi16(v, _mm512_set1_epi32((int)((uint32_t)b << 16 | (a & 0xffff))));
}

FN qf qf_load(const float *p) { return _mm512_loadu_ps(p); }
FN void qf_store(float *p, qf v) { _mm512_storeu_ps(p, v); }
FN qf qf_zero(void) { return _mm512_setzero_ps(); }
FN qf qf_all(float x) { return _mm512_set1_ps(x); }
FN qf qf_of(qi v) { return _mm512_cvtepi32_ps(v); }
FN qf qf_add(qf a, qf b) { return _mm512_add_ps(a, b); }
FN qf qf_mul(qf a, qf b) { return _mm512_mul_ps(a, b); }
FN qf qf_fma(qf a, qf b, qf c) { return _mm512_fmadd_ps(a, b, c); }
// Sums of the lanes of four: halves are added to each other until one is left, so
// that a sum does not depend on its neighbours.
FN void qf_sums(const qf v[4], float *out) {
#define HALVES(a, b) _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee))
  qf s = HALVES(v[0], v[1]), t = HALVES(v[2], v[3]);
#undef HALVES
  s = _mm512_add_ps(_mm512_shuffle_f32x4(s, t, 0x88), _mm512_shuffle_f32x4(s, t, 0xdd)); // a lane each
  s = _mm512_add_ps(s, _mm512_permute_ps(s, 0x4e));
  s = _mm512_add_ps(s, _mm512_permute_ps(s, 0xb1));
  const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_permutexvar_ps(first, s)));
}
FN qf qf_half(uint16_t h) { return _mm512_cvtph_ps(_mm256_set1_epi16((short)h)); }
// Four f16, each to its lane.
FN qf qf_halves(uint64_t four) {
  __m128 v = _mm_cvtph_ps(_mm_cvtsi64_si128((long long)four));
  return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3), _mm512_castps128_ps512(v));
}
// The four f16 that lie `step` bytes apart within the 64 at p, each to its lane.
#define QUAD_REACH 64
FN qf qf_reach(const void *p, const int step) {
#define WORD(i) ((i) * step / 2 * 0x00010001) /* the word's index, twice */
  const __m512i at = _mm512_setr_epi32(WORD(0), WORD(0), WORD(1), WORD(1), WORD(2), WORD(2), WORD(3), WORD(3), 0, 0, 0, 0, 0, 0, 0, 0);
#undef WORD
  return _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_permutexvar_epi16(at, qb_load(p))));
}
FN __m512i quad_bytes(uint64_t v, const uint32_t a, const uint32_t step) {
#define LANE(i) (int)(a + (i) * step)
  return _mm512_shuffle_epi8(_mm512_set1_epi64((long long)v),
                             _mm512_setr_epi32(LANE(0), LANE(0), LANE(0), LANE(0), LANE(1), LANE(1), LANE(1), LANE(1),
                                               LANE(2), LANE(2), LANE(2), LANE(2), LANE(3), LANE(3), LANE(3), LANE(3)));
#undef LANE
}
// Bytes first, first+step … of v, each to its lane.
FN qf qf_bytes(uint64_t v, const int first, const int step) {
  return qf_of(quad_bytes(v, 0x80808000u + (uint32_t)first, (uint32_t)step));
}
FN qf qf_int8s(uint64_t v, const int first, const int step) {
  return qf_of(_mm512_srai_epi32(quad_bytes(v, 0x00808080u + ((uint32_t)first << 24), (uint32_t)step << 24), 24));
}
// The 8 bytes, each to two elements in a row; 16, each to one.
FN qf qf_8bytes(uint64_t v) {
  __m128i b = _mm_cvtsi64_si128((long long)v);
  return qf_of(_mm512_cvtepu8_epi32(_mm_unpacklo_epi8(b, b)));
}
FN qf qf_16bytes(uint64_t a, uint64_t b) { return qf_of(_mm512_cvtepu8_epi32(_mm_set_epi64x((long long)b, (long long)a))); }
FN qf qf_four(float a, float b, float c, float d) { return _mm512_setr_ps(a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d); }
// The representation of the largest magnitude of both.
FN uint32_t qf_peak(qf a, qf b) {
  __m512i m = _mm512_set1_epi32(0x7fffffff);
  return _mm512_reduce_max_epu32(
      _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(a), m), _mm512_and_si512(_mm512_castps_si512(b), m)));
}
// Rounds to nearest even, |x| <= 127.5.
FN void qf_narrow(void *p, qf x) { _mm_storeu_si128(p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x))); }
// Low and high halves of the pairs that qi_pairs takes.
FN void qi_store_pairs(void *p, qi low, qi high) {
  _mm512_storeu_si512(p, _mm512_mask_mov_epi16(low, 0xaaaaaaaa, _mm512_slli_epi32(high, 16)));
}
