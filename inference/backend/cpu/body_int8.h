// Prefill projections of quantised weights in int8: out[t][r] = sum_k w[r][k] x[t][k].
//
// Activations are rounded to int8 once an op, with a scale for each 32 of a row
// (absolute maximum / 127, to nearest even). MR = 2*VL weight rows at a time are
// unpacked into a panel of bytes [k/4][MR][4] with scales, and each step of four
// k multiplies a vector of it with four activations of a token. (Eight, [k/8][MR][8],
// where the set multiplies matrices: DOT_K. The vocabulary of a set is dot_*.h.)
//
// With VNNI a panel byte is the weight's integer + 128, so that it is unsigned; sums
// start at -128 times the sum of the activations, which makes the integer part exact.
// (AVX2 without VNNI: dot_maddubs.h.)
// A lane holds one result: for each block in the order of k it adds
// float(integer sum) * (weight scale * activation scale), then the weights'
// offset * the sum of the activations where the format has one. A result depends
// on nothing but its weight row and its activation row.
//
// A block of activations with a NaN or an infinity has the scale NaN, so that no
// result of that row looks finite.
//
// Loop order: blocks of k, groups of token tiles (in L2), panels (in L1), tiles.
//
// With VNNI eight dots and three float operations a block of 32 bound it at 0.73 of
// the dot products' peak. Measured on a 2-core Ice Lake VM shared with other work, one
// thread by the processor's time, 512 activation rows of the 1.1B shape, as shares
// of that peak in the same run (650-690 Gop/s): all projections of a layer Q4_0
// 0.49, Q8_0 and Q4_K 0.45, Q6_K 0.44, Q2_K 0.36; one item of 128 rows of 2048, caches
// to itself, Q8_0 0.63, Q4_0 0.57, Q4_K 0.60. Unpacking row by row is 3-8 % of it, and
// most of a prompt of some words: rows side by side (body_unpack_rows.h) made a step of
// one token 0.53 (Q8_0) and 0.40 (Q4_0) of the time, 16 tokens 0.75, 0.65, 128 0.86.
// On a Zen 4 a prompt of 16 tokens (Q8_0) took 2.9 us a panel and thread, 1.0 of them for memory, 1.5 for dots
// and 0.4 to unpack, one after the other while what comes next was fetched at once before a tile; fetched line by
// line between the dots, it takes 0.79 to 0.82 of that.
#include "body_unpack.h"

#include "body_fetch.h"

// What a format's panel holds: weights of a scale, and whether there are offsets.
FN int dot_sub(int type) { return type == LLO_Q2_K || type == LLO_Q3_K || type == LLO_Q6_K ? 16 : 32; }
FN int dot_offset(int type) {
  return type == LLO_Q4_1 || type == LLO_Q5_1 || type == LLO_Q2_K || type == LLO_Q4_K || type == LLO_Q5_K;
}

#ifndef DOT_TILES // the vocabulary of int8 tiles
#define DOT_TILES "dot_bytes.h"
#endif
#include DOT_TILES

#define NARROW_GROUP DOT_NT
#define NARROW_ROUNDS LLO_Q8_0
#ifndef DOT_TAKES // blocked formats that an int8 tile multiplies
#define DOT_TAKES(type) 1
#endif
FN int narrow_takes(int wtype) { return wtype > LLO_BF16 && wtype < LLO_TYPES && DOT_TAKES(wtype); }

#define DOT_KBLOCK 512 // k extent of one panel
#define DOT_GROUP 16   // tiles that pass a panel together

// 32 activations of each of the tokens of a tile.
typedef struct {
  int8_t q[32 / DOT_K][DOT_NT][DOT_K];
  float scale[DOT_NT];
#if DOT_FROM
  int32_t start[2][DOT_NT], start32[DOT_NT]; // -DOT_FROM * sum of each 16, and of all
#endif
  float sum[2][DOT_NT], sum32[DOT_NT];       // scale * sum
} dot_block;

// Rounds 32 floats to the t-th column of a block.
FN void quantise(dot_block *b, int t, const float *x) {
  vf most = vzero(), bad = vzero();
#pragma GCC unroll 8
  for (int i = 0; i < 32; i += VL) {
    vf v = vload(x + i);
    most = vmax(most, vmax(v, vsub(vzero(), v)));
    bad = vfma(v, vzero(), bad); // NaN where v is not finite
  }
  float top = vhmax(most), inverse = top >= 127 * 0x1p-126f ? 127 / top : 0;
  uint32_t bits[32];
  const vf magic = vset1(0x1.8p23f); // x + magic has round(x) in its low bits
#pragma GCC unroll 8
  for (int i = 0; i < 32; i += VL) vstore((float *)bits + i, vadd(vmul(vload(x + i), vset1(inverse)), magic));
  int8_t q[32];
  for (int i = 0; i < 32; i++) q[i] = (int8_t)bits[i];
  for (int i = 0; i < 32 / DOT_K; i++) memcpy(b->q[i][t], q + DOT_K * i, DOT_K);
  int sum[2] = {0, 0};
  for (int i = 0; i < 16; i++) sum[0] += q[i], sum[1] += q[16 + i];
  b->scale[t] = (inverse > 0 ? top / 127 : 0) + vsum(bad);
#if DOT_FROM
  for (int h = 0; h < 2; h++) b->start[h][t] = -DOT_FROM * sum[h];
  b->start32[t] = -DOT_FROM * (sum[0] + sum[1]);
#endif
  for (int h = 0; h < 2; h++) b->sum[h][t] = b->scale[t] * (float)sum[h];
  b->sum32[t] = b->scale[t] * (float)(sum[0] + sum[1]);
}

FN int64_t narrow_packed(int64_t cols) { return cols / 32 * (int64_t)sizeof(dot_block); }

// One tile: rows <= DOT_NT tokens, the others zero.
LLO_TARGET static void narrow_pack(void *dst, const float *x, int64_t ldx, int64_t cols, int64_t rows) {
  dot_block *b = dst;
  for (int64_t k = 0; k < cols; k += 32, b++) {
    if (rows < DOT_NT) memset(b, 0, sizeof *b);
    for (int64_t t = 0; t < rows; t++) quantise(b, (int)t, x + t * ldx + k);
  }
}

// A panel is a row of records, one for each 32 k: bytes, scales, offsets.
#define RECORD(sub, offset) (MR * 32 + 32 / (sub) * MR * 4 * (1 + (offset)))
#define RECORD_MOST RECORD(16, 1)
FN int64_t dot_record(int type) { return RECORD(dot_sub(type), dot_offset(type)); }

#if DOT_FROM
#define DOT_START(sub, x, h) ((sub) == 32 ? (x)->start32 : (x)->start[h])
#else
#define DOT_START(sub, x, h) NULL
#endif

// c[t][0..MR) (+)= a panel of kn k times the first T tokens of a tile, while f fetches what comes next.
FN void dot_micro(const int type, const int T, const char *panel, const dot_block *x, int64_t kn, float *c, int64_t ldc, int first, fetcher *f) {
  const int sub = dot_sub(type);
  vf lo[DOT_NT], hi[DOT_NT];
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) {
    lo[t] = first ? vzero() : vload(c + t * ldc);
    hi[t] = first ? vzero() : vload(c + t * ldc + VL);
  }
  for (int64_t k = 0; k < kn; k += 32, x++, panel += dot_record(type)) {
    const float *scale = (const float *)(panel + MR * 32), *offset = scale + 32 / sub * MR;
    fetch_some(f);
#pragma GCC unroll 2
    for (int h = 0; h < 32 / sub; h++) {
      vi acc[DOT_NT][2];
      dot_sums(type, T, acc, sub / DOT_K, panel + h * sub * MR, x->q[h * sub / DOT_K][0], DOT_START(sub, x, h));
      vf s = vload(scale + h * MR), z = vload(scale + h * MR + VL);
#pragma GCC unroll 8
      for (int t = 0; t < T; t++) {
        vf d = vset1(x->scale[t]);
        lo[t] = vfma(vifloat(acc[t][0]), vmul(s, d), lo[t]);
        hi[t] = vfma(vifloat(acc[t][1]), vmul(z, d), hi[t]);
      }
      if (dot_offset(type)) {
        s = vload(offset + h * MR), z = vload(offset + h * MR + VL);
#pragma GCC unroll 8
        for (int t = 0; t < T; t++) {
          vf d = vset1(sub == 32 ? x->sum32[t] : x->sum[h][t]);
          lo[t] = vfma(s, d, lo[t]);
          hi[t] = vfma(z, d, hi[t]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) {
    vstore(c + t * ldc, lo[t]);
    vstore(c + t * ldc + VL, hi[t]);
  }
}

typedef void dot_fn(const char *panel, const dot_block *x, int64_t kn, float *c, int64_t ldc, int first, fetcher *f);
#define DOT(F, T)                                                                                                                   \
  LLO_TARGET static void dot_##F##_##T(const char *p, const dot_block *x, int64_t kn, float *c, int64_t ldc, int first, fetcher *f) { \
    dot_micro(LLO_##F, T, p, x, kn, c, ldc, first, f);                                                                              \
  }
#define DOTS(T) \
  DOT(Q4_0, T) DOT(Q4_1, T) DOT(Q5_0, T) DOT(Q5_1, T) DOT(Q8_0, T) DOT(Q2_K, T) DOT(Q3_K, T) DOT(Q4_K, T) DOT(Q5_K, T) DOT(Q6_K, T)
#define DOT_LIST(N, T)                                                                                             \
  {[LLO_Q4_0] = N##Q4_0##T, [LLO_Q4_1] = N##Q4_1##T, [LLO_Q5_0] = N##Q5_0##T, [LLO_Q5_1] = N##Q5_1##T,             \
   [LLO_Q8_0] = N##Q8_0##T, [LLO_Q2_K] = N##Q2_K##T, [LLO_Q3_K] = N##Q3_K##T, [LLO_Q4_K] = N##Q4_K##T,             \
   [LLO_Q5_K] = N##Q5_K##T, [LLO_Q6_K] = N##Q6_K##T}
DOTS(2) DOTS(4)
#if DOT_NT == 6
DOTS(6)
#else
_Static_assert(DOT_NT == 4, "a kernel for every second number of tokens");
#endif
static dot_fn *const dot_kernels[DOT_NT / 2][LLO_TYPES] = {
    DOT_LIST(dot_, _2), DOT_LIST(dot_, _4),
#if DOT_NT == 6
    DOT_LIST(dot_, _6),
#endif
};

#ifdef DOT_ROWS
#include "body_unpack_rows.h"

#define ROW_MOST 576 // bytes of DOT_KBLOCK weights, in any format

// Unpacks weights [k0, k0+kn) of up to MR rows into a panel. Lanes of rows that are not
// there repeat the last one.
FN void dot_panel(const int type, char *panel, const llo_gemm *g, int64_t row, int64_t k0, int64_t kn) {
  const int64_t record = dot_record(type), bytes = llo_row_bytes(type, kn);
  for (int64_t h = 0; h < MR && row + h < g->rows; h += VL) {
    const char *first = g->w + (row + h) * g->rowbytes + llo_row_bytes(type, k0);
    char some[VL * ROW_MOST];
    rows_from w = rows_of(first, g->rowbytes);
    if (row + h + VL > g->rows) {
      for (int64_t r = 0; r < VL; r++) memcpy(some + r * ROW_MOST, first + (row + h + r < g->rows ? r : g->rows - 1 - row - h) * g->rowbytes, (size_t)bytes);
      w = rows_of(some, ROW_MOST);
    }
    for (int64_t k = 0; k < kn; k += SUPER) {
      const int n = kn - k < SUPER ? (int)(kn - k) : SUPER;
      unpack_rows(type, (lanes_to){panel + k / 32 * record, record, h}, &w, llo_row_bytes(type, k), n);
    }
  }
}
#else
// Turns VL unpacked rows, which begin at row h of the panel, into their lanes of
// the records. n <= SUPER weights of each.
FN void dot_lanes(const int type, char *panel, int64_t h, const unpacked *rows, int n) {
  const int sub = dot_sub(type), offset = dot_offset(type);
  const int64_t record = dot_record(type);
  vf v[VL];
  dot_codes(type, panel, record, h, rows, n);
  for (int which = 0; which <= offset; which++)
    for (int i = 0; i < n / 16; i += VL) {
#pragma GCC unroll 16
      for (int r = 0; r < VL; r++) v[r] = vload((which ? rows[r].offset : rows[r].scale) + i);
      vtranspose(v);
#pragma GCC unroll 16
      for (int j = 0; j < VL; j++)
        if (i + j < n / 16 && (i + j) % (sub / 16) == 0) {
          char *p = panel + (i + j) / 2 * record + MR * 32 + (which * 32 / sub + (i + j) % 2) * MR * 4;
          vstore((float *)p + h, v[j]);
        }
    }
}

// Unpacks weights [k0, k0+kn) of up to MR rows into a panel. Lanes of rows that
// are not there hold what the rows before left, and nobody reads their results.
FN void dot_panel(const int type, char *panel, const llo_gemm *g, int64_t row, int64_t k0, int64_t kn) {
  unpacked rows[VL];
  const int64_t record = dot_record(type);
  memset(rows, 0, sizeof rows);
  for (int64_t h = 0; h < MR && row + h < g->rows; h += VL)
    for (int64_t k = 0; k < kn; k += SUPER) {
      int n = kn - k < SUPER ? (int)(kn - k) : SUPER;
      for (int64_t r = 0; r < VL && row + h + r < g->rows; r++)
        unpack(type, &rows[r], g->w + (row + h + r) * g->rowbytes + llo_row_bytes(type, k0 + k), n);
      dot_lanes(type, panel + k / 32 * record, h, rows, n);
    }
}
#endif
typedef void dot_panel_fn(char *panel, const llo_gemm *g, int64_t row, int64_t k0, int64_t kn);
#define DOT_PANEL(T)                                                                                              \
  LLO_TARGET static void dot_panel_##T(char *panel, const llo_gemm *g, int64_t row, int64_t k0, int64_t kn) { \
    dot_panel(LLO_##T, panel, g, row, k0, kn);                                                                    \
  }
DOT_PANEL(Q4_0) DOT_PANEL(Q4_1) DOT_PANEL(Q5_0) DOT_PANEL(Q5_1) DOT_PANEL(Q8_0)
DOT_PANEL(Q2_K) DOT_PANEL(Q3_K) DOT_PANEL(Q4_K) DOT_PANEL(Q5_K) DOT_PANEL(Q6_K)
static dot_panel_fn *const dot_panels[LLO_TYPES] = DOT_LIST(dot_panel_, );

#define DOT_PANEL_BYTES (DOT_KBLOCK / 32 * RECORD_MOST)
#define DOT_TILES_MOST (LLO_TILES_MOST * NT / DOT_NT)
#define NARROW_BYTES ((int64_t)LLO_PANELS * (DOT_PANEL_BYTES + DOT_TILES_MOST * DOT_NT * MR * 4))

// One block of k, [k0, k0+kn), against tn tokens from t0 on, whose tiles begin at x. The first group of
// tiles unpacks the panels and, while they are multiplied, fetches the next one. The last block's results are stored.
FN void dot_pass(const llo_gemm *g, const float *bias, char *panels, int64_t k0, int64_t kn, const dot_block *x, int64_t t0, int64_t tn, float *c) {
  const int64_t np = (g->rows + MR - 1) / MR, ldc = np * MR, record = g->k / 32, tiles = (tn + DOT_NT - 1) / DOT_NT;
  const int last = k0 + kn == g->k;
  for (int64_t from = 0, end; from < tiles; from = end) {
    end = tiles - from < DOT_GROUP ? tiles : from + DOT_GROUP;
    for (int64_t p = 0; p < np; p++) {
      char *panel = panels + p * DOT_PANEL_BYTES;
      const rows_ahead next = ahead_of(g, p + 1, MR, k0, kn, DOT_KBLOCK);
      fetcher f = fetch_in(&next, from == 0 ? end * (kn / 32) : 0);
      if (from == 0) dot_panels[g->wtype](panel, g, p * MR, k0, kn);
      for (int64_t t = from; t < end; t++) {
        const int64_t left = tn - t * DOT_NT, n = left < DOT_NT ? left : DOT_NT;
        float *sums = c + t * DOT_NT * ldc + p * MR;
        if (last) store_ahead(g, p * MR, t0 + t * DOT_NT, n);
        dot_kernels[(n + 1) / 2 - 1][g->wtype](panel, x + t * record, kn, sums, ldc, k0 == 0, &f);
        if (last) store_tile(g, bias, sums, ldc, p * MR, t0 + t * DOT_NT, n);
      }
    }
  }
}

// rows <= LLO_PANELS*MR. scratch: LLO_PANELS panels, then the sums.
LLO_TARGET static void narrow_gemm(const llo_gemm *g, void *room) {
  const int64_t record = g->k / 32, most = DOT_TILES_MOST * DOT_NT;
  char *panels = room;
  float *c = (float *)(panels + LLO_PANELS * DOT_PANEL_BYTES), bias[LLO_PANELS * MR];
  if (g->b) k_widen(bias, g->b, g->btype, g->rows);
  for (int64_t t0 = 0; t0 < g->m; t0 += most) {
    int64_t tn = g->m - t0 < most ? g->m - t0 : most;
    for (int64_t k0 = 0; k0 < g->k; k0 += DOT_KBLOCK) {
      int64_t kn = g->k - k0 < DOT_KBLOCK ? g->k - k0 : DOT_KBLOCK;
      dot_pass(g, bias, panels, k0, kn, (const dot_block *)g->x + t0 / DOT_NT * record + k0 / 32, t0, tn, c);
    }
  }
}
