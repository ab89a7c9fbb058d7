// Decode projections with blocked weights: out[t][r] = sum_k w[r][k] x[t][k] for
// a few activation rows t, weights streamed once in their own layout.
//
// Activations are rounded to int8 once an op, symmetric, with a float32 scale
// d = max|x|/127 for each 32 elements in every format. (Files of K formats are
// usually multiplied with one scale for 256, which costs accuracy.) A block
// with a NaN or an infinity gets d = NaN; one whose d is no normal float counts
// as zeros. Products of codes are exact; a lane then adds its blocks in order:
//
//   acc = acc + (int * s) * d, with minima also + m * (d * sum of codes)
//
// in quads (body_blocks.h) from the first to the last of the row, and one
// horizontal sum ends it. Both kernels below do that arithmetic, so a result
// depends on nothing but its weight row and its activation row.
//
// Packed activations of 128 elements, 256 bytes: 64 codes of the elements 0..15 of
// four blocks, 64 of 16..31, 16 floats d, 16 pairs of int16: the sums of the four
// codes that make one lane's int32, of the first and of the second 64.

enum { QUAD = 128, QUAD_X = 256 };

FN int64_t quads_of(int64_t cols) { return (cols + QUAD - 1) / QUAD; }

// Rounds the 32 elements at x: 16 codes to p, 16 to q, the scale to d.
FN void pack_block(const float *x, int8_t *p, int8_t *q, float *d) {
  qf a = qf_load(x), b = qf_load(x + 16);
  uint32_t bits = qf_peak(a, b);
  float peak, scale, back;
  memcpy(&peak, &bits, 4);
  scale = peak / 127, back = 127 / peak;
  if (bits >= 0x7f800000) scale = __builtin_nanf(""), back = 0;
  else if (!(scale >= 0x1p-126f)) scale = back = 0;
  if (back == 0) memset(p, 0, 16), memset(q, 0, 16);
  else qf_narrow(p, qf_mul(a, qf_all(back))), qf_narrow(q, qf_mul(b, qf_all(back)));
  for (int i = 0; i < 4; i++) d[i] = scale;
}

// Elements behind the last are zeros with a scale of zero.
FN void pack_quads(char *dst, const float *x, int64_t cols) {
  for (int64_t k = 0; k < cols; k += QUAD, dst += QUAD_X) {
    const int64_t blocks = cols - k < QUAD ? (cols - k) / 32 : 4;
    int8_t *code = (int8_t *)dst;
    if (blocks < 4) memset(dst, 0, QUAD_X);
    for (int64_t i = 0; i < blocks; i++)
      pack_block(x + k + 32 * i, code + 16 * i, code + 64 + 16 * i, (float *)(dst + 128) + 4 * i);
    int8_t ones[64];
    memset(ones, 1, 64);
    qb one = qb_load(ones);
    qi_store_pairs(dst + 192, qi_dot(qi_zero(), one, qb_load(dst)), qi_dot(qi_zero(), one, qb_load(dst + 64)));
  }
}

// A quad of activations with what its products begin with.
typedef struct {
  qb p, q;
  qf d, s, s2; // s: d times the sum of codes; with BY16 s of p and s2 of q
  qi zero, zero2; // minus `from` for each code
} quad_x;

FN quad_x load_x(const int kind, const int from, const char *x) {
  quad_x v = {.p = qb_load(x), .q = qb_load(x + 64), .d = qf_load((const float *)(x + 128))};
  qi sums = qi_load(x + 192);
  if (kind & BY16) v.zero = qi_pairs(sums, -from, 0), v.zero2 = qi_pairs(sums, 0, -from);
  else v.zero = qi_pairs(sums, -from, -from);
  if (kind & MINS) {
    v.zero = v.zero2 = qi_zero();
    v.s = qf_mul(qf_of(qi_pairs(sums, 1, !(kind & BY16))), v.d);
    if (kind & BY16) v.s2 = qf_mul(qf_of(qi_pairs(sums, 0, 1)), v.d);
  }
  return v;
}

FN qf quad_add(const int kind, qf acc, const quad *w, const quad_x *x) {
  qf t;
  if (kind & BY16) {
    t = qf_mul(qf_of(qi_dot(x->zero, w->p, x->p)), w->s);
    t = qf_fma(qf_of(qi_dot(x->zero2, w->q, x->q)), w->s2, t);
  } else if (kind & INT8) {
    t = qf_mul(qf_of(qi_dot8(qi_dot8(x->zero, w->p, x->p), w->q, x->q)), w->s);
  } else {
    t = qf_mul(qf_of(qi_dot(qi_dot(x->zero, w->p, x->p), w->q, x->q)), w->s);
  }
  acc = qf_fma(t, x->d, acc);
  if (kind & MINS) acc = qf_fma(w->m, x->s, acc);
  if ((kind & MINS) && (kind & BY16)) acc = qf_fma(w->m2, x->s2, acc);
  return acc;
}

// Bytes that a stream of weights is fetched ahead of its use.
#define QUAD_AHEAD 4096

// One weight row against one activation row.
FN float row_sum(const int type, const char *w, const char *x, int64_t k) {
  const int kind = kind_of(type), n = unit_quads(type);
  const int64_t bytes = unit_bytes(type);
  qf acc = qf_zero();
  quad u[2];
  for (; k >= n * QUAD; k -= n * QUAD, w += bytes) {
    for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(w + QUAD_AHEAD + line);
    open_unit(type, w, u);
#pragma GCC unroll 2
    for (int i = 0; i < n; i++, x += QUAD_X) {
      quad_x v = load_x(kind, from_of(type), x);
      acc = quad_add(kind, acc, &u[i], &v);
    }
  }
  if (n == 1 && k > 0) { // blocks of 32 that are no whole quad
    char rest[4 * 34] = {0};
    memcpy(rest, w, (size_t)(bytes / 4 * (k / 32)));
    open_unit(type, rest, u);
    quad_x v = load_x(kind, from_of(type), x);
    acc = quad_add(kind, acc, u, &v);
  }
  return qf_sum(acc);
}

// Several activation rows: QUAD_R weight rows are opened once, PANEL quads at a
// time, to a panel in the first cache, [quad][row] of entries, and tiles of
// activation rows pass over it. Sums wait in memory between panels.
enum { QUAD_R = 4, PANEL = 16, QUAD_M = 32 };

FN int64_t entry_bytes(const int kind) { return 64 * (3 + (kind & BY16 ? 1 : 0) + (kind & MINS ? 1 : 0) + (kind == (BY16 | MINS) ? 1 : 0)); }

FN void put_entry(const int kind, char *e, const quad *u) {
  memcpy(e, &u->p, 64), memcpy(e + 64, &u->q, 64), memcpy(e + 128, &u->s, 64);
  e += 192;
  if (kind & BY16) memcpy(e, &u->s2, 64), e += 64;
  if (kind & MINS) memcpy(e, &u->m, 64), e += 64;
  if (kind == (BY16 | MINS)) memcpy(e, &u->m2, 64);
}

FN quad get_entry(const int kind, const char *e) {
  quad u = {.p = qb_load(e), .q = qb_load(e + 64), .s = qf_load((const float *)(e + 128))};
  e += 192;
  if (kind & BY16) u.s2 = qf_load((const float *)e), e += 64;
  if (kind & MINS) u.m = qf_load((const float *)e), e += 64;
  if (kind == (BY16 | MINS)) u.m2 = qf_load((const float *)e);
  return u;
}

// Opens k elements of one row to its entries.
FN void open_row(const int type, const char *w, int64_t k, char *e) {
  const int kind = kind_of(type), n = unit_quads(type);
  const int64_t bytes = unit_bytes(type), next = QUAD_R * entry_bytes(kind);
  quad u[2];
  for (; k >= n * QUAD; k -= n * QUAD, w += bytes) {
    open_unit(type, w, u);
#pragma GCC unroll 2
    for (int i = 0; i < n; i++, e += next) put_entry(kind, e, &u[i]);
  }
  if (n == 1 && k > 0) {
    char rest[4 * 34] = {0};
    memcpy(rest, w, (size_t)(bytes / 4 * (k / 32)));
    open_unit(type, rest, u);
    put_entry(kind, e, u);
  }
}

// What a tile fetches for the next panel while it computes: from each row `bytes`
// a quad.
typedef struct {
  const char *w[QUAD_R];
  int64_t bytes;
} quad_next;

// sums[t][r] += panel row r times activation row t.
FN void quad_tile(const int kind, const int T, const char *panel, int64_t quads, int from, const char *x, int64_t ldx, quad_next next, float *sums) {
  qf acc[QUAD_R][QUAD_T];
#pragma GCC unroll 4
  for (int t = 0; t < T; t++)
#pragma GCC unroll 4
    for (int r = 0; r < QUAD_R; r++) acc[r][t] = qf_load(sums + (t * QUAD_R + r) * 16);
  for (int64_t i = 0; i < quads; i++, x += QUAD_X, panel += QUAD_R * entry_bytes(kind)) {
    for (int64_t b = 0; b < next.bytes; b += 64)
      for (int r = 0; r < QUAD_R; r++) __builtin_prefetch(next.w[r] + i * next.bytes + b);
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) {
      quad_x v = load_x(kind, from, x + t * ldx);
#pragma GCC unroll 4
      for (int r = 0; r < QUAD_R; r++) {
        quad w = get_entry(kind, panel + r * entry_bytes(kind));
        acc[r][t] = quad_add(kind, acc[r][t], &w, &v);
      }
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < T; t++)
#pragma GCC unroll 4
    for (int r = 0; r < QUAD_R; r++) qf_store(sums + (t * QUAD_R + r) * 16, acc[r][t]);
}

typedef void quad_tile_fn(const char *panel, int64_t quads, int from, const char *x, int64_t ldx, quad_next next, float *sums);
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
QUAD_TILES(quad_by16, BY16)
QUAD_TILES(quad_by16_mins, BY16 | MINS)

// What there is for each format.
typedef struct {
  float (*sum)(const char *w, const char *x, int64_t k);
  void (*open)(const char *w, int64_t k, char *entries);
  quad_tile_fn *const *tile;
  int from;
} quad_kernel;

#define QUAD_KERNEL(N, TYPE)                                                                                 \
  LLO_TARGET static float sum_##N(const char *w, const char *x, int64_t k) { return row_sum(TYPE, w, x, k); } \
  LLO_TARGET static void open_##N##_row(const char *w, int64_t k, char *e) { open_row(TYPE, w, k, e); }
QUAD_KERNEL(q4_0, LLO_Q4_0) QUAD_KERNEL(q4_1, LLO_Q4_1) QUAD_KERNEL(q5_0, LLO_Q5_0) QUAD_KERNEL(q5_1, LLO_Q5_1)
QUAD_KERNEL(q8_0, LLO_Q8_0) QUAD_KERNEL(q2_k, LLO_Q2_K) QUAD_KERNEL(q3_k, LLO_Q3_K) QUAD_KERNEL(q4_k, LLO_Q4_K)
QUAD_KERNEL(q5_k, LLO_Q5_K) QUAD_KERNEL(q6_k, LLO_Q6_K)

#define QUAD_ENTRY(N, TILE, FROM) {sum_##N, open_##N##_row, TILE, FROM}
static const quad_kernel quads[LLO_TYPES] = {
    [LLO_Q4_0] = QUAD_ENTRY(q4_0, quad_plain, 8),      [LLO_Q4_1] = QUAD_ENTRY(q4_1, quad_mins, 0),
    [LLO_Q5_0] = QUAD_ENTRY(q5_0, quad_plain, 16),     [LLO_Q5_1] = QUAD_ENTRY(q5_1, quad_mins, 0),
    [LLO_Q8_0] = QUAD_ENTRY(q8_0, quad_int8, INT8_FROM), [LLO_Q2_K] = QUAD_ENTRY(q2_k, quad_by16_mins, 0),
    [LLO_Q3_K] = QUAD_ENTRY(q3_k, quad_by16, 4),       [LLO_Q4_K] = QUAD_ENTRY(q4_k, quad_mins, 0),
    [LLO_Q5_K] = QUAD_ENTRY(q5_k, quad_mins, 0),       [LLO_Q6_K] = QUAD_ENTRY(q6_k, quad_by16, 32),
};

// QUAD_R weight rows, of which the last may be the same, against m <= QUAD_M
// activation rows.
FN void panel_sums(const llo_gemv *g, const char *const w[QUAD_R], const char *x, int64_t m, float *sums) {
  _Alignas(64) char panel[PANEL * QUAD_R * 6 * 64];
  const quad_kernel *q = &quads[g->wtype];
  const int64_t entry = entry_bytes(kind_of(g->wtype)), span = llo_row_bytes(g->wtype, PANEL * QUAD), passes = (m + QUAD_T - 1) / QUAD_T;
  memset(sums, 0, (size_t)(m * QUAD_R * 64));
  for (int64_t k = 0; k < g->k; k += PANEL * QUAD) {
    const int64_t n = g->k - k < PANEL * QUAD ? g->k - k : PANEL * QUAD, from = k / QUAD / PANEL * span;
    // At the end of the rows the next panel is that of the next rows.
    const int64_t later = k + n < g->k ? from + span : QUAD_R * g->rowbytes;
    for (int r = 0; r < QUAD_R; r++) q->open(w[r] + from, n, panel + r * entry);
    for (int64_t t = 0, pass = 0; t < m; pass++) {
      const int64_t left = passes - pass, T = (m - t + left - 1) / left; // tiles of nearly equal size
      quad_next next = {.bytes = span / (PANEL * passes)};
      for (int r = 0; r < QUAD_R; r++) next.w[r] = w[r] + later + pass * PANEL * next.bytes;
      q->tile[T - 1](panel, quads_of(n), q->from, x + t * g->ldx + k / QUAD * QUAD_X, g->ldx, next, sums + t * QUAD_R * 16);
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
      for (int64_t i = 0; i < m * QUAD_R; i++) out[i] = qf_sum(qf_load(sums + i * 16));
      gemv_store(g, row, R, t, m, out);
    }
  }
}

LLO_TARGET static void gemv_blocks(const llo_gemv *g) {
  if (g->m > 1) {
    gemv_panels(g);
    return;
  }
  for (int64_t row = 0; row < g->rows; row++) {
    float sum[GR * GT] = {quads[g->wtype].sum(g->w + row * g->rowbytes, g->x, g->k)};
    gemv_store(g, row, 1, 0, 1, sum);
  }
}
_Static_assert(QUAD_R == GR, "sums are stored for GR rows at a time");

LLO_TARGET static void k_gemv(const llo_gemv *g) {
  if (g->wtype > LLO_BF16) gemv_blocks(g);
  else gemv_plain(g);
}
