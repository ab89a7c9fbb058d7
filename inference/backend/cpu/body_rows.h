// Decode projections with blocked weights on registers of 64 bytes: out[t][r] =
// sum_k w[r][k] x[t][k] for a few activation rows t, weights streamed once in
// their own layout and opened in registers.
//
// Four weight rows are taken together. Of each quad (body_blocks.h) they leave 16
// numbers, of block b and row r in lane 4b+r:
//
//   acc = acc + (int * s) * d, and with minima + m * (d * sum of codes)
//
// The int is the whole sum of a block, or of its halves where each has a scale, and
// exact. A lane adds the quads in order, and (0+2)+(1+3) of the four blocks ends a
// row. However many activation rows there are, and whatever makes the ints
// (body_amx_rows.h), the arithmetic is this: a result depends on nothing but its
// weight row and its activation row.
//
// Measured on a 2-core Ice Lake VM, two threads, AVX-512 with VNNI: a whole step of the
// 1.1B shape with one activation row, as shares of the raw read of the same minute
// (23-25 GB/s, of one stream of memory a thread), Q8_0 1.1, Q4_0 0.93, Q4_K 0.9, Q6_K
// 1.0; with 2, 4 and 8 rows it takes as long as with one Q8_0 1.0, 1.1, 1.6, Q4_0 1.2,
// 1.5, 2.7, Q4_K 1.3, 1.8, 2.8 times. From the second cache a thread opens and
// multiplies Q8_0 41 GB/s, Q4_0 24, Q4_K 22, Q6_K 26.
#include "body_row_scales.h"

// [4b+r]: the sum of the four int32 in lane b of row r.
FN qi by_rows(qi a, qi b, qi c, qi d) {
  qi s = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  qi t = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(s, t), _mm512_unpackhi_epi64(s, t));
}

// d times the sums of codes of groups of 16 in the quad x, the odd one of two.
FN qf group_sums(const char *x, const int64_t odd) { return qf_load((const float *)(x - odd * QUAD_X + 256)); }

// [4b+r]: element 8h + 2b + second of v, numbers that groups of 16 have.
FN qf of_groups(qf v, const int h, const int second) {
  const int i = 8 * h + second;
  return _mm512_permutexvar_ps(_mm512_setr_epi32(i, i, i, i, i + 2, i + 2, i + 2, i + 2, i + 4, i + 4, i + 4, i + 4, i + 6, i + 6, i + 6, i + 6), v);
}

FN qf with_minima(const int kind, qf acc, quad_scales q, qf sums, const int odd) {
  qf first = of_groups(sums, odd, 0), second = of_groups(sums, odd, 1);
  if (kind & BY16) return qf_fma(q.m2, second, qf_fma(q.m, first, acc));
  return qf_fma(q.m, qf_add(first, second), acc);
}

// The products of quad h of four rows.
FN qf rows_add(const int kind, const int from, qf acc, const unit u[STREAMS], const int h, quad_scales q, const char *x, const int64_t odd) {
  quad_x v = load_x(kind, from, x);
  qi i[STREAMS], j[STREAMS];
#pragma GCC unroll 4
  for (int r = 0; r < STREAMS; r++) {
    if (kind & INT8) i[r] = qi_dot8(qi_dot8(v.zero, u[r].p[h], v.p), u[r].q[h], v.q);
    else if (kind & BY16) i[r] = qi_dot(v.zero, u[r].p[h], v.p), j[r] = qi_dot(v.zero2, u[r].q[h], v.q);
    else i[r] = qi_dot(qi_dot(v.zero, u[r].p[h], v.p), u[r].q[h], v.q);
  }
  qf t = qf_mul(qf_of(by_rows(i[0], i[1], i[2], i[3])), q.s);
  if (kind & BY16) t = qf_fma(qf_of(by_rows(j[0], j[1], j[2], j[3])), q.s2, t);
  acc = qf_fma(t, v.d, acc);
  if (!(kind & MINS)) return acc;
  qf sums = group_sums(x, odd);
  return kind & TWO ? with_minima(kind, acc, q, sums, h) : odd ? with_minima(kind, acc, q, sums, 1) : with_minima(kind, acc, q, sums, 0);
}

// The products of a unit of four rows with T activation rows at x; the unit's first
// quad has an odd number or not.
FN void units_add(const int type, const int T, const char *const w[STREAMS], const char *x, int64_t ldx, int64_t odd, qf *acc) {
  const int kind = kind_of(type);
  unit u[STREAMS];
#pragma GCC unroll 4
  for (int r = 0; r < STREAMS; r++) open_unit(type, w[r], &u[r]);
#pragma GCC unroll 2
  for (int h = 0; h < quads_in(kind); h++, x += QUAD_X) {
    quad_scales q = scales_of(type, w, h);
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) acc[t] = rows_add(kind, from_of(type), acc[t], u, h, q, x + t * ldx, kind & TWO ? h : odd);
  }
}

// Ends the sums of four rows.
FN void rows_end(qf acc, float *out) {
  __m256 s = _mm256_add_ps(_mm512_castps512_ps256(acc), _mm512_extractf32x8_ps(acc, 1));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}

// Four weight rows against T activation rows, ldx bytes apart: out[t][r].
FN void rows_tile(const int type, const int T, const char *const rows[STREAMS], const char *x, int64_t ldx, int64_t k, float *out) {
  const int64_t step = unit_elements(type);
  const char *w[STREAMS] = {rows[0], rows[1], rows[2], rows[3]};
  int64_t quad = 0;
  qf acc[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) acc[t] = qf_zero();
  for (; k >= step; k -= step, quad += step / QUAD) {
#pragma GCC unroll 4
    for (int r = 0; r < STREAMS; r++) fetch_unit(type, w[r]);
    units_add(type, T, w, x + quad * QUAD_X, ldx, quad & 1, acc);
#pragma GCC unroll 4
    for (int r = 0; r < STREAMS; r++) w[r] += unit_bytes(type);
  }
  if (step == QUAD && k > 0) {
    last_unit last[STREAMS] = {last_of(type, w[0], k), last_of(type, w[1], k), last_of(type, w[2], k), last_of(type, w[3], k)};
    const char *const l[STREAMS] = {last[0].bytes, last[1].bytes, last[2].bytes, last[3].bytes};
    units_add(type, T, l, x + quad * QUAD_X, ldx, quad & 1, acc);
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) rows_end(acc[t], out + t * STREAMS);
}

typedef void rows_fn(const char *const *rows, const char *x, int64_t ldx, int64_t k, float *out);
#define ROWS_OF(N, TYPE, T)                                                                                      \
  LLO_TARGET static void N##_##T(const char *const *rows, const char *x, int64_t ldx, int64_t k, float *out) { \
    rows_tile(TYPE, T, rows, x, ldx, k, out);                                                                   \
  }
#define ROWS_SIZES(N, TYPE) ROWS_OF(N, TYPE, 1) ROWS_OF(N, TYPE, 2) ROWS_OF(N, TYPE, 4) ROWS_OF(N, TYPE, 8)
ROWS_SIZES(q4_0, LLO_Q4_0) ROWS_SIZES(q4_1, LLO_Q4_1) ROWS_SIZES(q5_0, LLO_Q5_0) ROWS_SIZES(q5_1, LLO_Q5_1)
ROWS_SIZES(q8_0, LLO_Q8_0) ROWS_SIZES(q2_k, LLO_Q2_K) ROWS_SIZES(q3_k, LLO_Q3_K) ROWS_SIZES(q4_k, LLO_Q4_K)
ROWS_SIZES(q5_k, LLO_Q5_K) ROWS_SIZES(q6_k, LLO_Q6_K)

// The kernels of 1, 2, 4 and 8 activation rows.
#define SIZES(N) {N##_1, N##_2, N##_4, N##_8}
static rows_fn *const quads[LLO_TYPES][4] = {
    [LLO_Q4_0] = SIZES(q4_0), [LLO_Q4_1] = SIZES(q4_1), [LLO_Q5_0] = SIZES(q5_0), [LLO_Q5_1] = SIZES(q5_1), [LLO_Q8_0] = SIZES(q8_0),
    [LLO_Q2_K] = SIZES(q2_k), [LLO_Q3_K] = SIZES(q3_k), [LLO_Q4_K] = SIZES(q4_k), [LLO_Q5_K] = SIZES(q5_k), [LLO_Q6_K] = SIZES(q6_k),
};

enum { ROWS_M = 32 }; // activation rows whose results wait for the store

// The largest kernel that m rows fill. A last pass may compute some of them again.
FN int rows_size(int64_t m) { return m >= 8 ? 3 : m >= 4 ? 2 : m >= 2 ? 1 : 0; }

#ifdef LLO_VNNI
#include "body_turned.h"
#endif

// Rows of streams that ended earlier are computed with the last and not stored.
FN void gemv_streams(const llo_gemv *g) {
  const int64_t per = (g->rows + STREAMS - 1) / STREAMS;
  for (int64_t row = 0; row < per; row++) {
    const char *w[STREAMS];
    float sums[ROWS_M * STREAMS];
    stream_rows(g, per, row, w);
    for (int64_t from = 0; from < g->m; from += ROWS_M) {
      const int64_t m = g->m - from < ROWS_M ? g->m - from : ROWS_M, size = rows_size(m), T = 1 << size;
      for (int64_t t = 0; t < m; t += T) {
        const int64_t first = t + T <= m ? t : m - T;
        quads[g->wtype][size](w, g->x + (from + first) * g->ldx, g->ldx, g->k, sums + first * STREAMS);
      }
      for (int64_t r = 0, at = row; r < STREAMS && at < g->rows; r++, at += per)
        for (int64_t t = 0; t < m; t++) {
          float one[GR] = {sums[t * STREAMS + r]};
          gemv_store(g, at, 1, 1, from + t, 1, one);
        }
    }
  }
}

// room: activations of body_turned.h.
FN void gemv_blocks(const llo_gemv *g, void *room) {
  llo_gemv rest = *g;
#ifdef LLO_VNNI
  if (turned_takes(g)) {
    const int64_t rows = gemv_turned(g, room);
    rest.w += rows * g->rowbytes, rest.out += rows, rest.rows -= rows;
    if (g->b) rest.b += rows * (g->btype == LLO_F32 ? 4 : 2);
  }
#else
  (void)room;
#endif
  if (rest.rows > 0) gemv_streams(&rest);
}
