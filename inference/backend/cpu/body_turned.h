// Decode projections of Q4_0 for three to eight activation rows at once: the arithmetic
// of body_rows.h, out[t][r] = sum_k w[r][k] x[t][k], with the same bits, but sixteen weight
// rows side by side, one in each lane.
//
// With one activation row what counts is how fast weights are opened, with many how much
// is computed of each. Lanes that hold four blocks of a row (body_rows.h) must be summed
// for every activation row: 21 instructions for four weight rows by 128 elements. Lanes
// that hold rows need no sums: 44 for sixteen. Turning the weights so is 150 more, whatever
// the number of activation rows.
//
// Chain b of a row, the sum of its blocks 4i+b, is its lane of acc[b]: the same products
// are added in the same order as there.
//
// The sixteen rows are streams of memory that lie far apart, as there: neighbours took 1.2
// times as long. Measured on a 2-core Emerald Rapids VM against body_rows.h on the same
// 64 MB of weights, one thread, as shares of its time: 3 rows 0.62, 4 rows 0.86, 5 rows
// 0.55, 6 rows 0.6, 8 rows 0.70 to 0.78. Tried without a gain: sums of floats that begin
// with 1.5*2^23 instead of the conversion; turning two or eight quads before multiplying.

enum {
  TURNED_LEAST = 3, TURNED_MOST = 8, // activation rows
  TURNED_ROWS = 16,                  // weight rows
  TURNED_QUAD = 4 * 18 / 4,          // dwords of a quad
  TURNED_PAIR = 2 * TURNED_QUAD,
  TURNED_GROUP = 4,                  // quads that are turned before they are multiplied
  TURNED_AHEAD = 576,                // bytes from what is turned to what is fetched
};

#define TURNED_ROOM ((int64_t)320 << 10) // most bytes of activation rows side by side

// A block of up to eight activation rows.
typedef struct {
  int8_t code[TURNED_MOST][32];
  float d[TURNED_MOST];
  int32_t zero[TURNED_MOST]; // what the products begin with
} turned_x;

// The four sums of codes of each block, times -from.
FN void turned_zeros(const char *quad, int32_t zero[4]) {
  const int from = from_of(LLO_Q4_0);
  __m512i v = qi_pairs(qi_load(quad + 192), -from, -from);
  v = _mm512_add_epi32(v, _mm512_shuffle_epi32(v, 0x4e));
  v = _mm512_add_epi32(v, _mm512_shuffle_epi32(v, 0xb1));
  const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  _mm_storeu_si128((__m128i *)zero, _mm512_castsi512_si128(_mm512_permutexvar_epi32(first, v)));
}

// Puts T packed rows side by side.
FN void turned_pack(turned_x *to, const char *x, int64_t ldx, int64_t quads, int64_t T) {
  for (int64_t quad = 0; quad < quads; quad++, to += 4, x += QUAD_X)
    for (int64_t t = 0; t < T; t++) {
      const char *p = x + t * ldx;
      int32_t zero[4];
      turned_zeros(p, zero);
      for (int b = 0; b < 4; b++) {
        memcpy(to[b].code[t], p + 16 * b, 16), memcpy(to[b].code[t] + 16, p + 64 + 16 * b, 16);
        memcpy(&to[b].d[t], p + 128 + 16 * b, 4);
        to[b].zero[t] = zero[b];
      }
    }
}

// 32 bytes of sixteen rows: lane r of v[j] has bytes 4j..4j+3 of row r.
FN void turn_32(const char *w, int64_t rb, __m512i v[8]) {
  __m512i a[8], b[8];
#define TWO_ROWS(r) _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(w + (r) * rb))), _mm256_loadu_si256((const __m256i *)(w + ((r) + 4) * rb)), 1)
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) a[i] = TWO_ROWS(i), a[i + 4] = TWO_ROWS(i + 8);
#undef TWO_ROWS
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    __m512i p = _mm512_unpacklo_epi32(a[i], a[i + 1]), q = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    __m512i r = _mm512_unpacklo_epi32(a[i + 2], a[i + 3]), s = _mm512_unpackhi_epi32(a[i + 2], a[i + 3]);
    b[i] = _mm512_unpacklo_epi64(p, r), b[i + 1] = _mm512_unpackhi_epi64(p, r);
    b[i + 2] = _mm512_unpacklo_epi64(q, s), b[i + 3] = _mm512_unpackhi_epi64(q, s);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; j++) {
    v[j] = _mm512_shuffle_i32x4(b[j], b[j + 4], 0x88);
    v[j + 4] = _mm512_shuffle_i32x4(b[j], b[j + 4], 0xdd);
  }
}

// The same of 16 bytes.
FN void turn_16(const char *w, int64_t rb, __m512i v[4]) {
  __m512i a[4];
#define ROW(r) _mm_loadu_si128((const __m128i *)(w + (r) * rb))
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    a[i] = _mm512_inserti32x4(_mm512_castsi128_si512(ROW(i)), ROW(i + 4), 1);
    a[i] = _mm512_inserti32x4(_mm512_inserti32x4(a[i], ROW(i + 8), 2), ROW(i + 12), 3);
  }
#undef ROW
  __m512i p = _mm512_unpacklo_epi32(a[0], a[1]), q = _mm512_unpackhi_epi32(a[0], a[1]);
  __m512i r = _mm512_unpacklo_epi32(a[2], a[3]), s = _mm512_unpackhi_epi32(a[2], a[3]);
  v[0] = _mm512_unpacklo_epi64(p, r), v[1] = _mm512_unpackhi_epi64(p, r);
  v[2] = _mm512_unpacklo_epi64(q, s), v[3] = _mm512_unpackhi_epi64(q, s);
}

// Two quads of sixteen rows, dword by dword.
FN void turn_pair(const char *w, int64_t rb, __m512i v[TURNED_PAIR]) {
  for (int i = 0; i < 4; i++) turn_32(w + 32 * i, rb, v + 8 * i);
  turn_16(w + 128, rb, v + 32);
}

// The same of the last k elements, less than two quads; the rest reads as zeros.
FN void turn_last(const char *w, int64_t rb, int64_t k, __m512i v[TURNED_PAIR]) {
  char last[TURNED_ROWS][4 * TURNED_PAIR] = {{0}};
  for (int r = 0; r < TURNED_ROWS; r++) memcpy(last[r], w + r * rb, (size_t)(k / 32 * 18));
  turn_pair(last[0], sizeof last[0], v);
}

FN __m512i turned_swap(__m512i v) { return _mm512_rol_epi32(v, 16); }
// The low word of each lane of a, the high one of b.
FN __m512i turned_words(__m512i a, __m512i b) { return _mm512_mask_blend_epi16(0xaaaaaaaa, a, b); }

// Scales of blocks whose f16 are in the low and in the high words.
FN void turned_scales(__m512i v, vf *low, vf *high) {
  const __m512i apart = _mm512_setr_epi32(0x020000, 0x060004, 0x0a0008, 0x0e000c, 0x120010, 0x160014, 0x1a0018, 0x1e001c,
                                          0x030001, 0x070005, 0x0b0009, 0x0f000d, 0x130011, 0x170015, 0x1b0019, 0x1f001d);
  v = _mm512_permutexvar_epi16(apart, v);
  *low = _mm512_cvtph_ps(_mm512_castsi512_si256(v)), *high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(v, 1));
}

// Quads of sixteen rows, turned, with their scales.
typedef struct {
  __m512i v[TURNED_GROUP * TURNED_QUAD];
  vf s[TURNED_GROUP][4];
} turned_group;

// Turns k elements, no more than a group.
FN void turned_open(turned_group *g, const char *w, int64_t step, int64_t k) {
  __m512i *v = g->v;
  for (int64_t left = k; left > 0; left -= 2 * QUAD, w += 4 * TURNED_PAIR, v += TURNED_PAIR)
    if (left >= 2 * QUAD) turn_pair(w, step, v);
    else turn_last(w, step, left, v);
  v = g->v;
  for (int64_t quad = 0; quad * QUAD < k; quad++, v += TURNED_QUAD) {
    turned_scales(turned_words(v[0], turned_swap(v[9])), &g->s[quad][0], &g->s[quad][2]);
    turned_scales(turned_words(turned_swap(v[4]), v[13]), &g->s[quad][1], &g->s[quad][3]);
  }
}

// Adds the products of blocks b of the group's quads with T activation rows to chain b.
// All activation rows take turns at each dword: a sum waits for its last product. On the
// way what four rows have from `next` on is fetched.
FN void turned_chain(const int T, const turned_group *g, int64_t quads, const int b, const turned_x *x, float chain[][VL],
                     const char *next, int64_t step) {
  const __m512i mask = _mm512_set1_epi8(15), *v = g->v + (9 * b + 1) / 2;
  vf acc[TURNED_MOST];
  x += b;
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) acc[t] = vload(chain[t]);
  for (int64_t quad = 0; quad < quads; quad++, v += TURNED_QUAD, x += 4, next += 72) {
    __m512i sum[TURNED_MOST];
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) sum[t] = _mm512_set1_epi32(x->zero[t]);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      const __m512i n = b % 2 ? v[j] : turned_words(turned_swap(v[j]), turned_swap(v[j + 1])), low = _mm512_and_si512(n, mask);
      const __m512i high = _mm512_and_si512(_mm512_srli_epi16(n, 4), mask);
      __builtin_prefetch(next + j * step), __builtin_prefetch(next + j * step + 32);
#pragma GCC unroll 8
      for (int t = 0; t < T; t++) sum[t] = _mm512_dpbusd_epi32(sum[t], low, _mm512_set1_epi32((int)load32((const char *)x->code[t] + 4 * j)));
#pragma GCC unroll 8
      for (int t = 0; t < T; t++) sum[t] = _mm512_dpbusd_epi32(sum[t], high, _mm512_set1_epi32((int)load32((const char *)x->code[t] + 16 + 4 * j)));
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) acc[t] = vfma(vmul(_mm512_cvtepi32_ps(sum[t]), g->s[quad][b]), vset1(x->d[t]), acc[t]);
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) vstore(chain[t], acc[t]);
}

// Sixteen rows at w, `step` bytes apart, against T activation rows: sums[t][row].
FN void turned_panel(const int T, const char *w, int64_t step, int64_t k, const turned_x *x, float sums[][VL]) {
  float acc[4][TURNED_MOST][VL];
  turned_group g;
  memset(acc, 0, sizeof acc);
  for (; k > 0; k -= TURNED_GROUP * QUAD, w += TURNED_GROUP * 72, x += 4 * TURNED_GROUP) {
    const int64_t kn = k < TURNED_GROUP * QUAD ? k : TURNED_GROUP * QUAD;
    turned_open(&g, w, step, kn);
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++) turned_chain(T, &g, quads_of(kn), b, x, acc[b], w + TURNED_AHEAD + 4 * b * step, step);
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; t++)
    vstore(sums[t], vadd(vadd(vload(acc[0][t]), vload(acc[2][t])), vadd(vload(acc[1][t]), vload(acc[3][t]))));
}

typedef void turned_fn(const char *w, int64_t step, int64_t k, const turned_x *x, float sums[][VL]);
#define TURNED(T) \
  LLO_TARGET static void turned_##T(const char *w, int64_t step, int64_t k, const turned_x *x, float sums[][VL]) { turned_panel(T, w, step, k, x, sums); }
TURNED(3) TURNED(4) TURNED(5) TURNED(6) TURNED(7) TURNED(8)
static turned_fn *const turned_of[TURNED_MOST + 1] = {
    [3] = turned_3, [4] = turned_4, [5] = turned_5, [6] = turned_6, [7] = turned_7, [8] = turned_8};

FN int64_t turned_bytes(int64_t k) { return quads_of(k) * 4 * (int64_t)sizeof(turned_x); }

FN int turned_takes(const llo_gemv *g) {
  return g->wtype == LLO_Q4_0 && g->m >= TURNED_LEAST && turned_bytes(g->k) <= TURNED_ROOM;
}

// Stores sums of rows row, row+per … for T activation rows, of which the first is t, but
// for those that were stored before.
FN void turned_store(const llo_gemv *g, int64_t row, int64_t per, int64_t t, int64_t T, int64_t before, float sums[][VL]) {
  float bias[TURNED_ROWS];
  if (g->b)
    for (int64_t r = 0; r < TURNED_ROWS; r++) bias[r] = element(g->b, g->btype, row + r * per);
  for (int64_t i = before; i < T; i++) {
    float *y = g->out + (t + i) * g->ldo + row, *s = sums[i];
    if (g->b) vstore(s, vadd(vload(s), vload(bias)));
    if (g->add)
      for (int64_t r = 0; r < TURNED_ROWS; r++) y[r * per] += s[r];
    else
      for (int64_t r = 0; r < TURNED_ROWS; r++) y[r * per] = s[r];
  }
}

// An odd number of rows between those of a panel: an even one may put all sixteen in one
// set of the cache.
FN int64_t turned_apart(int64_t rows) { return (rows / TURNED_ROWS - 1) | 1; }

// The activation rows from t on side by side, which the items of an op make once a thread
// where they are few enough. The weights' first bytes are fetched meanwhile.
FN void turned_begin(const llo_gemv *g, turned_x *x, int64_t t, int64_t T, int64_t rows) {
  const int64_t step = turned_apart(rows) * g->rowbytes;
  for (int64_t r = 0; r < TURNED_ROWS; r++)
    for (int64_t line = 0; line < TURNED_AHEAD; line += 64) __builtin_prefetch(g->w + r * step + line);
  if (*g->kept && T == g->m) return;
  turned_pack(x, g->x + t * g->ldx, g->ldx, quads_of(g->k), T);
  *g->kept = 1;
}

// Multiplies all rows but the last that are no sixteen, and returns how many. The last
// activation rows may be computed again.
FN int64_t gemv_turned(const llo_gemv *g, turned_x *x) {
  float sums[TURNED_MOST][VL];
  const int64_t rows = g->rows / TURNED_ROWS * TURNED_ROWS, T = g->m < TURNED_MOST ? g->m : TURNED_MOST;
  for (int64_t t = 0; rows > 0 && t < g->m; t += T) {
    const int64_t first = t + T <= g->m ? t : g->m - T;
    turned_begin(g, x, first, T, rows);
    for (int64_t from = 0, per; from < rows; from += per * TURNED_ROWS) {
      per = turned_apart(rows - from);
      for (int64_t row = from; row < from + per; row++) {
        turned_of[T](g->w + row * g->rowbytes, per * g->rowbytes, g->k, x, sums);
        turned_store(g, row, per, first, T, t - first, sums);
      }
    }
  }
  return rows;
}
