// Decode projections with blocked weights: out[t][r] = sum_k w[r][k] x[t][k] for
// a few activation rows t, weights streamed once in their own layout. A lane adds
// its blocks in order, from the first quad of the row to the last:
//
//   acc = acc + (int * s) * d, and behind each unit with minima + m * (d * sum of codes)
//
// and one horizontal sum ends it. One activation row and several do that
// arithmetic, so a result depends on nothing but its weight row and its activation row.
//
// With several, QUAD_R weight rows are opened once, PANEL quads at a time, to a panel
// in the first cache, [unit][row] of entries, and tiles of activation rows pass over it.
// Sums wait in memory between panels.

enum { QUAD_R = 4, PANEL = 16, QUAD_M = 32 };

// d times the sums of codes that the minima of a unit are multiplied with.
FN qf load_sums(const int kind, const char *x) {
  if (kind & TWO) return qf_load((const float *)(x + 256));
  return qf_mul(qf_of(qi_pairs(qi_load(x + 192), 1, 1)), qf_load((const float *)(x + 128)));
}

FN qf quad_add(const int kind, qf acc, qb p, qb q, qf s, qf s2, const quad_x *x) {
  qf t;
  if (kind & BY16) {
    t = qf_mul(qf_of(qi_dot(x->zero, p, x->p)), s);
    t = qf_fma(qf_of(qi_dot(x->zero2, q, x->q)), s2, t);
  } else if (kind & INT8) {
    t = qf_mul(qf_of(qi_dot8(qi_dot8(x->zero, p, x->p), q, x->q)), s);
  } else {
    t = qf_mul(qf_of(qi_dot(qi_dot(x->zero, p, x->p), q, x->q)), s);
  }
  return qf_fma(t, x->d, acc);
}

FN qf unit_add(const int kind, const int from, qf acc, const unit *u, const char *x) {
#pragma GCC unroll 2
  for (int i = 0; i < quads_in(kind); i++) {
    quad_x v = load_x(kind, from, x + i * QUAD_X);
    acc = quad_add(kind, acc, u->p[i], u->q[i], u->s[i], u->s2[i], &v);
  }
  return kind & MINS ? qf_fma(u->m, load_sums(kind, x), acc) : acc;
}

// One activation row.
FN void row_sums(const int type, const char *const rows[STREAMS], const char *x, int64_t k, float *out) {
  const int kind = kind_of(type);
  const char *w[STREAMS] = {rows[0], rows[1], rows[2], rows[3]};
  qf acc[STREAMS] = {qf_zero(), qf_zero(), qf_zero(), qf_zero()};
  for (int64_t step; k > 0; k -= step, x += quads_in(kind) * QUAD_X)
#pragma GCC unroll 4
    for (int r = 0; r < STREAMS; r++) {
      unit u;
      fetch_unit(type, w[r]);
      step = next_unit(type, &w[r], k, &u);
      acc[r] = unit_add(kind, from_of(type), acc[r], &u, x);
    }
  qf_sums(acc, out);
}

FN int64_t entry_bytes(const int kind) {
  return 64 * (quads_in(kind) * (kind & BY16 ? 4 : 3) + (kind & MINS ? 1 : 0));
}

FN void put_entry(const int kind, char *e, const unit *u) {
  for (int i = 0; i < quads_in(kind); i++, e += 192) {
    memcpy(e, &u->p[i], 64), memcpy(e + 64, &u->q[i], 64), memcpy(e + 128, &u->s[i], 64);
    if (kind & BY16) memcpy(e + 192, &u->s2[i], 64), e += 64;
  }
  if (kind & MINS) memcpy(e, &u->m, 64);
}

// Opens k elements of one row to its entries.
FN void open_row(const int type, const char *w, int64_t k, char *e) {
  const int kind = kind_of(type);
  unit u;
  for (; k > 0; e += QUAD_R * entry_bytes(kind)) {
    k -= next_unit(type, &w, k, &u);
    put_entry(kind, e, &u);
  }
}

// What the tiles of a panel fetch of the next one while they compute: its rows
// one after the other, because the hardware follows one stream a page, `bytes`
// of them a unit. `at` is how far into them the tile begins.
typedef struct {
  const char *w[QUAD_R];
  int64_t span, bytes, at; // bytes of a row in a panel
} quad_next;

// sums[t][r] += panel row r times activation row t.
FN void quad_tile(const int kind, const int T, const char *panel, int64_t units, int from, const char *x, int64_t ldx, quad_next next, float *sums) {
  const int64_t entry = entry_bytes(kind), each = kind & BY16 ? 256 : 192;
  int64_t row = next.at / next.span, left = next.span - next.at % next.span;
  const char *ahead = next.w[row] + next.at % next.span;
  qf acc[QUAD_R][QUAD_T];
#pragma GCC unroll 4
  for (int t = 0; t < T; t++)
#pragma GCC unroll 4
    for (int r = 0; r < QUAD_R; r++) acc[r][t] = qf_load(sums + (t * QUAD_R + r) * 16);
  for (int64_t i = 0; i < units; i++, x += quads_in(kind) * QUAD_X, panel += QUAD_R * entry) {
    for (int64_t b = 0; b < next.bytes; b += 64) __builtin_prefetch(ahead + b, 0, 2);
    ahead += next.bytes, left -= next.bytes;
    if (left <= 0 && row < QUAD_R - 1) ahead = next.w[++row] - left, left += next.span;
    const char *e = panel, *xq = x;
#pragma GCC unroll 1
    for (int n = 0; n < quads_in(kind); n++, e += each, xq += QUAD_X)
#pragma GCC unroll 4
      for (int t = 0; t < T; t++) {
        quad_x v = load_x(kind, from, xq + t * ldx);
#pragma GCC unroll 4
        for (int r = 0; r < QUAD_R; r++) {
          const char *w = e + r * entry;
          qf s = qf_load((const float *)(w + 128)), s2 = kind & BY16 ? qf_load((const float *)(w + 192)) : s;
          acc[r][t] = quad_add(kind, acc[r][t], qb_load(w), qb_load(w + 64), s, s2, &v);
        }
      }
    if (kind & MINS)
#pragma GCC unroll 4
      for (int t = 0; t < T; t++) {
        qf v = load_sums(kind, x + t * ldx);
#pragma GCC unroll 4
        for (int r = 0; r < QUAD_R; r++) acc[r][t] = qf_fma(qf_load((const float *)(e + r * entry)), v, acc[r][t]);
      }
  }
#pragma GCC unroll 4
  for (int t = 0; t < T; t++)
#pragma GCC unroll 4
    for (int r = 0; r < QUAD_R; r++) qf_store(sums + (t * QUAD_R + r) * 16, acc[r][t]);
}

typedef void quad_tile_fn(const char *panel, int64_t units, int from, const char *x, int64_t ldx, quad_next next, float *sums);
#define QUAD_TILE(NAME, KIND, T)                                                                                                     \
  LLO_TARGET static void NAME##T(const char *p, int64_t n, int from, const char *x, int64_t ldx, quad_next next, float *sums) { \
    quad_tile(KIND, T, p, n, from, x, ldx, next, sums);                                                                               \
  }
#if QUAD_T == 4
#define QUAD_TILES(NAME, KIND) \
  QUAD_TILE(NAME, KIND, 1) QUAD_TILE(NAME, KIND, 2) QUAD_TILE(NAME, KIND, 3) QUAD_TILE(NAME, KIND, 4) \
  static quad_tile_fn *const NAME[QUAD_T] = {NAME##1, NAME##2, NAME##3, NAME##4};
#elif QUAD_T == 2
#define QUAD_TILES(NAME, KIND) \
  QUAD_TILE(NAME, KIND, 1) QUAD_TILE(NAME, KIND, 2) \
  static quad_tile_fn *const NAME[QUAD_T] = {NAME##1, NAME##2};
#else
#define QUAD_TILES(NAME, KIND) \
  QUAD_TILE(NAME, KIND, 1) \
  static quad_tile_fn *const NAME[QUAD_T] = {NAME##1};
#endif
QUAD_TILES(quad_plain, 0)
QUAD_TILES(quad_int8, INT8)
QUAD_TILES(quad_mins, MINS)
QUAD_TILES(quad_two_mins, TWO | MINS)
QUAD_TILES(quad_two_by16, TWO | BY16)
QUAD_TILES(quad_two_by16_mins, TWO | BY16 | MINS)

// What there is for each format.
typedef struct {
  void (*sums)(const char *const *w, const char *x, int64_t k, float *out);
  void (*open)(const char *w, int64_t k, char *entries);
  quad_tile_fn *const *tile;
  int from;
} quad_kernel;

#define QUAD_KERNEL(N, TYPE)                                                                                                             \
  LLO_TARGET static void sums_##N(const char *const *w, const char *x, int64_t k, float *out) { row_sums(TYPE, w, x, k, out); } \
  LLO_TARGET static void open_##N##_row(const char *w, int64_t k, char *e) { open_row(TYPE, w, k, e); }
QUAD_KERNEL(q4_0, LLO_Q4_0) QUAD_KERNEL(q4_1, LLO_Q4_1) QUAD_KERNEL(q5_0, LLO_Q5_0) QUAD_KERNEL(q5_1, LLO_Q5_1)
QUAD_KERNEL(q8_0, LLO_Q8_0) QUAD_KERNEL(q2_k, LLO_Q2_K) QUAD_KERNEL(q3_k, LLO_Q3_K) QUAD_KERNEL(q4_k, LLO_Q4_K)
QUAD_KERNEL(q5_k, LLO_Q5_K) QUAD_KERNEL(q6_k, LLO_Q6_K)

#define QUAD_ENTRY(N, TILE, FROM) {sums_##N, open_##N##_row, TILE, FROM}
static const quad_kernel quads[LLO_TYPES] = {
    [LLO_Q4_0] = QUAD_ENTRY(q4_0, quad_plain, 8),      [LLO_Q4_1] = QUAD_ENTRY(q4_1, quad_mins, 0),
    [LLO_Q5_0] = QUAD_ENTRY(q5_0, quad_plain, 16),     [LLO_Q5_1] = QUAD_ENTRY(q5_1, quad_mins, 0),
    [LLO_Q8_0] = QUAD_ENTRY(q8_0, quad_int8, INT8_FROM), [LLO_Q2_K] = QUAD_ENTRY(q2_k, quad_two_by16_mins, 0),
    [LLO_Q3_K] = QUAD_ENTRY(q3_k, quad_two_by16, 4),       [LLO_Q4_K] = QUAD_ENTRY(q4_k, quad_two_mins, 0),
    [LLO_Q5_K] = QUAD_ENTRY(q5_k, quad_two_mins, 0),       [LLO_Q6_K] = QUAD_ENTRY(q6_k, quad_two_by16, 32),
};

// QUAD_R weight rows, of which the last may be the same, against m <= QUAD_M
// activation rows.
FN void panel_sums(const llo_gemv *g, const char *const w[QUAD_R], const char *x, int64_t m, float *sums) {
  _Alignas(64) char panel[PANEL * QUAD_R * 5 * 64];
  const quad_kernel *q = &quads[g->wtype];
  const int kind = kind_of(g->wtype), n = quads_in(kind);
  const int64_t entry = entry_bytes(kind), span = llo_row_bytes(g->wtype, PANEL * QUAD), passes = (m + QUAD_T - 1) / QUAD_T;
  memset(sums, 0, (size_t)(m * QUAD_R * 64));
  for (int64_t k = 0; k < g->k; k += PANEL * QUAD) {
    const int64_t kn = g->k - k < PANEL * QUAD ? g->k - k : PANEL * QUAD, from = k / QUAD / PANEL * span;
    // At the end of the rows the next panel is that of the next rows.
    const int64_t later = k + kn < g->k ? from + span : QUAD_R * g->rowbytes;
    for (int r = 0; r < QUAD_R; r++) q->open(w[r] + from, kn, panel + r * entry);
    for (int64_t t = 0, pass = 0; t < m; pass++) {
      const int64_t left = passes - pass, T = (m - t + left - 1) / left; // tiles of nearly equal size
      quad_next next = {.span = span, .bytes = QUAD_R * n * span / (PANEL * passes), .at = QUAD_R * span * pass / passes};
      for (int r = 0; r < QUAD_R; r++) next.w[r] = w[r] + later;
      q->tile[T - 1](panel, quads_of(kn) / n, q->from, x + t * g->ldx + k / QUAD * QUAD_X, g->ldx, next, sums + t * QUAD_R * 16);
      t += T;
    }
  }
}

LLO_TARGET static void gemv_panels(const llo_gemv *g) {
  _Alignas(64) float sums[QUAD_M * QUAD_R * 16];
  for (int64_t row = 0; row < g->rows; row += QUAD_R) {
    const int64_t R = g->rows - row < QUAD_R ? g->rows - row : QUAD_R;
    const char *w[QUAD_R];
    for (int64_t r = 0; r < QUAD_R; r++) w[r] = g->w + (row + (r < R ? r : R - 1)) * g->rowbytes;
    for (int64_t t = 0; t < g->m; t += QUAD_M) {
      const int64_t m = g->m - t < QUAD_M ? g->m - t : QUAD_M;
      float out[QUAD_M * GR];
      panel_sums(g, w, g->x + t * g->ldx, m, sums);
      for (int64_t i = 0; i < m; i++) {
        const float *s = sums + i * QUAD_R * 16;
        qf v[QUAD_R] = {qf_load(s), qf_load(s + 16), qf_load(s + 32), qf_load(s + 48)};
        qf_sums(v, out + i * GR);
      }
      gemv_store(g, row, R, 1, t, m, out);
    }
  }
}

// Rows of streams that ended earlier are computed with the last and not stored.
FN void gemv_streams(const llo_gemv *g) {
  const int64_t per = (g->rows + STREAMS - 1) / STREAMS;
  for (int64_t row = 0; row < per; row++) {
    const char *w[STREAMS];
    float sums[STREAMS];
    stream_rows(g, per, row, w);
    quads[g->wtype].sums(w, g->x, g->k, sums);
    for (int64_t r = 0, at = row; r < STREAMS && at < g->rows; r++, at += per) gemv_store(g, at, 1, 1, 0, 1, sums + r);
  }
}

FN void gemv_blocks(const llo_gemv *g, void *room) {
  (void)room;
  if (g->m > 1) gemv_panels(g);
  else gemv_streams(g);
}
_Static_assert(QUAD_R == GR, "sums are stored for GR rows at a time");
