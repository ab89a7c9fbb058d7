// Attention of one decode row: the heads of one group against keys [lo, hi),
// with the online softmax in tiles of LLO_KEYS keys counted from position 0.
//
// K and V stream through once, in their own format, each row against all heads
// of the group. Dot products run along the dimension; VL of them, of some keys
// with all heads, are then added up across lanes together. Scores and weights
// of a tile lie as [key][heads rounded up to 1, 2, 4, 8], so that one vector of
// them serves whole keys. While a tile's keys pass its values are fetched, and
// the next tile's keys while its values pass.
//
// A dot product is one chain in the order of the dimension and one tree, a sum
// of values one chain in the order of the keys: a row's result depends on
// nothing but its query, its keys and the size of its group.
//
// The limit: a key of dim D against H heads is H D/8 vector FMAs of 16 lanes for
// its dot products and its value together, and 2 D/16 conversions of f16 in two
// instructions each, 2.8 H for the sums across lanes, about H for the
// exponential; two of these run in a cycle. With f16, H = 8 and D = 64 that is 55
// cycles for 256 bytes, as long as memory takes for them; with 4 heads half.
//
// Measured with BenchmarkAttend on a 2-core Ice Lake VM, two threads, context 1024,
// AVX-512, as shares of the raw read of the same minute: f16 with 1 head of 128
// 0.73, 4 heads of 128 0.66, 7 heads of 64 0.42, 8 heads of 64 0.48; q8_0, whose
// rows have half the bytes, 0.60 with 1 head and 0.42 with 4 heads of 128.

#define ROW_HEADS (VL < LLO_HEADS ? VL : LLO_HEADS) // most heads of one pass
#define ROW_KEYS 4                                  // keys whose dot products run side by side

FN int lanes_of(int heads) { return heads <= 1 ? 1 : heads <= 2 ? 2 : heads <= 4 ? 4 : 8; }
// Vectors of a value row that are summed side by side: with the heads they fill
// about half of the registers.
FN int value_vectors(int heads) { return VL == 16 ? (heads <= 4 ? 4 : 2) : heads <= 2 ? 4 : heads <= 4 ? 2 : 1; }

// VL elements from element i of a cache row; i is a multiple of VL.
FN vf cached(const int type, const char *row, int64_t i) {
  return type == LLO_Q8_0 ? widen_levels(row, i) : widen(type, row + i * type_bytes(type));
}

// stretch is keys or values that lie one after another, and what to fetch
// meanwhile: as many bytes from there.
typedef struct {
  const char *rows, *fetch;
  int64_t rowbytes, n, wide; // wide is a multiple of VL
} stretch;

FN void fetch_lines(const char *p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i);
}

// out[key][lanes] = q[h] . key. Writes whole vectors, beyond the last key too.
FN void dots(const int type, const int H, const stretch *s, const float *q, float *out) {
  const int L = lanes_of(H), K = VL / L, some = K < ROW_KEYS ? K : ROW_KEYS;
  const int step = type == LLO_Q8_0 ? 32 : VL; // a block at a time, for its scale
  const int64_t bytes = cache_bytes(type, step);
  for (int64_t i = 0; i < s->n; i += K) {
    vf acc[VL];
#pragma GCC unroll 16
    for (int j = 0; j < VL; j++) acc[j] = vzero();
#pragma GCC unroll 4
    for (int k = 0; k < K; k += some) {
      const char *row[ROW_KEYS];
#pragma GCC unroll 4
      for (int j = 0; j < some; j++) row[j] = s->rows + (i + k + j < s->n ? i + k + j : s->n - 1) * s->rowbytes;
      for (int64_t d = 0, at = 0; d < s->wide; d += step, at += bytes)
#pragma GCC unroll 8
        for (int e = 0; e < step; e += VL)
#pragma GCC unroll 4
          for (int j = 0; j < some; j++) {
            vf x = cached(type, row[j] + at, e);
#pragma GCC unroll 8
            for (int h = 0; h < H; h++) acc[(k + j) * L + h] = vfma(x, vload(q + h * s->wide + d + e), acc[(k + j) * L + h]);
          }
    }
    fetch_lines(s->fetch + i * s->rowbytes, K * s->rowbytes);
    vstore(out + i * L, vsums(acc));
  }
}

// sums[h][d..] = sums[h][d..] alpha[h] + sum over keys of weight[key][h] value[key][d..]
FN void add_columns(const int type, const int H, const int B, const stretch *s, int64_t d, const float *weights, const float *alpha, float *sums) {
  const int L = lanes_of(H);
  vf acc[LLO_HEADS][4];
#pragma GCC unroll 8
  for (int h = 0; h < H; h++)
#pragma GCC unroll 4
    for (int b = 0; b < B; b++) acc[h][b] = vmul(vset1(alpha[h]), vload(sums + h * s->wide + d + b * VL));
  const int whole = B * VL % 32 == 0; // blocks: then d is a multiple of theirs
  const int64_t from = cache_bytes(type, d), bytes = cache_bytes(type, B * VL);
  for (int64_t i = 0; i < s->n; i++) {
    const char *row = s->rows + i * s->rowbytes;
    vf x[4];
#pragma GCC unroll 4
    for (int b = 0; b < B; b++) x[b] = whole ? cached(type, row + from, b * VL) : cached(type, row, d + b * VL);
    fetch_lines(s->fetch + i * s->rowbytes + from, bytes > 0 ? bytes : 1);
#pragma GCC unroll 8
    for (int h = 0; h < H; h++) {
      vf w = vset1(weights[i * L + h]);
#pragma GCC unroll 4
      for (int b = 0; b < B; b++) acc[h][b] = vfma(w, x[b], acc[h][b]);
    }
  }
#pragma GCC unroll 8
  for (int h = 0; h < H; h++)
#pragma GCC unroll 4
    for (int b = 0; b < B; b++) vstore(sums + h * s->wide + d + b * VL, acc[h][b]);
}
FN void add_values(const int type, const int H, const stretch *s, const float *weights, const float *alpha, float *sums) {
  const int B = value_vectors(H);
  int64_t d = 0;
  for (; d + B * VL <= s->wide; d += B * VL) add_columns(type, H, B, s, d, weights, alpha, sums);
  for (; d < s->wide; d += VL) add_columns(type, H, 1, s, d, weights, alpha, sums);
}

typedef void dots_fn(const stretch *s, const float *q, float *out);
typedef void values_fn(const stretch *s, const float *weights, const float *alpha, float *sums);
#define ROW(TYPE, H)                                                                                       \
  LLO_TARGET static void dots_##TYPE##_##H(const stretch *s, const float *q, float *out) {    \
    dots(LLO_##TYPE, H, s, q, out);                                                                   \
  }                                                                                                        \
  LLO_TARGET static void values_##TYPE##_##H(const stretch *s, const float *w, const float *a, float *sums) { \
    add_values(LLO_##TYPE, H, s, w, a, sums);                                                              \
  }
#if VL >= 8
#define ROWS(TYPE) ROW(TYPE, 1) ROW(TYPE, 2) ROW(TYPE, 3) ROW(TYPE, 4) ROW(TYPE, 5) ROW(TYPE, 6) ROW(TYPE, 7) ROW(TYPE, 8)
#define ROW_LIST(N) {N##1, N##2, N##3, N##4, N##5, N##6, N##7, N##8}
#else
#define ROWS(TYPE) ROW(TYPE, 1) ROW(TYPE, 2) ROW(TYPE, 3) ROW(TYPE, 4)
#define ROW_LIST(N) {N##1, N##2, N##3, N##4}
#endif
ROWS(F32) ROWS(F16) ROWS(BF16) ROWS(Q8_0)
static dots_fn *const dots_of[][ROW_HEADS] = {
    [LLO_F32] = ROW_LIST(dots_F32_), [LLO_F16] = ROW_LIST(dots_F16_),
    [LLO_BF16] = ROW_LIST(dots_BF16_), [LLO_Q8_0] = ROW_LIST(dots_Q8_0_)};
static values_fn *const values_of[][ROW_HEADS] = {
    [LLO_F32] = ROW_LIST(values_F32_), [LLO_F16] = ROW_LIST(values_F16_),
    [LLO_BF16] = ROW_LIST(values_BF16_), [LLO_Q8_0] = ROW_LIST(values_Q8_0_)};

// Where a pass over some heads of a row has its numbers.
typedef struct {
  const llo_attend *a;
  int64_t heads, wide;
  float *q;        // [heads][wide], zeros from dim
  float *weights;  // [LLO_KEYS][lanes], and a vector more
  float *sums;     // [heads][wide]
  float *rows;     // widened rows, where dim is no multiple of VL
  float m[LLO_HEADS], l[LLO_HEADS], alpha[LLO_HEADS];
} row_pass;

// Positions [pos, pos+n) of one side of the cache, on one page.
FN stretch stretch_of(const row_pass *r, const char *base, int64_t pos, int64_t n, const char *fetch) {
  const llo_attend *a = r->a;
  stretch s = {.rows = kv_row(a, base, pos), .rowbytes = cache_bytes(a->kvtype, a->dim), .n = n, .wide = r->wide};
  s.fetch = fetch ? fetch : s.rows;
  if (r->wide == a->dim) return s;
  for (int64_t i = 0; i < n; i++) k_widen(r->rows + i * r->wide, s.rows + i * s.rowbytes, a->kvtype, a->dim);
  s.rows = s.fetch = (const char *)r->rows, s.rowbytes = r->wide * 4;
  return s;
}
FN int row_type(const row_pass *r) { return r->wide == r->a->dim ? r->a->kvtype : LLO_F32; }

// How many of the positions from pos to end share its page.
FN int64_t on_page(const llo_attend *a, int64_t pos, int64_t end) {
  int64_t left = a->page - pos % a->page;
  return end - pos < left ? end - pos : left;
}

// The largest and the sum of the lanes of each head.
FN void lanes_max(const vf v, int lanes, float *out) {
  float t[VL];
  vstore(t, v);
  for (int i = 0; i < VL; i++) out[i & (lanes - 1)] = t[i] > out[i & (lanes - 1)] ? t[i] : out[i & (lanes - 1)];
}
FN void lanes_sum(const vf v, int lanes, float *out) {
  float t[VL];
  vstore(t, v);
  for (int i = 0; i < VL; i++) out[i & (lanes - 1)] += t[i];
}
FN vf lanes_spread(const float *x, int lanes) {
  float t[VL];
  for (int i = 0; i < VL; i++) t[i] = x[i & (lanes - 1)];
  return vload(t);
}

// Scores of keys [from, to) of a tile become weights; m and l are carried on,
// and alpha is what older sums are multiplied with.
FN void soften_row(row_pass *r, int64_t from, int64_t to) {
  const int lanes = lanes_of((int)r->heads);
  int64_t first = from * lanes / VL * VL, end = (to * lanes + VL - 1) / VL * VL;
  float *w = r->weights, m[LLO_HEADS], change[VL] = {0};
  for (int64_t i = first; i < from * lanes; i++) w[i] = -__builtin_inff();
  for (int64_t i = to * lanes; i < end; i++) w[i] = -__builtin_inff();
  vf top = lanes_spread(r->m, lanes), sum = vzero(), scale = vset1(r->a->scale);
  for (int64_t i = first; i < end; i += VL) {
    vf v = vmul(vload(w + i), scale);
    vstore(w + i, v);
    top = vmax(v, top);
  }
  for (int h = 0; h < lanes; h++) m[h] = r->m[h];
  lanes_max(top, lanes, m);
  for (int h = 0; h < lanes; h++) change[h] = r->m[h] == m[h] ? 0 : r->m[h] - m[h], r->m[h] = m[h];
  vstore(change, vexp(vload(change)));
  top = lanes_spread(m, lanes);
  for (int64_t i = first; i < end; i += VL) {
    vf v = vexp(vsub(vload(w + i), top));
    vstore(w + i, v);
    sum = vadd(sum, v);
  }
  for (int h = 0; h < lanes; h++) r->alpha[h] = change[h], r->l[h] *= change[h];
  lanes_sum(sum, lanes, r->l);
}

// Keys [from, to) of the tile at j.
FN void row_tile(row_pass *r, int64_t j, int64_t from, int64_t to) {
  static const float ones[LLO_HEADS] = {1, 1, 1, 1, 1, 1, 1, 1};
  const llo_attend *a = r->a;
  const int64_t lanes = lanes_of((int)r->heads);
  const float *alpha = r->alpha;
  for (int64_t i = from, n; i < to; i += n) {
    n = on_page(a, j + i, j + to);
    stretch s = stretch_of(r, a->k, j + i, n, kv_row(a, a->v, j + i));
    dots_of[row_type(r)][r->heads - 1](&s, r->q, r->weights + i * lanes);
  }
  soften_row(r, from, to);
  const char *next = j + LLO_KEYS < a->hi ? kv_row(a, a->k, j + LLO_KEYS) : 0;
  for (int64_t i = from, n; i < to; i += n, next = 0, alpha = ones) {
    n = on_page(a, j + i, j + to);
    stretch s = stretch_of(r, a->v, j + i, n, next);
    values_of[row_type(r)][r->heads - 1](&s, r->weights + i * lanes, alpha, r->sums);
  }
}

// The queries are copied, because a vector that straddles cache lines costs two loads.
FN void row_heads(const llo_attend *a, int64_t h0, int64_t heads, float *state, float *scratch) {
  row_pass r = {.a = a, .heads = heads, .wide = padded(a->dim, VL)};
  r.weights = scratch, scratch += LLO_KEYS * LLO_HEADS + VL;
  r.sums = scratch, scratch += heads * r.wide;
  r.q = scratch, scratch += heads * r.wide;
  r.rows = scratch;
  memset(r.sums, 0, (size_t)(2 * heads * r.wide) * 4);
  for (int64_t h = 0; h < heads; h++) memcpy(r.q + h * r.wide, a->q + (h0 + h) * a->dim, (size_t)a->dim * 4);
  if (r.wide != a->dim) memset(r.rows, 0, (size_t)(LLO_KEYS * r.wide) * 4);
  for (int h = 0; h < LLO_HEADS; h++) r.m[h] = -0x1.fffffep127f, r.l[h] = 0;
  for (int64_t j = a->lo / LLO_KEYS * LLO_KEYS; j < a->hi; j += LLO_KEYS)
    row_tile(&r, j, a->lo > j ? a->lo - j : 0, a->hi - j < LLO_KEYS ? a->hi - j : LLO_KEYS);
  for (int64_t h = 0; h < heads; h++, state += 2 + a->dim) {
    state[0] = r.m[h], state[1] = r.l[h];
    memcpy(state + 2, r.sums + h * r.wide, (size_t)a->dim * 4);
  }
}

// scratch: LLO_KEYS (LLO_HEADS + padded dim) + 2 LLO_HEADS padded dim + VL floats.
LLO_TARGET static void k_attend_row(const llo_attend *a, float *state, float *scratch) {
  for (int64_t h = 0; h < a->heads; h += ROW_HEADS)
    row_heads(a, h, a->heads - h < ROW_HEADS ? a->heads - h : ROW_HEADS, state + h * (2 + a->dim), scratch);
}
