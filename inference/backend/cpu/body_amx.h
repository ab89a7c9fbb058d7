// Prefill projections on the matrix unit: out[t][r] = sum_k w[r][k] x[t][k], both
// sides rounded to bf16 (nearest even), sums in float32. Weights of every format
// but F32, whose products stay exact (body_gemm.h).
//
// A tile of weights is 16 rows of 32 k in their natural order; a tile of
// activations 16 tokens as [k/2][16][2], packed so once an op; a tile of results
// [16 weight rows][16 tokens], turned when it is stored. Two by two of them are
// computed together, so that a load serves two products.
//
// Loop order: tokens by 256, blocks of k, pairs of weight tiles (128 KB), pairs of token
// tiles (1 MB); both in L2. Sums wait in memory from one block of k to the
// next, as the float32 they are in the tile: a result is one chain of tile
// products in the order of k, and depends on nothing but its weight row and its
// activation row.
//
// Measured on two cores of a Xeon with 2 MB of L2 and 480 MB of L3, ns a product of a core: with
// registers only 5.2, with its loads from L2 8.5, in here, all included, 19 for 64 tokens, 14.5
// for 256 and 18 for 512 (20 with blocks of 512 k for 512 tokens). A tile that was just converted
// is slow to load, and the unit takes twice as long for its first microseconds after vectors: so
// rows are converted 2048 k at a time, and few tokens are bound by that, at 12 GB/s of weights.
//
// The unit counts denormals as zero. bf16 weights are exact; f16 and quantised
// weights lose up to 2^-8 of themselves, as activations do; what is beyond the
// largest bf16 becomes infinite. NaN and infinity surface.
//
#include <pthread.h>

#include "body_unpack.h"

#define AMX_GROUP 16 // tokens of a tile
#define AMX_ROWS 32  // weight rows of two tiles
#define AMX_TILE 512 // bf16 of a tile
#define AMX_KBLOCK 2048
#define AMX_TOKENS 256  // most tokens whose sums a work item holds
#define AMX_STRETCH 512 // weights of a row that are converted at once
#define AMX_STREAMS 4   // rows that take turns then
#define AMX_AHEAD 512   // bytes between a fetch of weights and their conversion

#include "body_bf16.h"

#include "body_amx_weights.h"

// Bytes of a group. The tiles that a block of k has in all groups are read again and
// again: with an odd number of stretches of 16 tiles from one group to the next they spread
// over all sets of the second cache. Measured on Emerald Rapids, cycles of a product
// whose activations come from there: 17 so, 27 at a distance of 64 KB.
FN int64_t amx_packed(int64_t cols) {
  const int64_t stretch = 16 * AMX_TILE * 2, bytes = (cols + 31) / 32 * AMX_TILE * 2;
  return bytes <= stretch ? bytes : ((bytes + stretch - 1) / stretch | 1) * stretch;
}

// 16 tokens times scale, those beyond `rows` zero.
LLO_TARGET static void amx_pack(void *dst, const float *x, int64_t ldx, int64_t cols, int64_t rows, float scale) {
  float *out = dst;
  for (int64_t k = 0; k < cols; k += 32, out += AMX_TILE / 2) {
    vf v[VL];
#pragma GCC unroll 16
    for (int t = 0; t < VL; t++)
      v[t] = t < rows ? _mm512_castsi512_ps(bf16_some(x + t * ldx + k, cols - k, vset1(scale))) : vzero();
    vtranspose(v);
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++) vstore(out + i * VL, v[i]);
  }
}

// Two tiles of weights by two of tokens over `blocks` of 32 k. c is the sums of
// the first weight tile, those of the second lie `next` floats on.
LLO_TARGET static void amx_two(const uint16_t *w, const uint16_t *x, int64_t xnext, int64_t blocks, float *c, int64_t cnext, int first) {
  const uint16_t *w2 = w + AMX_KBLOCK / 32 * AMX_TILE, *x2 = x + xnext;
  if (first) {
    TILE_ZERO(0); TILE_ZERO(1); TILE_ZERO(2); TILE_ZERO(3);
  } else {
    TILE_LOAD(0, c); TILE_LOAD(1, c + 256); TILE_LOAD(2, c + cnext); TILE_LOAD(3, c + cnext + 256);
  }
  for (int64_t i = 0; i < blocks * AMX_TILE; i += AMX_TILE) {
    TILE_LOAD(4, w + i);
    TILE_LOAD(6, x + i);
    TILE_DOT(0, 4, 6);
    TILE_LOAD(7, x2 + i);
    TILE_DOT(1, 4, 7);
    TILE_LOAD(5, w2 + i);
    TILE_DOT(2, 5, 6);
    TILE_DOT(3, 5, 7);
  }
  TILE_STORE(0, c); TILE_STORE(1, c + 256); TILE_STORE(2, c + cnext); TILE_STORE(3, c + cnext + 256);
}

// The same with the last token tile of an odd number.
LLO_TARGET static void amx_one(const uint16_t *w, const uint16_t *x, int64_t blocks, float *c, int64_t cnext, int first) {
  const uint16_t *w2 = w + AMX_KBLOCK / 32 * AMX_TILE;
  if (first) {
    TILE_ZERO(0); TILE_ZERO(2);
  } else {
    TILE_LOAD(0, c); TILE_LOAD(2, c + cnext);
  }
  for (int64_t i = 0; i < blocks * AMX_TILE; i += AMX_TILE) {
    TILE_LOAD(4, w + i);
    TILE_LOAD(6, x + i);
    TILE_DOT(0, 4, 6);
    TILE_LOAD(5, w2 + i);
    TILE_DOT(2, 5, 6);
  }
  TILE_STORE(0, c); TILE_STORE(2, c + cnext);
}

// Turns the sums of one tile of weights and stores them: rows [r, r+rows) of the
// item, tokens [t0, t0+tn).
FN void amx_store(const llo_gemm *g, const float *c, int64_t r, int64_t rows, int64_t t0, int64_t tn) {
  float bias[VL] = {0};
  if (g->b) llo_avx512.widen(bias, g->b + r * (g->btype == LLO_F32 ? 4 : 2), g->btype, rows);
  for (int64_t t = 0; t < tn; t += VL, c += 256) {
    vf v[VL];
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++) v[i] = vload(c + i * VL);
    vtranspose(v);
    for (int i = 0; i < VL && t + i < tn; i++) {
      float *y = g->out + (t0 + t + i) * g->ldo + r;
      vf s = v[i];
      if (g->b) s = vadd(s, vload(bias));
      if (g->add) s = vadd(s, vloadn(y, rows));
      vstoren(y, s, rows);
    }
  }
}

#define AMX_WEIGHTS (AMX_ROWS * AMX_KBLOCK * 2)
#define AMX_BYTES ((int64_t)AMX_WEIGHTS + LLO_PANELS * AMX_ROWS * AMX_TOKENS * 4)

// Weights [k0, k0+kn) of rows [row, row+AMX_ROWS) of the item to two tiles of rows; rows that are not there
// keep what was there, and nobody reads their results. Rows are converted from their beginning to their end, four
// far apart in turns: so they are fetched by the processor itself, too, which foresees long stretches.
FN void amx_convert(const llo_gemm *g, uint16_t *w, int64_t row, int64_t k0, int64_t kn) {
  const int64_t bytes = llo_row_bytes(g->wtype, AMX_STRETCH), each = AMX_ROWS / AMX_STREAMS, apart = each * g->rowbytes;
  const char *first = g->w + row * g->rowbytes + llo_row_bytes(g->wtype, k0);
  for (int64_t r = 0; r < each; r++, first += g->rowbytes) {
    const char *from = first;
    for (int64_t k = 0; k < kn; k += AMX_STRETCH, from += bytes)
      for (int64_t i = r; i < AMX_ROWS && row + i < g->rows; i += each) {
        const char *p = from + i / each * apart;
        for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(p + AMX_AHEAD + line);
        uint16_t *to = w + i / 16 * (AMX_KBLOCK / 32 * AMX_TILE) + k / 32 * AMX_TILE + i % 16 * 32;
        amx_rows[g->wtype](to, p, kn - k < AMX_STRETCH ? kn - k : AMX_STRETCH);
      }
  }
}

// rows <= LLO_PANELS*AMX_ROWS. scratch: the weights of two tiles of rows and a block of k, then the sums, of
// which a tile of rows has one stretch of AMX_TOKENS tokens.
LLO_TARGET static void amx_gemm(const llo_gemm *g, void *room) {
  uint16_t *w = room;
  float *c = (float *)((char *)room + AMX_WEIGHTS);
  const int64_t group = amx_packed(g->k) / 2, ctile = AMX_TOKENS * 16;
  tiles_open();
  for (int64_t t0 = 0; t0 < g->m; t0 += AMX_TOKENS) {
    int64_t tn = g->m - t0 < AMX_TOKENS ? g->m - t0 : AMX_TOKENS, tiles = (tn + 15) / 16;
    for (int64_t k0 = 0; k0 < g->k; k0 += AMX_KBLOCK) {
      int64_t kn = g->k - k0 < AMX_KBLOCK ? g->k - k0 : AMX_KBLOCK, blocks = (kn + 31) / 32;
      const uint16_t *x = (const uint16_t *)g->x + t0 / 16 * group + k0 / 32 * AMX_TILE;
      for (int64_t r = 0; r * 16 < g->rows; r += 2) {
        amx_convert(g, w, r * 16, k0, kn);
        int64_t t = 0;
        for (; t + 2 <= tiles; t += 2) amx_two(w, x + t * group, group, blocks, c + r * ctile + t * 256, ctile, k0 == 0);
        if (t < tiles) amx_one(w, x + t * group, blocks, c + r * ctile + t * 256, ctile, k0 == 0);
      }
    }
    for (int64_t r = 0; r < g->rows; r += 16)
      amx_store(g, c + r / 16 * ctile, r, g->rows - r < 16 ? g->rows - r : 16, t0, tn);
  }
  tiles_close();
}

#include "body_amx_rows.h"

#include "body_amx_attend.h"

// The table: AVX-512's but for the prefill of all formats except F32, and for
// many decode rows of the blocked ones.
//
// AMX_GATHERS is the number of them from which tiles cost less than vectors. Measured
// on Emerald Rapids, whole steps, two threads: with 16 rows tiles take 0.72 to 0.85 of
// the time, with 8 rows 1.0 to 1.3. (Two blocks in one tile, whose columns 8 rows
// leave free, made 0.95 to 1.25 of that.)
enum { AMX_GATHERS = 9 };

FN int amx_takes(int wtype, int prefill) { return prefill && wtype != LLO_F32 && wtype < LLO_TYPES; }

LLO_TARGET static int table_packing(int wtype, int prefill) {
  return amx_takes(wtype, prefill) ? LLO_NARROW : llo_avx512.packing(wtype, prefill);
}
static int table_rounds(int packing) { return packing == LLO_NARROW ? LLO_BF16 : llo_avx512.rounds(packing); }
static int64_t table_group(int packing) {
  return packing == LLO_NARROW ? AMX_GROUP : packing == LLO_GATHERED ? GATHER : llo_avx512.group(packing);
}
LLO_TARGET static int64_t table_packed(int packing, int64_t cols) {
  if (packing == LLO_GATHERED) return gathered_bytes(cols);
  return packing == LLO_NARROW ? amx_packed(cols) : llo_avx512.packed(packing, cols);
}
static void table_pack(int packing, void *dst, const float *x, int64_t ldx, int64_t cols, int64_t rows) {
  if (packing == LLO_NARROW) amx_pack(dst, x, ldx, cols, rows, 1);
  else llo_avx512.pack(packing, dst, x, ldx, cols, rows);
}
LLO_TARGET static void table_gemm(const llo_gemm *g, void *room) {
  if (amx_takes(g->wtype, 1)) amx_gemm(g, room);
  else llo_avx512.gemm(g, room);
}
static void table_gemv(const llo_gemv *g, void *room) {
  if (g->gathered) amx_gemv(g, room);
  else llo_avx512.gemv(g, room);
}

static int table_attend_rounds(int kvtype) { return kvtype == LLO_F32 ? LLO_F32 : LLO_BF16; }
LLO_TARGET static void table_attend(const llo_attend *a, float *state, float *scratch) {
  if (a->kvtype == LLO_F32) llo_avx512.attend(a, state, scratch);
  else amx_attend(a, state, scratch);
}

// What the unit does on registers only, on four sums; NULL where it is emulated.
#ifdef TILES_PEAK
static double amx_peak(int64_t iterations) {
  tiles_open();
  for (int64_t i = 0; i < iterations; i++) {
    TILE_DOT(0, 4, 6);
    TILE_DOT(1, 4, 7);
    TILE_DOT(2, 5, 6);
    TILE_DOT(3, 5, 7);
  }
  tiles_close();
  return (double)iterations * 4 * 16 * 16 * 32 * 2;
}
#else
#define amx_peak NULL
#endif

static llo_kernels table;
static void fill(void) {
  table = llo_avx512;
  table.name = TABLE_NAME, table.tiles = amx_peak;
  if (table.gemm_bytes < AMX_BYTES) table.gemm_bytes = AMX_BYTES;
  table.packing = table_packing, table.rounds = table_rounds, table.group = table_group;
  table.packed = table_packed, table.pack = table_pack, table.gemm = table_gemm, table.gemv = table_gemv;
  table.gathers = AMX_GATHERS, table.gather = amx_gather;
  table.attend = table_attend, table.attend_rounds = table_attend_rounds, table.attend_floats = amx_attend_floats;
  table.attend_queries = LLO_QUERIES * LLO_HEADS;
}
const llo_kernels *TABLE(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, fill);
  return &table;
}
