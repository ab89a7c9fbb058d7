// Row-major bf16 weights to fragment order, and rows of a table back out of it.
#include "projection.cuh"

struct RepackParams {
  uint4 *dst;
  const unsigned short *src; // [rows × k]
  int32_t rows, k, tiles, kind, span, first; // first strip of the grid
};

// The row of a matrix that virtual row i of a strip is.
__device__ __forceinline__ int row_of(int kind, int span, int strip, int i) {
  Part p = {};
  p.kind = kind, p.span = span;
  int lo, hi;
  columns(p, strip, i % 8, &lo, &hi);
  return i < 8 ? lo : hi;
}

__device__ __forceinline__ uint32_t two(const RepackParams &p, int row, int k) {
  if (row >= p.rows) return 0;
  const unsigned short *s = p.src + (int64_t)row * p.k + k;
  return (k < p.k ? s[0] : 0) | (uint32_t)(k + 1 < p.k ? s[1] : 0) << 16;
}

// Grid: (strips, ceil(tiles/8)) blocks of 256: a warp a tile.
extern "C" __global__ void repack(const __grid_constant__ RepackParams p) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, tile = blockIdx.y * 8 + threadIdx.x / 32;
  if (tile >= p.tiles) return;
  const int lo = row_of(p.kind, p.span, p.first + blockIdx.x, g), hi = row_of(p.kind, p.span, p.first + blockIdx.x, g + 8), k = tile * 16 + 4 * t;
  p.dst[((int64_t)blockIdx.x * p.tiles + tile) * 32 + lane] = make_uint4(two(p, lo, k), two(p, hi, k), two(p, lo, k + 2), two(p, hi, k + 2));
}

// Embed from a table in fragment order, kind NATURAL. Grid: n blocks of 256.
struct EmbedPackedParams {
  float *dst;
  const unsigned short *table;
  Tokens tokens;
  int32_t cols, tiles;
};
extern "C" __global__ void embed_packed(const __grid_constant__ EmbedPackedParams p) {
  wait_for_previous();
  const int row = p.tokens.of(blockIdx.x), strip = row / 16, i = row % 16;
  for (int k = threadIdx.x; k < p.cols; k += 256) {
    const int lane = i % 8 * 4 + k % 16 / 4, reg = k % 4 / 2 * 2 + i / 8;
    unsigned short v = p.table[(((int64_t)strip * p.tiles + k / 16) * 32 + lane) * 8 + reg * 2 + k % 2];
    p.dst[(int64_t)blockIdx.x * p.cols + k] = __bfloat162float(__ushort_as_bfloat16(v));
  }
}
