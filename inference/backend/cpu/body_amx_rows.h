// Decode projections with blocked weights for several activation rows on the
// matrix unit: the arithmetic of body_rows.h, whose exact ints come from products
// of int8 tiles. A tile product costs the same for 1 to 16 activation rows, and a
// vector instruction scales one weight row for all of them.
//
// PANEL_ROWS weight rows, four neighbours of each stream, are opened to int8 codes
// [quad][row][128], a quad's in their natural order; a tile of weights is 16 rows by
// the elements that share a scale. A tile of activations is 16 of them, gathered once
// an op. Products of 16 by 16 go to memory, and each row of them is scaled and added
// to its chain: block b of a quad to chain b.
//
// Measured on Emerald Rapids, TSC cycles of 16 rows by 32 elements: the product with its
// loads 14, its store 14, scaling 24; all together 68, because what a tile stored is
// slow to load. (Twice to four times of that while the processor holds the unit back.)
//
// Codes count from zero, signed, or, of formats with minima, unsigned.
#include "body_blocks.h"

#include "body_quant.h"

#include "body_row_scales.h"

enum {
  PANEL_ROWS = 16,
  PANEL_QUADS = 64, // of a row at a time
  PANEL_BYTES = PANEL_ROWS * QUAD,
  GATHER = 16,             // activation rows
  GATHER_BLOCK = 512,      // 32 elements of them as [element/4][row][4]
  GATHER_PAIR = 8 * GATHER_BLOCK + 8 * 64 + 16 * 64, // 8 blocks, their d, sums of 16 groups
};

FN int64_t gathered_bytes(int64_t cols) { return (quads_of(cols) + 1) / 2 * GATHER_PAIR; }

// 16 numbers of each row at x to [number][row]; rows behind the last are zeros.
FN void gather_16(const char *x, int64_t ldx, int64_t rows, vf v[VL]) {
#pragma GCC unroll 16
  for (int t = 0; t < VL; t++) v[t] = t < rows ? vload((const float *)(x + t * ldx)) : vzero();
  vtranspose(v);
}

// Pair number `pair` of quads of up to GATHER packed rows.
LLO_TARGET static void amx_gather(char *dst, const char *x, int64_t ldx, int64_t cols, int64_t rows, int64_t pair) {
  vf v[VL];
  x += pair * 2 * QUAD_X, dst += pair * GATHER_PAIR;
  for (int h = 0; h < 2 && pair * 2 + h < quads_of(cols); h++) {
    const char *quad = x + h * QUAD_X;
    for (int half = 0; half < 2; half++) {
      gather_16(quad + 64 * half, ldx, rows, v);
#pragma GCC unroll 16
      for (int i = 0; i < VL; i++) vstore((float *)(dst + (4 * h + i / 4) * GATHER_BLOCK + half * 256 + i % 4 * 64), v[i]);
    }
    gather_16(quad + 128, ldx, rows, v);
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++) vstore((float *)(dst + 8 * GATHER_BLOCK + (4 * h + b) * 64), v[4 * b]);
  }
  gather_16(x + 256, ldx, rows, v);
#pragma GCC unroll 16
  for (int i = 0; i < VL; i++) vstore((float *)(dst + 8 * GATHER_BLOCK + 8 * 64 + i * 64), v[i]);
}

// The opened panel and what is computed of it.
typedef struct {
  int8_t codes[PANEL_QUADS * PANEL_BYTES];
  float scales[PANEL_QUADS][4][4][16]; // s, s2, m, m2 of the i-th neighbours, [4b+stream]
  float acc[4][PANEL_ROWS][GATHER];    // of chain b
  int32_t product[2][2][PANEL_ROWS][GATHER];
} amx_panel;

// The codes of a quad in their natural order. Row 4r+i of the panel is neighbour i
// in stream r.
FN void put_codes(const int type, int8_t *row, qb p, qb q) {
  const qb from = _mm512_set1_epi8((char)from_of(type));
  const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  if (!(kind_of(type) & MINS)) p = _mm512_sub_epi8(p, from), q = _mm512_sub_epi8(q, from);
  _mm512_storeu_si512(row, _mm512_permutex2var_epi64(p, low, q));
  _mm512_storeu_si512(row + 64, _mm512_permutex2var_epi64(p, high, q));
}

// Opens the units at w, of neighbours i of the streams, from a quad on.
FN void amx_units(const int type, amx_panel *p, const char *const w[STREAMS], int64_t quad, int i) {
  const int kind = kind_of(type);
  unit u[STREAMS];
#pragma GCC unroll 4
  for (int r = 0; r < STREAMS; r++) open_unit(type, w[r], &u[r]);
#pragma GCC unroll 2
  for (int h = 0; h < quads_in(kind); h++, quad++) {
    quad_scales s = scales_of(type, w, h);
    int8_t *row = p->codes + quad * PANEL_BYTES + i * QUAD;
#pragma GCC unroll 4
    for (int r = 0; r < STREAMS; r++) put_codes(type, row + 4 * r * QUAD, u[r].p[h], u[r].q[h]);
    vstore(p->scales[quad][0][i], s.s);
    if (kind & BY16) vstore(p->scales[quad][1][i], s.s2);
    if (kind & MINS) vstore(p->scales[quad][2][i], s.m);
    if (kind & MINS && kind & BY16) vstore(p->scales[quad][3][i], s.m2);
  }
}

// Opens k elements.
FN void amx_open(const int type, amx_panel *p, const char *w[STREAMS], int64_t k, int i) {
  const int64_t step = unit_elements(type);
  int64_t quad = 0;
  for (; k >= step; k -= step, quad += step / QUAD) {
#pragma GCC unroll 4
    for (int r = 0; r < STREAMS; r++) fetch_unit(type, w[r]);
    amx_units(type, p, (const char *const *)w, quad, i);
#pragma GCC unroll 4
    for (int r = 0; r < STREAMS; r++) w[r] += unit_bytes(type);
  }
  if (step == QUAD && k > 0) {
    last_unit last[STREAMS] = {last_of(type, w[0], k), last_of(type, w[1], k), last_of(type, w[2], k), last_of(type, w[3], k)};
    const char *const l[STREAMS] = {last[0].bytes, last[1].bytes, last[2].bytes, last[3].bytes};
    amx_units(type, p, l, quad, i);
  }
}

// The product of block b of a quad by number of tiles: those of even quads in 0,
// 2, 4 and 6, of odd ones in 1, 3, 5 and 7, so that one is computed while the
// other is used.
#define AMX_PRODUCT(KIND, C, D, A, B, P, CODES, X, B0)                                           \
  do {                                                                                           \
    const int8_t *amx_w = (CODES) + 32 * (B0);                                                   \
    TILE_ZERO(C);                                                                                \
    TILE_LOAD_BY(A, amx_w, QUAD);                                                                \
    TILE_LOAD(B, X);                                                                             \
    if ((KIND) & MINS) TILE_DOT_U8(C, A, B);                                                     \
    else TILE_DOT_I8(C, A, B);                                                                   \
    TILE_STORE(C, (P)[0]);                                                                       \
    if ((KIND) & BY16) {                                                                         \
      TILE_ZERO(D);                                                                              \
      TILE_LOAD_BY(A, amx_w + 16, QUAD);                                                         \
      TILE_LOAD(B, (X) + GATHER_BLOCK / 2);                                                      \
      if ((KIND) & MINS) TILE_DOT_U8(D, A, B);                                                   \
      else TILE_DOT_I8(D, A, B);                                                                 \
      TILE_STORE(D, (P)[1]);                                                                     \
    }                                                                                            \
  } while (0)

FN void amx_product(const int kind, amx_panel *p, const char *x, int64_t quad, int b) {
  const int8_t *codes = p->codes + quad % PANEL_QUADS * PANEL_BYTES;
  const char *tile = x + quad / 2 * GATHER_PAIR + (quad % 2 * 4 + b) * GATHER_BLOCK;
  if (quad & 1) AMX_PRODUCT(kind, 1, 3, 5, 7, p->product[1], codes, tile, b);
  else AMX_PRODUCT(kind, 0, 2, 4, 6, p->product[0], codes, tile, b);
}

FN vf amx_int(const int32_t *p) { return _mm512_cvtepi32_ps(_mm512_loadu_si512(p)); }

// Scales the product of block b of a quad and adds it to the chain's sums.
FN void amx_scale(const int kind, const amx_panel *p, const char *x, int64_t quad, const int b, vf acc[PANEL_ROWS]) {
  const float *d = (const float *)(x + quad / 2 * GATHER_PAIR + 8 * GATHER_BLOCK) + (quad % 2 * 4 + b) * 16;
  const float *sums = (const float *)(x + quad / 2 * GATHER_PAIR + 8 * GATHER_BLOCK + 8 * 64) + (8 * (quad % 2) + 2 * b) * 16;
  const float(*s)[4][16] = p->scales[quad % PANEL_QUADS];
  const vf dx = vload(d), first = kind & MINS ? vload(sums) : dx, second = kind & MINS ? vload(sums + 16) : dx, both = vadd(first, second);
#pragma GCC unroll 16
  for (int row = 0; row < PANEL_ROWS; row++) {
    const int i = row % 4, at = 4 * b + row / 4;
    vf t = vmul(amx_int(p->product[quad & 1][0][row]), vset1(s[0][i][at]));
    if (kind & BY16) t = vfma(amx_int(p->product[quad & 1][1][row]), vset1(s[1][i][at]), t);
    acc[row] = vfma(t, dx, acc[row]);
    if (kind & MINS && kind & BY16) acc[row] = vfma(vset1(s[3][i][at]), second, vfma(vset1(s[2][i][at]), first, acc[row]));
    else if (kind & MINS) acc[row] = vfma(vset1(s[2][i][at]), both, acc[row]);
  }
}

// What is fetched of the next panel while one is computed: `bytes` a quad of each
// of the four neighbours in the stream whose turn it is.
typedef struct {
  const char *w[STREAMS][4];
  int64_t bytes;
} amx_next;

FN void amx_fetch(const amx_next *next, int stream, int64_t quad) {
  for (int i = 0; i < 4; i++)
    for (int64_t line = 0; line < next->bytes; line += 64) __builtin_prefetch(next->w[stream][i] + quad * next->bytes + line, 0, 2);
}

// Adds the products of quads [from, to) of the panel to its sums.
FN void amx_chains(const int kind, amx_panel *p, const char *x, int64_t from, int64_t to, const amx_next *next) {
#pragma GCC unroll 4
  for (int b = 0; b < 4; b++) {
    vf acc[PANEL_ROWS];
#pragma GCC unroll 16
    for (int r = 0; r < PANEL_ROWS; r++) acc[r] = vload(p->acc[b][r]);
    amx_product(kind, p, x, from, b);
    for (int64_t quad = from; quad < to; quad++) {
      if (quad + 1 < to) amx_product(kind, p, x, quad + 1, b);
      amx_fetch(next, b, quad - from);
      amx_scale(kind, p, x, quad, b, acc);
    }
#pragma GCC unroll 16
    for (int r = 0; r < PANEL_ROWS; r++) vstore(p->acc[b][r], acc[r]);
  }
}

// One format: opens a panel's next quads, and multiplies them.
typedef struct {
  void (*open)(amx_panel *p, const char **w, int64_t k, int i);
  void (*chains)(amx_panel *p, const char *x, int64_t from, int64_t to, const amx_next *next);
  int bytes; // of codes that share a scale
} amx_format;

#define AMX_CHAINS(N, KIND)                                                                                              \
  LLO_TARGET static void chains_##N(amx_panel *p, const char *x, int64_t from, int64_t to, const amx_next *next) { \
    amx_chains(KIND, p, x, from, to, next);                                                                              \
  }
AMX_CHAINS(plain, 0) AMX_CHAINS(mins, MINS) AMX_CHAINS(by16, BY16) AMX_CHAINS(by16_mins, BY16 | MINS)
#define AMX_OPEN(TYPE) \
  LLO_TARGET static void amx_open_##TYPE(amx_panel *p, const char **w, int64_t k, int i) { amx_open(LLO_##TYPE, p, w, k, i); }
AMX_OPEN(Q4_0) AMX_OPEN(Q4_1) AMX_OPEN(Q5_0) AMX_OPEN(Q5_1) AMX_OPEN(Q8_0) AMX_OPEN(Q2_K) AMX_OPEN(Q3_K) AMX_OPEN(Q4_K) AMX_OPEN(Q5_K) AMX_OPEN(Q6_K)
static const amx_format amx_formats[LLO_TYPES] = {
    [LLO_Q4_0] = {amx_open_Q4_0, chains_plain, 32},     [LLO_Q4_1] = {amx_open_Q4_1, chains_mins, 32},
    [LLO_Q5_0] = {amx_open_Q5_0, chains_plain, 32},     [LLO_Q5_1] = {amx_open_Q5_1, chains_mins, 32},
    [LLO_Q8_0] = {amx_open_Q8_0, chains_plain, 32},     [LLO_Q2_K] = {amx_open_Q2_K, chains_by16_mins, 16},
    [LLO_Q3_K] = {amx_open_Q3_K, chains_by16, 16},      [LLO_Q4_K] = {amx_open_Q4_K, chains_mins, 32},
    [LLO_Q5_K] = {amx_open_Q5_K, chains_mins, 32},      [LLO_Q6_K] = {amx_open_Q6_K, chains_by16, 16},
};

// Stores the sums of neighbours row.. of the streams for activation rows [t0, t0+tn).
FN void amx_store_rows(const llo_gemv *g, const amx_panel *p, int64_t per, int64_t row, int64_t t0, int64_t tn) {
  vf v[VL];
#pragma GCC unroll 16
  for (int r = 0; r < VL; r++)
    v[r] = vadd(vadd(vload(p->acc[0][r]), vload(p->acc[2][r])), vadd(vload(p->acc[1][r]), vload(p->acc[3][r])));
  vtranspose(v);
  for (int64_t r = 0, at = row; r < STREAMS && at < g->rows; r++, at += per) {
    int64_t n = per - row < 4 ? per - row : 4;
    if (g->rows - at < n) n = g->rows - at;
    float bias[4] = {0};
    if (g->b) llo_avx512.widen(bias, g->b + at * (g->btype == LLO_F32 ? 4 : 2), g->btype, n);
    for (int64_t t = 0; t < tn; t++) {
      float sums[VL], *y = g->out + (t0 + t) * g->ldo + at;
      vstore(sums, v[t]);
      for (int64_t i = 0; i < n; i++) {
        float s = sums[4 * r + i];
        if (g->b) s += bias[i];
        y[i] = g->add ? y[i] + s : s;
      }
    }
  }
}

// The neighbours row.. of the streams against the gathered rows at x.
FN void amx_rows_panel(const llo_gemv *g, amx_panel *p, int64_t per, int64_t row, const char *x) {
  const amx_format *f = &amx_formats[g->wtype];
  const int64_t span = llo_row_bytes(g->wtype, PANEL_QUADS * QUAD);
  memset(p->acc, 0, sizeof p->acc);
  for (int64_t k = 0, from = 0; k < g->k; k += PANEL_QUADS * QUAD, from += span) {
    const int64_t kn = g->k - k < PANEL_QUADS * QUAD ? g->k - k : PANEL_QUADS * QUAD, quads = quads_of(kn), last = k + kn == g->k;
    amx_next next = {.bytes = llo_row_bytes(g->wtype, 256) / 2};
    const char *w[STREAMS];
    for (int i = 0; i < 4; i++) {
      const int64_t then = row + i + (last ? 4 : 0);
      stream_rows(g, per, then < per ? then : per - 1, w);
      for (int r = 0; r < STREAMS; r++) next.w[r][i] = w[r] + (last ? 0 : from + span);
      stream_rows(g, per, row + i < per ? row + i : per - 1, w);
      for (int r = 0; r < STREAMS; r++) w[r] += from;
      f->open(p, w, kn, i);
    }
    f->chains(p, x, k / QUAD, k / QUAD + quads, &next);
  }
}

_Static_assert(sizeof(amx_panel) <= AMX_BYTES, "the room of a work item");

LLO_TARGET static void amx_gemv(const llo_gemv *g, void *room) {
  const int64_t per = (g->rows + STREAMS - 1) / STREAMS;
  tiles_open_bytes(amx_formats[g->wtype].bytes);
  for (int64_t t0 = 0; t0 < g->m; t0 += GATHER)
    for (int64_t row = 0; row < per; row += 4) {
      amx_rows_panel(g, room, per, row, g->gathered + t0 / GATHER * gathered_bytes(g->k));
      amx_store_rows(g, room, per, row, t0, g->m - t0 < GATHER ? g->m - t0 : GATHER);
    }
  tiles_close();
}
