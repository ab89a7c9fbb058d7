// The softmax of prefill attention on the matrix unit (body_amx_attend.h): scores of
// 16 queries, a lane each, become weights in bf16, packed as the unit wants them.

#define AMX_LAZY 8.0f
#define AMX_SCORES (2 * LLO_KEYS * 16) // floats of a pair's scores: [key tile][2][16 keys][16 queries]
#define AMX_PAIR (2 * AMX_TILE)        // bf16 of two tiles

// Where an item has its numbers. `wide` is the head rounded up to 32.
typedef struct {
  const llo_attend *a;
  int64_t wide, per, tiles; // query tiles: of a head, of all heads
  uint16_t *q;              // [tile][wide/32] tiles
  uint16_t *k;              // [LLO_KEYS/16][wide/32] tiles
  uint16_t *v;              // [wide/16][LLO_KEYS/32] tiles
  uint16_t *rows;           // values before they are turned, as k
  uint16_t *p;              // weights of two pairs: [2][LLO_KEYS/32] tiles each
  float *s;                 // scores of two pairs
  float *sums;              // [pair][wide/16][2] tiles
  float *m, *l;             // [tile][16]
} amx_item;

// Which keys of the tile at j any row of query tile i sees, and which all see.
typedef struct {
  int64_t from, to, all_from, all_to;
} amx_span;
FN amx_span amx_visible(const amx_item *t, int64_t i, int64_t j) {
  const llo_attend *a = t->a;
  int64_t first = a->pos + i % t->per * 16 - j, end = a->pos + a->rows - j, w = a->window > 0 ? a->window : INT32_MAX;
  int64_t last = end < first + 16 ? end - 1 : first + 15;
  return (amx_span){.from = first - w + 1, .to = last + 1, .all_from = last - w + 1, .all_to = first + 1};
}

// Scores of key c, and behind them those of the keys up to the next multiple of 16;
// weights of key c, which is even, and of the next.
FN float *amx_scores(const amx_item *t, int64_t i, int64_t c) {
  return t->s + i / 2 % 2 * AMX_SCORES + c / 16 * 512 + i % 2 * 256 + c % 16 * 16;
}
FN uint16_t *amx_weights_of(const amx_item *t, int64_t i, int64_t c) { return t->p + i % 4 * AMX_PAIR + c * 16; }

// Scores of keys [from, to) that a query may not see become -inf. How far a key is
// behind a query is, counted without sign, less than the window.
FN void amx_mask(const amx_item *t, int64_t i, int64_t j, int64_t from, int64_t to) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i window = _mm512_set1_epi32(t->a->window > 0 ? (int)t->a->window : INT32_MAX);
  __m512i behind = _mm512_add_epi32(lanes, _mm512_set1_epi32((int)(t->a->pos + i % t->per * 16 - j - from)));
  for (int64_t c = from; c < to; c++, behind = _mm512_sub_epi32(behind, _mm512_set1_epi32(1)))
    _mm512_mask_storeu_ps(amx_scores(t, i, c), _mm512_cmpge_epu32_mask(behind, window), vset1(-__builtin_inff()));
}

// The maximum of each query, moved if it grew enough; then older sums follow.
FN vf amx_maximum(const amx_item *t, int64_t i, int64_t from, int64_t to) {
  vf m = vload(t->m + i * 16), top[4] = {m, m, m, m};
  for (int64_t c = from; c < to; c += 16) {
    const float *s = amx_scores(t, i, c);
#pragma GCC unroll 16
    for (int n = 0; n < 16; n++) top[n % 4] = vmax(vload(s + n * 16), top[n % 4]);
  }
  top[0] = vmax(vmax(top[0], top[1]), vmax(top[2], top[3]));
  __mmask16 grew = _mm512_cmp_ps_mask(top[0], vadd(m, vset1(AMX_LAZY)), _CMP_GT_OQ);
  if (!grew) return m;
  vf now = _mm512_mask_mov_ps(m, grew, top[0]), alpha = vexp(vsub(m, now));
  vstore(t->m + i * 16, now);
  vstore(t->l + i * 16, vmul(vload(t->l + i * 16), alpha));
  float *sums = t->sums + i / 2 * t->wide * 32 + i % 2 * 256;
  for (int64_t d = 0; d < t->wide; d += 16, sums += 512)
#pragma GCC unroll 16
    for (int n = 0; n < 16; n++) vstore(sums + n * 16, vmul(vload(sums + n * 16), alpha));
  return now;
}

// To bf16, to nearest and up where two are, as floats. Weights are not negative,
// and a NaN among them has no low bits, since it comes out of the unit.
FN __m512i amx_rounded(vf p) {
  return _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_set1_epi32(0x8000)), _mm512_set1_epi32((int)0xffff0000));
}

// 16 keys' scores of query tile i become weights; their sums are added to l.
FN void amx_soften(const amx_item *t, int64_t i, int64_t c, vf m, vf l[2]) {
  const float *s = amx_scores(t, i, c);
  uint16_t *p = amx_weights_of(t, i, c);
#pragma GCC unroll 8
  for (int n = 0; n < 16; n += 2, p += 32) {
    __m512i x = amx_rounded(vexp(vsub(vload(s + n * 16), m))), y = amx_rounded(vexp(vsub(vload(s + n * 16 + 16), m)));
    l[0] = vadd(l[0], _mm512_castsi512_ps(x)), l[1] = vadd(l[1], _mm512_castsi512_ps(y));
    _mm512_storeu_si512(p, _mm512_or_si512(_mm512_srli_epi32(x, 16), y));
  }
}
