// Attention of prefill rows on the matrix unit: what body_attend.h computes, with
// the scaled queries, the keys, the weights and the values rounded to bf16, sums
// and the softmax in float32. A cache in F32 keeps the exact kernel, as weights in
// F32 do.
//
// Everything lies across: a tile of scores is [16 keys][16 queries], one of results
// [16 of the head][16 queries], and 16 rows of one head are a query tile. So the
// softmax runs down the lanes, without a maximum or a sum across them, and keys are
// tiles as they come. For all queries of the item a tile of LLO_KEYS keys is rounded
// once, its values are turned to [d][32 keys], and pairs of query tiles are taken
// one after the other, two by two tiles to a product.
//
// While a pair softens, the unit sums the values of the pair before and the scores
// of the pair behind, a step between any 16 keys: what it stores is loaded, and what
// vectors store it loads, a pair later.
//
// The maximum of a query moves only when it grows by more than AMX_LAZY, so that
// older sums are seldom scaled: weights may then be up to e^AMX_LAZY. The sum of
// weights is that of the rounded ones: their shares add up to 1, values that are
// alike come out as they are, and it costs one instruction of 21 a vector.
//
// A query is a lane of its own in every step, keys are taken in the order of
// positions in tiles counted from 0, and a key that it may not see has the weight 0:
// a result depends on nothing but the query, its position and its keys.
//
// The limit: a pair with 64 keys is 128 vectors of exponentials, some 10 cycles
// each, beside 32 tile products of 16 cycles with a head of 64, 64 with one of 128.
// Packing adds a twentieth with 512 queries to an item, which is why there are so
// many. Measured on Emerald Rapids (BenchmarkAttendPrefill, two threads, 10⁹ FLOP/s below
// the diagonal, beside AVX-512's kernel): groups of 8 heads of 64 with 512 rows 389 and
// 148, with 2048 rows 508 and 177; groups of 4 heads of 128 448 and 171, 808 and 222.
#include "body_cache.h"
#include "body_exp.h"

#include "body_amx_soften.h"

FN int64_t amx_even(int64_t n) { return (n + 1) / 2 * 2; }

LLO_TARGET static int64_t amx_attend_floats(int64_t rows, int64_t heads, int64_t dim) {
  int64_t wide = padded(dim, 32), tiles = amx_even((rows + 15) / 16 * heads);
  return tiles * 16 * (wide + wide / 2 + 2) + 3 * LLO_KEYS * wide / 2 + 3 * AMX_SCORES + 16;
}

FN amx_item amx_layout(const llo_attend *a, float *room) {
  amx_item t = {.a = a, .wide = padded(a->dim, 32), .per = (a->rows + 15) / 16};
  t.tiles = t.per * a->heads;
  int64_t tiles = amx_even(t.tiles), wide = t.wide;
  char *at = (char *)(((uintptr_t)room + 63) & ~(uintptr_t)63); // a tile row is a cache line
  t.sums = (float *)at, at += tiles * wide * 64;
  t.m = (float *)at, at += tiles * 64;
  t.l = (float *)at, at += tiles * 64;
  t.q = (uint16_t *)at, at += tiles * wide * 32;
  t.k = (uint16_t *)at, at += LLO_KEYS * wide * 2;
  t.v = (uint16_t *)at, at += LLO_KEYS * wide * 2;
  t.rows = (uint16_t *)at, at += LLO_KEYS * wide * 2;
  t.s = (float *)at, at += 2 * AMX_SCORES * 4;
  t.p = (uint16_t *)at;
  return t;
}

// The queries, scaled and packed as activations are, and the state before any key.
FN void amx_queries(const amx_item *t) {
  const llo_attend *a = t->a;
  for (int64_t i = 0; i < t->tiles; i++) {
    int64_t r = i % t->per * 16, rows = a->rows - r < 16 ? a->rows - r : 16;
    amx_pack(t->q + i * t->wide * 16, a->q + r * a->ldq + i / t->per * a->dim, a->ldq, a->dim, rows, a->scale);
    vstore(t->m + i * 16, vset1(-0x1.fffffep127f));
    vstore(t->l + i * 16, vzero());
  }
  memset(t->sums, 0, (size_t)(amx_even(t->tiles) * t->wide * 64));
}

// Positions [j, j+LLO_KEYS) of one side of the cache as rows of tiles. Those that
// no query sees are not read, for their page may belong to somebody else; they are
// zero, because 0 times NaN is NaN.
FN void amx_load(const amx_item *t, const char *base, uint16_t *tiles, int64_t j) {
  const llo_attend *a = t->a;
  const int64_t bytes = cache_bytes(a->kvtype, a->dim);
  int64_t from = a->lo > j ? a->lo - j : 0, to = a->hi - j < LLO_KEYS ? a->hi - j : LLO_KEYS;
  if (to - from < LLO_KEYS) memset(tiles, 0, (size_t)(LLO_KEYS * t->wide * 2));
  for (int64_t i = from, end; i < to; i = end) {
    int64_t left = a->page - (j + i) % a->page;
    const char *row = kv_row(a, base, j + i);
    for (end = to - i < left ? to : i + left; i < end; i++, row += bytes)
      amx_rows[a->kvtype](tiles + i / 16 * t->wide * 16 + i % 16 * 32, row, a->dim);
  }
}

// Values of LLO_KEYS keys, turned: rows of 32 keys become rows of the head. What
// unpacking two rows gives is pairs of keys, of the first or second four of each
// eight elements.
FN void amx_turn(const amx_item *t) {
  for (int64_t b = 0; b < LLO_KEYS / 32; b++)
    for (int64_t d = 0; d < t->wide; d += 32) {
      const uint16_t *rows = t->rows + 2 * b * t->wide * 16 + d * 16;
      for (int half = 0; half < 2; half++) {
        vf v[VL];
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++) {
          const uint16_t *row = rows + i / 8 * t->wide * 16 + i % 8 * 64;
          __m512i x = _mm512_loadu_si512(row), y = _mm512_loadu_si512(row + 32);
          v[i] = _mm512_castsi512_ps(half ? _mm512_unpackhi_epi16(x, y) : _mm512_unpacklo_epi16(x, y));
        }
        vtranspose(v);
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++) {
          int64_t e = d + i / 4 * 8 + half * 4 + i % 4;
          vstore((float *)(t->v + e / 16 * AMX_PAIR + b * AMX_TILE + e % 16 * 32), v[i]);
        }
      }
    }
}

// A pair of query tiles, the second of which may not be there, and the keys of the
// loaded tile that any of their rows sees, in multiples of 32.
typedef struct {
  int64_t i, from, to;
} amx_pair;
FN amx_pair amx_pair_of(const amx_item *t, int64_t i, int64_t j) {
  if (i >= t->tiles) return (amx_pair){0};
  amx_span a = amx_visible(t, i, j), b = i + 1 < t->tiles ? amx_visible(t, i + 1, j) : a;
  int64_t from = a.from < b.from ? a.from : b.from, to = a.to > b.to ? a.to : b.to;
  from = from < 0 ? 0 : from / 32 * 32, to = to > LLO_KEYS ? LLO_KEYS : (to + 31) / 32 * 32;
  return (amx_pair){i, from, to > from ? to : from};
}

// What the unit has to do while a pair softens: the values of the pair before, then
// the scores of the pair behind it. A product is two by two tiles, a step 32 of what
// it sums over; its results are stored at the next step, when they are there.
typedef struct {
  const amx_item *t;
  amx_pair values, scores;
  int64_t product, block, blocks;
  const uint16_t *w, *w2, *x, *x2;
  float *c;
} amx_work;

// The next product, if there is one.
FN int amx_begin(amx_work *u) {
  const amx_item *t = u->t;
  const amx_pair *v = &u->values, *s = &u->scores;
  const int64_t tile = t->wide * 16, n = v->to > v->from ? t->wide / 32 : 0, at = u->product++;
  if (at < n) {
    u->w = t->v + 2 * at * AMX_PAIR + v->from * 16, u->w2 = u->w + AMX_PAIR;
    u->x = amx_weights_of(t, v->i, v->from), u->x2 = u->x + AMX_PAIR;
    u->c = t->sums + v->i * tile + at * 1024, u->blocks = (v->to - v->from) / 32;
    TILE_LOAD(0, u->c); TILE_LOAD(1, u->c + 256); TILE_LOAD(2, u->c + 512); TILE_LOAD(3, u->c + 768);
    return 1;
  }
  int64_t c = s->from + (at - n) * 32;
  if (c >= s->to) return 0;
  u->w = t->k + c / 16 * tile, u->w2 = u->w + tile;
  u->x = t->q + s->i * tile, u->x2 = u->x + tile;
  u->c = amx_scores(t, s->i, c), u->blocks = t->wide / 32;
  TILE_ZERO(0); TILE_ZERO(1); TILE_ZERO(2); TILE_ZERO(3);
  return 1;
}

// One step; 0 when all is done.
LLO_TARGET static int amx_step(amx_work *u) {
  if (u->block == u->blocks) {
    if (u->blocks) {
      TILE_STORE(0, u->c); TILE_STORE(1, u->c + 256); TILE_STORE(2, u->c + 512); TILE_STORE(3, u->c + 768);
    }
    u->block = u->blocks = 0;
    if (!amx_begin(u)) return 0;
  }
  int64_t at = u->block++ * AMX_TILE;
  TILE_LOAD(4, u->w + at);
  TILE_LOAD(6, u->x + at);
  TILE_DOT(0, 4, 6);
  TILE_LOAD(7, u->x2 + at);
  TILE_DOT(1, 4, 7);
  TILE_LOAD(5, u->w2 + at);
  TILE_DOT(2, 5, 6);
  TILE_DOT(3, 5, 7);
  return 1;
}

// Query tile i of a pair, while the unit works.
FN void amx_soften_tile(const amx_item *t, int64_t i, int64_t j, const amx_pair *pair, amx_work *work) {
  amx_span see = amx_visible(t, i, j);
  int64_t from = see.from > pair->from ? see.from / 16 * 16 : pair->from, to = see.to < pair->to ? (see.to + 15) / 16 * 16 : pair->to;
  if (from > pair->from || to < pair->to) memset(amx_weights_of(t, i, pair->from), 0, (size_t)(pair->to - pair->from) * 32);
  if (from >= to) return;
  if (see.all_from > from || see.all_to < to) amx_mask(t, i, j, from, to);
  vf m = amx_maximum(t, i, from, to), l[2] = {vzero(), vzero()};
  for (int64_t c = from; c < to; c += 16) {
    for (int64_t n = 0; n < t->wide; n += 64) amx_step(work);
    amx_soften(t, i, c, m, l);
  }
  vstore(t->l + i * 16, vadd(vload(t->l + i * 16), vadd(l[0], l[1])));
}

// All queries against the loaded keys at j.
FN void amx_attend_keys(const amx_item *t, int64_t j) {
  amx_pair last = {0}, pair = amx_pair_of(t, 0, j);
  amx_work work = {.t = t, .scores = pair};
  while (amx_step(&work)) continue;
  for (int64_t i = 0; i < t->tiles; i += 2) {
    amx_pair next = amx_pair_of(t, i + 2, j);
    work = (amx_work){.t = t, .values = last, .scores = next};
    for (int64_t u = i; u < i + 2 && u < t->tiles; u++) amx_soften_tile(t, u, j, &pair, &work);
    while (amx_step(&work)) continue;
    last = pair, pair = next;
  }
  work = (amx_work){.t = t, .values = last};
  while (amx_step(&work)) continue;
}

// The state of every query, turned back.
FN void amx_leave(const amx_item *t, float *state) {
  const llo_attend *a = t->a;
  const int64_t step = 2 + a->dim;
  for (int64_t i = 0; i < t->tiles; i++) {
    int64_t r = i % t->per * 16, rows = a->rows - r < 16 ? a->rows - r : 16;
    float *out = state + (i / t->per * a->rows + r) * step;
    for (int64_t n = 0; n < rows; n++) out[n * step] = t->m[i * 16 + n], out[n * step + 1] = t->l[i * 16 + n];
    for (int64_t d = 0; d < a->dim; d += 16) {
      const float *sums = t->sums + i / 2 * t->wide * 32 + d * 32 + i % 2 * 256;
      vf v[VL];
#pragma GCC unroll 16
      for (int n = 0; n < VL; n++) v[n] = vload(sums + n * 16);
      vtranspose(v);
      for (int64_t n = 0; n < rows; n++)
        if (a->dim - d < 16) vstoren(out + n * step + 2 + d, v[n], a->dim - d);
        else vstore(out + n * step + 2 + d, v[n]);
    }
  }
}

LLO_TARGET static void amx_attend(const llo_attend *a, float *state, float *room) {
  amx_item t = amx_layout(a, room);
  amx_queries(&t);
  tiles_open();
  for (int64_t j = a->lo / LLO_KEYS * LLO_KEYS; j < a->hi; j += LLO_KEYS) {
    amx_load(&t, a->k, t.k, j);
    amx_load(&t, a->v, t.rows, j);
    amx_turn(&t);
    amx_attend_keys(&t, j);
  }
  tiles_close();
  amx_leave(&t, state);
}
