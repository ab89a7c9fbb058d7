// Attention of prefill rows: up to LLO_QUERIES rows of one sequence, heads of one
// group, against keys [lo, hi): softmax(q k^T scale) v with the online softmax,
// in tiles of LLO_KEYS keys counted from position 0.
//
// Keys of a tile are widened and transposed to panels [d][MR keys], values to
// panels [key][MR of d], and both products run on the GEMM's micro kernel. Keys
// a row may not see get the score -inf, hence the weight exactly 0: adding them
// changes nothing, so a row's result does not depend on its neighbours.
//
// Measured on a 2-core Emerald Rapids VM, one thread, AVX-512, f16 cache, 512
// positions: 64 rows of 8 heads 0.60 of the FMA peak at dim 64 and 0.70 at 128.

#define KEY_PANELS (LLO_KEYS / MR)

typedef struct {
  float *keys;   // [KEY_PANELS][dim][MR]
  float *values; // [dim/MR][LLO_KEYS][MR]
  float *scores; // [NT][LLO_KEYS]
  float *q;      // [heads*rows][dim]
  float *sums;   // [heads*rows][padded dim]
} attend_scratch;

FN attend_scratch attend_layout(const llo_attend *a, float *s) {
  attend_scratch l;
  int64_t wide = padded(a->dim, MR), n = a->rows * a->heads;
  l.keys = s, s += LLO_KEYS * a->dim;
  l.values = s, s += LLO_KEYS * wide;
  l.scores = s, s += NT * LLO_KEYS;
  l.sums = s, s += n * wide;
  l.q = s;
  return l;
}

// Positions [j, j+n) as panels of keys. What is before a->lo is not read, for its
// page may belong to somebody else by now, unless it shares the page of a later
// key. Its scores are masked; its values must be zero, for 0 times NaN is NaN.
FN void load_keys(const llo_attend *a, float *keys, int64_t j, int64_t n, float *rows) {
  for (int64_t p = 0; p < n; p += MR) {
    int64_t m = n - p < MR ? n - p : MR, pos = j + p, from = a->lo > pos ? a->lo - pos : 0;
    float *panel = keys + p * a->dim;
    if (from >= m) continue;
    if (pos % a->page + m <= a->page && a->kvtype != LLO_Q8_0) { // on one page, hence without gaps
      panels[a->kvtype](panel, kv_row(a, a->k, pos), a->dim * type_bytes(a->kvtype), m, a->dim);
      continue;
    }
    for (int64_t i = from; i < m; i++) k_widen(rows + i * a->dim, kv_row(a, a->k, pos + i), a->kvtype, a->dim);
    panel_f32(panel, (const char *)rows, a->dim * 4, m, a->dim);
  }
}
FN void load_values(const llo_attend *a, float *values, int64_t j, int64_t n, float *row) {
  for (int64_t i = 0; i < n; i++) {
    if (j + i < a->lo) {
      for (int64_t d = 0; d < a->dim; d += MR) memset(values + d * LLO_KEYS + i * MR, 0, MR * 4);
      continue;
    }
    const char *src = kv_row(a, a->v, j + i);
    int type = a->kvtype;
    if (type == LLO_Q8_0) k_widen(row, src, type, a->dim), src = (const char *)row, type = LLO_F32;
    for (int64_t d = 0; d < a->dim; d += MR) {
      int64_t m = a->dim - d < MR ? a->dim - d : MR;
      k_widen(values + d * LLO_KEYS + i * MR, src + d * type_bytes(type), type, m);
    }
  }
}

// One row of scores becomes weights; m and l are carried on. Returns what older
// sums are multiplied with.
FN float soften(float *s, float scale, int64_t from, int64_t to, float *m, float *l) {
  vf top = vset1(*m), sum = vzero();
  for (int64_t i = 0; i < from; i++) s[i] = -__builtin_inff();
  for (int64_t i = to; i < LLO_KEYS; i++) s[i] = -__builtin_inff();
  for (int64_t i = 0; i < LLO_KEYS; i += VL) {
    vf v = vmul(vload(s + i), vset1(scale));
    vstore(s + i, v);
    top = vmax(v, top);
  }
  float mn = vhmax(top), alpha = mn == *m ? 1 : exp1(*m - mn);
  for (int64_t i = 0; i < LLO_KEYS; i += VL) {
    vf v = vexp(vsub(vload(s + i), vset1(mn)));
    vstore(s + i, v);
    sum = vadd(sum, v);
  }
  *l = *l * alpha + vsum(sum);
  *m = mn;
  return alpha;
}

// The window of row r within the tile at j, as [from, to) of 0..LLO_KEYS.
FN void visible(const llo_attend *a, int64_t r, int64_t j, int64_t *from, int64_t *to) {
  int64_t pos = a->pos + r, f = a->window > 0 && pos - a->window + 1 > a->lo ? pos - a->window + 1 : a->lo;
  int64_t t = pos + 1 < a->hi ? pos + 1 : a->hi;
  *from = f - j < 0 ? 0 : f - j > LLO_KEYS ? LLO_KEYS : f - j;
  *to = t - j < *from ? *from : t - j > LLO_KEYS ? LLO_KEYS : t - j;
}

// T queries from row i against the loaded tile of n keys at j.
FN void attend_tile(const llo_attend *a, const attend_scratch *l, float *state, int64_t i, int64_t T, int64_t j, int64_t n) {
  int64_t wide = padded(a->dim, MR), any = 0;
  for (int64_t t = 0; t < T; t++) {
    int64_t from, to;
    visible(a, (i + t) % a->rows, j, &from, &to);
    any |= to > from;
  }
  if (!any) return;
  for (int64_t p = 0; p * MR < n; p++)
    micro_rows[T - 1](l->keys + p * a->dim * MR, l->q + i * a->dim, a->dim, a->dim, l->scores + p * MR, LLO_KEYS, 1);
  for (int64_t t = 0; t < T; t++) {
    int64_t from, to;
    float *s = state + (i + t) * (2 + a->dim), *sums = l->sums + (i + t) * wide;
    visible(a, (i + t) % a->rows, j, &from, &to);
    float alpha = soften(l->scores + t * LLO_KEYS, a->scale, from, to, &s[0], &s[1]);
    if (alpha != 1)
      for (int64_t d = 0; d < wide; d += VL) vstore(sums + d, vmul(vload(sums + d), vset1(alpha)));
  }
  for (int64_t d = 0; d < wide; d += MR)
    micro_rows[T - 1](l->values + d * LLO_KEYS, l->scores, LLO_KEYS, n, l->sums + i * wide + d, wide, 0);
}

LLO_TARGET static void k_attend(const llo_attend *a, float *state, float *scratch) {
  attend_scratch l = attend_layout(a, scratch);
  int64_t n = a->rows * a->heads, wide = padded(a->dim, MR);
  float *rows = l.q + n * a->dim;
  for (int64_t h = 0; h < a->heads; h++)
    for (int64_t r = 0; r < a->rows; r++)
      memcpy(l.q + (h * a->rows + r) * a->dim, a->q + r * a->ldq + h * a->dim, (size_t)a->dim * 4);
  for (int64_t i = 0; i < n; i++) state[i * (2 + a->dim)] = -0x1.fffffep127f, state[i * (2 + a->dim) + 1] = 0;
  memset(l.sums, 0, (size_t)(n * wide) * 4);
  for (int64_t j = a->lo / LLO_KEYS * LLO_KEYS; j < a->hi; j += LLO_KEYS) {
    int64_t m = a->hi - j < LLO_KEYS ? a->hi - j : LLO_KEYS;
    load_keys(a, l.keys, j, m, rows);
    load_values(a, l.values, j, m, rows);
    for (int64_t i = 0; i < n; i += NT) attend_tile(a, &l, state, i, n - i < NT ? n - i : NT, j, m);
  }
  for (int64_t i = 0; i < n; i++) memcpy(state + i * (2 + a->dim) + 2, l.sums + i * wide, (size_t)a->dim * 4);
}

// state = state and more, two stretches of keys of one query.
LLO_TARGET static void k_merge(float *state, const float *more, int64_t dim) {
  float top = state[0] > more[0] ? state[0] : more[0];
  float a = exp1(state[0] - top), b = exp1(more[0] - top);
  state[0] = top, state[1] = state[1] * a + more[1] * b;
  for (int64_t d = 2; d < 2 + dim; d++) state[d] = state[d] * a + more[d] * b;
}

LLO_TARGET static void k_finish(float *dst, const float *state, int64_t dim) {
  for (int64_t d = 0; d < dim; d++) dst[d] = state[2 + d] / state[1];
}
