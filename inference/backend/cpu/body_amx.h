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
// tiles (1 MB); both in L2, and beside them the next pair of weight tiles, which are
// converted meanwhile (body_amx_beside.h), also those of the next item. Sums wait in memory from one
// block of k to the next, as the float32 they are in the tile: a result is one chain of tile
// products in the order of k, and depends on nothing but its weight row and its
// activation row.
//
// Measured on two cores of a Xeon with 2 MB of L2 and 480 MB of L3, ns a product of a core: with
// registers only 5.2, with its loads from L2 8.5, in here, with the conversion of Q8_0 and all else, 68 for
// 16 tokens, 25 for 64, 21 for 256 and 23 for 512. Tiles of weights that are read again from the first
// cache, by blocks of 256 to 1024 k inside those of 2048, cost more in sums than they save: 5 to 10 %.
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

FN int64_t amx_least(int64_t a, int64_t b) { return a < b ? a : b; }

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

#include "body_amx_beside.h"

// Two tiles of weights by two of tokens over `blocks` of 32 k. c is the sums of
// the first weight tile, those of the second lie `next` floats on.
LLO_TARGET static void amx_two(const uint16_t *w, const uint16_t *x, int64_t xnext, int64_t blocks, float *c, int64_t cnext, int first, amx_beside *b) {
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
    amx_share(b);
  }
  TILE_STORE(0, c); TILE_STORE(1, c + 256); TILE_STORE(2, c + cnext); TILE_STORE(3, c + cnext + 256);
}

// The same with the last token tile of an odd number.
LLO_TARGET static void amx_one(const uint16_t *w, const uint16_t *x, int64_t blocks, float *c, int64_t cnext, int first, amx_beside *b) {
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
    amx_share(b);
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

#define AMX_WEIGHTS (AMX_ROWS * AMX_KBLOCK * 2) // bytes of a unit's, converted
#define AMX_BYTES ((int64_t)2 * AMX_WEIGHTS + LLO_PANELS * AMX_ROWS * AMX_TOKENS * 4)

FN int amx_takes(int wtype, int prefill) { return prefill && wtype != LLO_F32 && wtype < LLO_TYPES; }

// What is multiplied at once: a pair of tiles of weight rows by a block of k, and up to AMX_TOKENS tokens.
typedef struct {
  int64_t row, k0, t0;
} amx_unit;

// The next unit of an item; 0 if there is none.
FN int amx_after(const llo_gemm *g, amx_unit *u) {
  if ((u->row += AMX_ROWS) < g->rows) return 1;
  u->row = 0;
  if ((u->k0 += AMX_KBLOCK) < g->k) return 1;
  u->k0 = 0;
  return (u->t0 += AMX_TOKENS) < g->m;
}

FN amx_beside amx_tiles_of(const llo_gemm *g, const amx_unit *u, uint16_t *w) {
  return amx_unpacking(g, u->row, u->k0, amx_least(g->k - u->k0, AMX_KBLOCK), w);
}

// The products of a unit whose weights are at w; b beside them.
FN void amx_multiply(const llo_gemm *g, const amx_unit *u, const uint16_t *w, float *c, amx_beside *b) {
  const int64_t group = amx_packed(g->k) / 2, next = AMX_TOKENS * 16;
  const int64_t tiles = (amx_least(g->m - u->t0, AMX_TOKENS) + 15) / 16, blocks = (amx_least(g->k - u->k0, AMX_KBLOCK) + 31) / 32;
  const uint16_t *x = (const uint16_t *)g->x + u->t0 / 16 * group + u->k0 / 32 * AMX_TILE;
  b->steps = (tiles + 1) / 2 * blocks;
  c += u->row / 16 * next;
  int64_t t = 0;
  for (; t + 2 <= tiles; t += 2) amx_two(w, x + t * group, group, blocks, c + t * 256, next, u->k0 == 0, b);
  if (t < tiles) amx_one(w, x + t * group, blocks, c + t * 256, next, u->k0 == 0, b);
  amx_finish(b);
}

// rows <= LLO_PANELS*AMX_ROWS. The room: the weights of two units in turns, then the sums, of
// which a tile of rows has one stretch of AMX_TOKENS tokens. begun: 1 + the turn that the item's first weights have.
LLO_TARGET static void amx_gemm(const llo_gemm *g, void *room) {
  uint16_t *w = room;
  float *c = (float *)((char *)room + 2 * AMX_WEIGHTS);
  amx_unit u = {0}, after = {0};
  int turn = g->begun > 0 ? g->begun - 1 : 0;
  tiles_open();
  if (!g->begun) {
    amx_beside b = amx_tiles_of(g, &u, w);
    amx_finish(&b);
  }
  for (int more = 1; more; u = after, turn ^= 1) {
    uint16_t *other = w + (turn ^ 1) * (AMX_WEIGHTS / 2);
    amx_beside b = {0};
    more = amx_after(g, &after);
    if (more) {
      b = amx_tiles_of(g, &after, other);
    } else if (g->next && amx_takes(g->next->wtype, 1)) {
      b = amx_tiles_of(g->next, &(amx_unit){0}, other);
      g->next->begun = 1 + (turn ^ 1);
    }
    amx_multiply(g, &u, w + turn * (AMX_WEIGHTS / 2), c, &b);
    if (more && after.t0 == u.t0) continue;
    for (int64_t r = 0; r < g->rows; r += 16)
      amx_store(g, c + r / 16 * (AMX_TOKENS * 16), r, amx_least(g->rows - r, 16), u.t0, amx_least(g->m - u.t0, AMX_TOKENS));
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
  table.name = TABLE_NAME, table.tiles = amx_peak, table.begins = 1;
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
