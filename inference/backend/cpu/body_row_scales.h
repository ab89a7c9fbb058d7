// Scales and minima of four weight rows in one vector, that of block b of a quad and
// row r in lane 4b+r. For vectors of 64 bytes; much less work than row by row.

// What a quad of four rows is multiplied with: scales and minima of the blocks, or
// of the first and the second 16 of each.
typedef struct {
  qf s, s2, m, m2;
} quad_scales;

// d of each row.
FN qf row_halves(const char *const w[STREAMS], const int at) {
  uint64_t four = 0;
#pragma GCC unroll 4
  for (int r = 0; r < STREAMS; r++) four |= (uint64_t)load16(w[r] + at) << 16 * r;
  return _mm512_broadcast_f32x4(_mm_cvtph_ps(_mm_cvtsi64_si128((long long)four)));
}

// The f16 at `at` of each block.
FN qf block_halves(const char *const w[STREAMS], const int block, const int at) {
  if (3 * block + 2 <= QUAD_REACH) {
    const short at1 = (short)(block / 2), at2 = (short)(2 * at1), at3 = (short)(3 * at1);
    const __m256i of = _mm256_setr_epi16(0, 0, 0, 0, at1, at1, at1, at1, at2, at2, at2, at2, at3, at3, at3, at3);
    const __m512i at16 = _mm512_castsi256_si512(of);
    __m512i v = _mm512_permutexvar_epi16(at16, qb_load(w[0] + at));
    v = _mm512_mask_permutexvar_epi16(v, 0x2222, at16, qb_load(w[1] + at));
    v = _mm512_mask_permutexvar_epi16(v, 0x4444, at16, qb_load(w[2] + at));
    v = _mm512_mask_permutexvar_epi16(v, 0x8888, at16, qb_load(w[3] + at));
    return _mm512_cvtph_ps(_mm512_castsi512_si256(v));
  }
  const __m256i four = _mm256_set_epi64x((long long)load16s(w[3] + at, block), (long long)load16s(w[2] + at, block),
                                         (long long)load16s(w[1] + at, block), (long long)load16s(w[0] + at, block));
  return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), _mm512_cvtph_ps(four));
}

// 8 bytes of each row: byte g of all rows side by side, g < 4 in low.
typedef struct {
  __m128i low, high;
} row_bytes;

FN row_bytes bytes_of(const uint64_t v[STREAMS]) {
  __m128i a = _mm_unpacklo_epi8(_mm_cvtsi64_si128((long long)v[0]), _mm_cvtsi64_si128((long long)v[1]));
  __m128i b = _mm_unpacklo_epi8(_mm_cvtsi64_si128((long long)v[2]), _mm_cvtsi64_si128((long long)v[3]));
  return (row_bytes){_mm_unpacklo_epi16(a, b), _mm_unpackhi_epi16(a, b)};
}
// Bytes first, first+2 … of the 8.
FN __m128i every_other(row_bytes v, const int first) {
  __m128 a = _mm_castsi128_ps(v.low), b = _mm_castsi128_ps(v.high);
  return _mm_castps_si128(first ? _mm_shuffle_ps(a, b, 0xdd) : _mm_shuffle_ps(a, b, 0x88));
}
FN qf of_uint8(__m128i v) { return qf_of(_mm512_cvtepu8_epi32(v)); }
FN qf of_int8(__m128i v) { return qf_of(_mm512_cvtepi8_epi32(v)); }

FN void k45_quad(const int fifth, const char *const w[STREAMS], const int h, quad_scales *q) {
  uint64_t scales[STREAMS], minima[STREAMS];
  qf d = row_halves(w, 0);
#pragma GCC unroll 4
  for (int r = 0; r < STREAMS; r++) k45_scales(w[r], &scales[r], &minima[r]);
  row_bytes s = bytes_of(scales), m = bytes_of(minima);
  if (!k45_shift(fifth)) d = qf_mul(d, qf_four(1, 1.0f / 16, 1, 1.0f / 16));
  q->s = qf_mul(of_uint8(h ? s.high : s.low), d);
  q->m = qf_mul(of_uint8(h ? m.high : m.low), qf_mul(row_halves(w, 2), qf_all(-1)));
}

FN void q6_k_quad(const char *const w[STREAMS], const int h, quad_scales *q) {
  const uint64_t scales[STREAMS] = {load64(w[0] + 192 + 8 * h), load64(w[1] + 192 + 8 * h), load64(w[2] + 192 + 8 * h),
                                    load64(w[3] + 192 + 8 * h)};
  const row_bytes s = bytes_of(scales);
  const qf d = row_halves(w, 208);
  q->s = qf_mul(of_int8(every_other(s, 0)), d), q->s2 = qf_mul(of_int8(every_other(s, 1)), d);
}

FN void q3_k_quad(const char *const w[STREAMS], const int h, quad_scales *q) {
  const uint64_t scales[STREAMS] = {q3_k_scales(w[0], h), q3_k_scales(w[1], h), q3_k_scales(w[2], h), q3_k_scales(w[3], h)};
  const row_bytes s = bytes_of(scales);
  const qf d = row_halves(w, 108), zero = qf_all(-32);
  q->s = qf_mul(qf_add(of_uint8(every_other(s, 0)), zero), d), q->s2 = qf_mul(qf_add(of_uint8(every_other(s, 1)), zero), d);
}

FN void q2_k_quad(const char *const w[STREAMS], const int h, quad_scales *q) {
  const uint64_t four = 0x0f0f0f0f0f0f0f0f;
  uint64_t scales[STREAMS], minima[STREAMS];
#pragma GCC unroll 4
  for (int r = 0; r < STREAMS; r++) {
    const uint64_t v = load64(w[r] + 8 * h);
    scales[r] = v & four, minima[r] = v >> 4 & four;
  }
  const row_bytes s = bytes_of(scales), m = bytes_of(minima);
  const qf d = row_halves(w, 80), dmin = qf_mul(row_halves(w, 82), qf_all(-1));
  q->s = qf_mul(of_uint8(every_other(s, 0)), d), q->s2 = qf_mul(of_uint8(every_other(s, 1)), d);
  q->m = qf_mul(of_uint8(every_other(m, 0)), dmin), q->m2 = qf_mul(of_uint8(every_other(m, 1)), dmin);
}

// Those of quad h of the units at w.
FN quad_scales scales_of(const int type, const char *const w[STREAMS], const int h) {
  quad_scales q = {qf_zero(), qf_zero(), qf_zero(), qf_zero()};
  switch (type) {
    case LLO_Q4_0: q.s = block_halves(w, 18, 0); break;
    case LLO_Q4_1: q.s = block_halves(w, 20, 0), q.m = block_halves(w, 20, 2); break;
    case LLO_Q5_0: q.s = block_halves(w, 22, 0); break;
    case LLO_Q5_1: q.s = block_halves(w, 24, 0), q.m = block_halves(w, 24, 2); break;
    case LLO_Q8_0: q.s = block_halves(w, 34, 0); break;
    case LLO_Q2_K: q2_k_quad(w, h, &q); break;
    case LLO_Q3_K: q3_k_quad(w, h, &q); break;
    case LLO_Q4_K: k45_quad(0, w, h, &q); break;
    case LLO_Q5_K: k45_quad(1, w, h, &q); break;
    case LLO_Q6_K: q6_k_quad(w, h, &q); break;
  }
  return q;
}
