// Decode projections: out[t][r] = sum_k w[r][k] x[t][k] for a few activation
// rows t, weights streamed once in their own format.
//
// A sum is one chain of vector FMAs in the order of k, ended by one horizontal
// add. Tiles of GR weight rows by up to GT activation rows only run several
// such chains side by side, so a result does not depend on the tile it was in.
// A tile of weight rows stays in the cache while all activation rows pass.
//
// Measured on a 2-core Emerald Rapids VM, one thread, rows of 2048 from memory,
// as shares of the raw read of the same minute (16-17 GB/s): AVX-512 with one
// activation row f32 0.97, f16 0.92, bf16 0.94; bf16 with 4 rows 0.88, 8 rows
// 0.75, 16 rows 0.45, which is 0.69 of the FMA peak. AVX2 bf16 0.95, 4 rows
// 0.69, 8 rows 0.34, bound by its FMAs. Portable C bf16 15 GB/s with one row.
// On a 2-core Zen 4 VM AVX-512 bf16 with one row 25.5 GB/s of 24.4 to 27 with one thread,
// 15.8 where the four rows were neighbours.
//
// Tried for 8 and 16 rows without a gain: tiles of 3x8 and 6x4, blocks of k with
// the sums kept between them, fetching the next rows as one run of addresses.

// Elements k .. k+2*VL of a weight row in the order of the packed activations.
FN void weights(const int type, const char *p, vf *a, vf *b) {
  if (type == LLO_BF16) {
    split_bf16(p, a, b);
    return;
  }
  *a = widen(type, p);
  *b = widen(type, p + VL * type_bytes(type));
}

// The weight rows of a tile lie far apart, each the next of a stream of memory of its
// own: neighbouring rows share their pages, which the hardware follows one stream in
// (body_quant.h).
//
// turn says which of the passes over the same weight rows a tile is, and how many bytes
// lie between these. In a single pass each row is fetched AHEAD bytes before it is used,
// and at its end the next of its stream. With several passes the first would wait for
// memory and the others leave it idle: so each pass fetches its share of the next R rows,
// at even pace and in all of their streams at once, which keeps these alive.
typedef struct {
  int64_t pass, passes, apart;
} turn;

#define AHEAD 1024

// How many of `passes` the fetching is spread over, as a power of two: 1, 2, 4.
FN int spread_over(int R, int64_t passes) { return R < 4 || passes == 1 ? 0 : passes == 2 ? 1 : 2; }

FN void gemv_tile(const int type, const int R, const int T, const llo_gemv *g, const char *w, const char *packed, turn at, float *out) {
  const float *x = (const float *)packed;
  const int64_t ldx = g->ldx / 4;
  vf acc[GR][GT];
  const int64_t es = type_bytes(type), rb = at.apart, step = 2 * VL;
  const int shift = spread_over(R, at.passes);
  const char *later = w + g->rowbytes + g->rowbytes * at.pass / at.passes;
  int64_t k = 0;
  for (int r = 0; r < R; r++)
    for (int t = 0; t < T; t++) acc[r][t] = vzero();
  for (; k + step <= g->k; k += step) {
    vf a[GR], b[GR];
    const char *p = w + k * es;
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      weights(type, p + r * rb, &a[r], &b[r]);
      if (at.passes == 1)
        for (int line = 0; line < step * es; line += 64) __builtin_prefetch(p + AHEAD + r * rb + line);
    }
    if (at.passes > 1) { // of every 1<<shift rounds one has this row
      const char *f = later + (k * es >> shift) + (k / step & ((1 << shift) - 1)) * (R >> shift) * rb;
      for (int r = 0; r < R >> shift; r++) __builtin_prefetch(f + r * rb, 0, 2);
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) {
      vf u = vload(x + t * ldx + k), v = vload(x + t * ldx + k + VL);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) acc[r][t] = vfma(a[r], u, acc[r][t]);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) acc[r][t] = vfma(b[r], v, acc[r][t]);
    }
  }
  if (k < g->k) // the packed activations are padded, the weights are not
    for (int r = 0; r < R; r++) {
      char tail[2 * VL * 4] = {0};
      vf a, b;
      memcpy(tail, w + r * rb + k * es, (size_t)((g->k - k) * es));
      weights(type, tail, &a, &b);
      for (int t = 0; t < T; t++) {
        acc[r][t] = vfma(a, vload(x + t * ldx + k), acc[r][t]);
        acc[r][t] = vfma(b, vload(x + t * ldx + k + VL), acc[r][t]);
      }
    }
  for (int r = 0; r < R; r++)
    for (int t = 0; t < T; t++) out[t * GR + r] = vsum(acc[r][t]);
}

typedef void tile_fn(const llo_gemv *g, const char *w, const char *x, turn at, float *out);
#define TILE(NAME, TYPE, R, T)                                                                     \
  LLO_TARGET static void NAME(const llo_gemv *g, const char *w, const char *x, turn at, float *out) { \
    gemv_tile(TYPE, R, T, g, w, x, at, out);                                                       \
  }
#define PAIR(N, TYPE, T) TILE(N##_1_##T, TYPE, 1, T) TILE(N##_R_##T, TYPE, GR, T)
#if GT == 6
#define TILES(N, TYPE) PAIR(N, TYPE, 1) PAIR(N, TYPE, 2) PAIR(N, TYPE, 3) PAIR(N, TYPE, 4) PAIR(N, TYPE, 5) PAIR(N, TYPE, 6)
#define LIST(N) {N##1, N##2, N##3, N##4, N##5, N##6}
#elif GT == 4
#define TILES(N, TYPE) PAIR(N, TYPE, 1) PAIR(N, TYPE, 2) PAIR(N, TYPE, 3) PAIR(N, TYPE, 4)
#define LIST(N) {N##1, N##2, N##3, N##4}
#else
#define TILES(N, TYPE) PAIR(N, TYPE, 1) PAIR(N, TYPE, 2)
#define LIST(N) {N##1, N##2}
#endif
TILES(f32, LLO_F32)
TILES(f16, LLO_F16)
TILES(bf16, LLO_BF16)

static tile_fn *const tiles[][2][GT] = {
    [LLO_F32] = {LIST(f32_1_), LIST(f32_R_)},
    [LLO_F16] = {LIST(f16_1_), LIST(f16_R_)},
    [LLO_BF16] = {LIST(bf16_1_), LIST(bf16_R_)},
};
#undef LIST
#undef TILES

FN float element(const char *p, int type, int64_t i) {
  float out[VL];
  vstore(out, widen_some(type, p + i * type_bytes(type), 1));
  return out[0];
}

// Stores the sums of rows row, row+per … for T activation rows.
FN void gemv_store(const llo_gemv *g, int64_t row, int64_t R, int64_t per, int64_t t0, int64_t T, const float *sums) {
  for (int64_t r = 0; r < R; r++, row += per) {
    float bias = g->b ? element(g->b, g->btype, row) : 0;
    for (int64_t t = 0; t < T; t++) {
      float *y = g->out + (t0 + t) * g->ldo + row, s = sums[t * GR + r];
      if (g->b) s += bias;
      *y = g->add ? *y + s : s;
    }
  }
}

// Rows row, row+per … of an item, R of them, against all activation rows.
FN void gemv_rows(const llo_gemv *g, int64_t row, int64_t R, int64_t per) {
  turn at = {0, (g->m + GT - 1) / GT, per * g->rowbytes};
  for (int64_t t = 0; t < g->m; at.pass++) {
    int64_t left = at.passes - at.pass, T = (g->m - t + left - 1) / left; // tiles of nearly equal size
    float sums[GR * GT];
    tiles[g->wtype][R == GR][T - 1](g, g->w + row * g->rowbytes, g->x + t * g->ldx, at, sums);
    gemv_store(g, row, R, per, t, T, sums);
    t += T;
  }
}

LLO_TARGET static void gemv_plain(const llo_gemv *g) {
  const int64_t per = g->rows / GR;
  for (int64_t row = 0; row < per; row++) gemv_rows(g, row, GR, per);
  for (int64_t row = per * GR; row < g->rows; row++) gemv_rows(g, row, 1, 1);
}
