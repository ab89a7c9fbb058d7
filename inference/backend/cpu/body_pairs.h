// Prefill projections with bf16 weights where dot products of bf16 pairs are faster than
// float32: out[t][r] = sum_k w[r][k] x[t][k], activations rounded to bf16 (nearest even),
// sums in float32.
//
// MR = 2*VL weight rows at a time are transposed into a panel [k/2][MR][2]; a tile of NT
// activation rows, packed [k/2][NT][2] once an op, is broadcast against it.
//
// A vector lane holds one result. It sums PAIR_KBLOCK products from zero, pair by pair in
// the order of k, and these block sums are added in the order of the blocks, so a result
// depends on nothing but its weight row and its activation row.
//
// The instruction counts denormals as zero and rounds to nearest whatever the mode. NaN
// and infinity surface.
//
// Loop order: block of k, groups of token tiles (in L2), panels (in L1), tiles.
//
// Measured on a 2-core Zen 4 VM, two threads, as shares of the pairs' peak of the same
// minute (470 GFLOP/s, twice that of float32): rows of 2048 or 5632 against 512 activation
// rows 0.91, 16 rows 0.47; with body_gemm.h, which does not round, 0.45 and 0.22.
#include <pthread.h>

#include "body_bf16.h"
#include "body_fetch.h"

#define MR (2 * VL)
#include "body_store.h"
#define PAIR_KBLOCK 512 // k extent of one panel
#define PAIR_GROUP 8    // tiles that pass a panel together
#define PAIR_AHEAD 128  // bytes between a fetch of weights and their transposition
#define PAIR_PANEL (PAIR_KBLOCK / 2 * MR) // dwords of a panel

FN int64_t pairs_of(int64_t cols) { return (cols + 1) / 2; }

// One tile: rows <= NT tokens, the others zero.
LLO_TARGET static void pair_pack(void *dst, const float *x, int64_t ldx, int64_t cols, int64_t rows) {
  float *out = dst;
  for (int64_t k = 0; k < cols; k += 2 * VL, out += VL * NT) {
    const int64_t pairs = pairs_of(cols - k) < VL ? pairs_of(cols - k) : VL;
    vf v[VL];
#pragma GCC unroll 16
    for (int t = 0; t < VL; t++) v[t] = t < rows ? _mm512_castsi512_ps(bf16_some(x + t * ldx + k, cols - k, vset1(1))) : vzero();
    vtranspose(v);
    for (int64_t i = 0; i < pairs; i++) vstoren(out + i * NT, v[i], NT);
  }
}

// The n last weights of a row, fewer than 2*VL, zeros behind; reads no byte past them.
FN vf pair_tail(const char *w, int64_t n) {
  char tail[VL * 4] = {0};
  memcpy(tail, w, (size_t)n * 2);
  return vload((const float *)tail);
}

// Transposes weights [k0, k0+kn) of up to MR rows to a panel. Each line is fetched
// PAIR_AHEAD bytes before it is used, for the item's first panel, which nobody has fetched.
// Lanes of rows that are not there repeat the last one.
FN void pair_panel(float *panel, const llo_gemm *g, int64_t row, int64_t k0, int64_t kn) {
  for (int64_t h = 0; h < MR && row + h < g->rows; h += VL)
    for (int64_t k = 0; k < kn; k += 2 * VL) {
      const int64_t n = kn - k, pairs = pairs_of(n) < VL ? pairs_of(n) : VL;
      vf v[VL];
#pragma GCC unroll 16
      for (int r = 0; r < VL; r++) {
        const char *w = g->w + (row + h + r < g->rows ? row + h + r : g->rows - 1) * g->rowbytes + (k0 + k) * 2;
        __builtin_prefetch(w + PAIR_AHEAD);
        v[r] = n >= 2 * VL ? vload((const float *)w) : pair_tail(w, n);
      }
      vtranspose(v);
      for (int64_t i = 0; i < pairs; i++) vstore(panel + (k / 2 + i) * MR + h, v[i]);
    }
}

#define PAIR_STEP 16 // pairs between two steps of what fetches

// c[t][0..MR) (+)= sum over pairs of panel[pair][0..MR) x[pair][t], while f fetches what comes next.
FN void pair_micro(const int T, const float *panel, const float *x, int64_t pairs, float *c, int64_t ldc, int first, fetcher *f) {
  vf lo[NT], hi[NT];
#pragma GCC unroll 16
  for (int t = 0; t < T; t++) lo[t] = hi[t] = vzero();
  for (int64_t from = 0; from < pairs; from += PAIR_STEP) {
    fetch_some(f);
    for (int64_t i = from; i < pairs && i < from + PAIR_STEP; i++) {
      const __m512bh a = (__m512bh)vload(panel + i * MR), b = (__m512bh)vload(panel + i * MR + VL);
#pragma GCC unroll 16
      for (int t = 0; t < T; t++) {
        const __m512bh u = (__m512bh)vset1(x[i * NT + t]);
        lo[t] = _mm512_dpbf16_ps(lo[t], a, u);
        hi[t] = _mm512_dpbf16_ps(hi[t], b, u);
      }
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < T; t++) {
    float *p = c + t * ldc;
    vstore(p, first ? lo[t] : vadd(vload(p), lo[t]));
    vstore(p + VL, first ? hi[t] : vadd(vload(p + VL), hi[t]));
  }
}

typedef void pair_fn(const float *panel, const float *x, int64_t pairs, float *c, int64_t ldc, int first, fetcher *f);
#define PAIRS(T)                                                                                                                  \
  LLO_TARGET static void pair_micro##T(const float *p, const float *x, int64_t n, float *c, int64_t ldc, int first, fetcher *f) { \
    pair_micro(T, p, x, n, c, ldc, first, f);                                                                                     \
  }
PAIRS(1) PAIRS(2) PAIRS(3) PAIRS(4) PAIRS(5) PAIRS(6) PAIRS(7) PAIRS(8) PAIRS(9) PAIRS(10) PAIRS(11) PAIRS(12)
_Static_assert(NT == 12, "a kernel for each number of tokens");
static pair_fn *const pair_micros[NT] = {pair_micro1, pair_micro2, pair_micro3, pair_micro4,  pair_micro5,  pair_micro6,
                                         pair_micro7, pair_micro8, pair_micro9, pair_micro10, pair_micro11, pair_micro12};

// One block of k, [k0, k0+kn), against tn tokens from t0 on, whose tiles begin at x, `tile` floats
// apart. The first group of tiles transposes the panels and, while they are multiplied,
// fetches the next one. The last block's results are stored.
FN void pair_pass(const llo_gemm *g, const float *bias, float *panels, int64_t k0, int64_t kn, const float *x, int64_t tile, int64_t t0, int64_t tn, float *c) {
  const int64_t np = (g->rows + MR - 1) / MR, ldc = np * MR;
  const int last = k0 + kn == g->k;
  for (int64_t from = 0, end; from < tn; from = end) {
    end = tn - from < PAIR_GROUP * NT ? tn : from + PAIR_GROUP * NT;
    for (int64_t p = 0; p < np; p++) {
      float *panel = panels + p * PAIR_PANEL;
      const rows_ahead next = ahead_of(g, p + 1, MR, k0, kn, PAIR_KBLOCK);
      fetcher f = fetch_in(&next, from == 0 ? (end + NT - 1) / NT * ((pairs_of(kn) + PAIR_STEP - 1) / PAIR_STEP) : 0);
      if (from == 0) pair_panel(panel, g, p * MR, k0, kn);
      for (int64_t t = from; t < end; t += NT) {
        const int64_t n = end - t < NT ? end - t : NT;
        if (last) store_ahead(g, p * MR, t0 + t, n);
        pair_micros[n - 1](panel, x + t / NT * tile, pairs_of(kn), c + t * ldc + p * MR, ldc, k0 == 0, &f);
        if (last) store_tile(g, bias, c + t * ldc + p * MR, ldc, p * MR, t0 + t, n);
      }
    }
  }
}

#define PAIR_BYTES ((int64_t)LLO_PANELS * (PAIR_PANEL + MR * LLO_TILES_MOST * NT) * 4)

// rows <= LLO_PANELS*MR. scratch: LLO_PANELS panels, then the sums.
LLO_TARGET static void pair_gemm(const llo_gemm *g, void *room) {
  const int64_t most = LLO_TILES_MOST * NT, tile = pairs_of(g->k) * NT;
  float *panels = room, *c = panels + LLO_PANELS * PAIR_PANEL, bias[LLO_PANELS * MR];
  if (g->b) llo_avx512.widen(bias, g->b, g->btype, g->rows);
  for (int64_t t0 = 0; t0 < g->m; t0 += most) {
    const int64_t tn = g->m - t0 < most ? g->m - t0 : most;
    for (int64_t k0 = 0; k0 < g->k; k0 += PAIR_KBLOCK) {
      const int64_t kn = g->k - k0 < PAIR_KBLOCK ? g->k - k0 : PAIR_KBLOCK;
      pair_pass(g, bias, panels, k0, kn, (const float *)g->x + t0 / NT * tile + k0 / 2 * NT, tile, t0, tn, c);
    }
  }
}

// The table: AVX-512's but for prompts that meet bf16.
FN int pair_takes(int wtype, int prefill) { return prefill && wtype == LLO_BF16; }

LLO_TARGET static int table_packing(int wtype, int prefill) { return pair_takes(wtype, prefill) ? LLO_PAIRS : llo_avx512.packing(wtype, prefill); }
static int table_rounds(int packing) { return packing == LLO_PAIRS ? LLO_BF16 : llo_avx512.rounds(packing); }
static int64_t table_group(int packing) { return packing == LLO_PAIRS ? NT : llo_avx512.group(packing); }
LLO_TARGET static int64_t table_packed(int packing, int64_t cols) { return packing == LLO_PAIRS ? pairs_of(cols) * NT * 4 : llo_avx512.packed(packing, cols); }
static void table_pack(int packing, void *dst, const float *x, int64_t ldx, int64_t cols, int64_t rows) {
  if (packing == LLO_PAIRS) pair_pack(dst, x, ldx, cols, rows);
  else llo_avx512.pack(packing, dst, x, ldx, cols, rows);
}
LLO_TARGET static void table_gemm(const llo_gemm *g, void *room) {
  if (pair_takes(g->wtype, 1)) pair_gemm(g, room);
  else llo_avx512.gemm(g, room);
}

// What the unit does on registers only.
LLO_TARGET static double pair_peak(int64_t iterations) {
  vf acc[12], t = vzero();
  __m512bh m = (__m512bh)_mm512_set1_epi16(0x3f7f), s = (__m512bh)_mm512_set1_epi16((short)0xb1a0);
#pragma GCC unroll 12
  for (int i = 0; i < 12; i++) acc[i] = vset1((float)i);
  for (int64_t n = 0; n < iterations; n++) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) acc[i] = _mm512_dpbf16_ps(acc[i], m, s);
  }
#pragma GCC unroll 12
  for (int i = 0; i < 12; i++) t = vadd(t, acc[i]);
  volatile float keep = vsum(t);
  (void)keep;
  return (double)iterations * 12 * VL * 4;
}

static llo_kernels table;
static void fill(void) {
  table = llo_avx512;
  table.name = TABLE_NAME;
  if (table.gemm_bytes < PAIR_BYTES) table.gemm_bytes = PAIR_BYTES;
  table.packing = table_packing, table.rounds = table_rounds, table.group = table_group;
  table.packed = table_packed, table.pack = table_pack, table.gemm = table_gemm, table.pairs = pair_peak;
}
const llo_kernels *TABLE(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, fill);
  return &table;
}
