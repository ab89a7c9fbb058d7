// The product of a prompt by mma.sync, on GPUs from Ampere on that have no wgmma (gemm.cuh has
// formula and layouts). Weights go straight into registers, activations through a ring in
// shared memory.
//
// A block computes 128 rows × 128 tokens: 8 warps, 4 across the rows and 2 across the tokens,
// 2 strips × 64 tokens each. Grid: one block a tile.
//
// 200 TFLOP/s on an H200 at 12288×4096 and 2048 tokens, where mma.sync could do three times
// that: weights are waited for every other block of k, and B comes in 4-byte reads.
#include "gemm.cuh"

enum { TOKENS = 128, STRIPS = 8, THREADS = 256, STAGES = 6, STAGE = TOKENS * 64 };

// Puts a block of 32 k of the tile's tokens on its way. Always commits, so that groups count.
__device__ __forceinline__ void fetch(const GemmParams &p, uint8_t *stage, int token_tile, int block) {
  const int first = token_tile * (TOKENS / 8), there = min(TOKENS / 8, p.groups - first) * GROUP_BYTES;
  if (block < p.blocks) {
    const uint8_t *x = p.x + ((int64_t)block * p.groups + first) * GROUP_BYTES;
#pragma unroll
    for (int i = 0; i < STAGE; i += THREADS * 16) {
      int at = i + threadIdx.x * 16;
      uint32_t to = (uint32_t)__cvta_generic_to_shared(stage + at);
      if (at < there) asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(x + at) : "memory");
    }
  }
  asm volatile("cp.async.commit_group;" ::: "memory");
}

__device__ __forceinline__ void load_block(uint4 (&a)[2][2], const uint4 *const (&w)[2], int block, int stride) {
#pragma unroll
  for (int i = 0; i < 4; i++) a[i / 2][i % 2] = load_weights(w[i / 2] + min(2 * block + i % 2, stride - 1) * 32);
}

// sum += 32 k of 2 strips and the warp's 64 tokens, from the first of which b counts.
__device__ __forceinline__ void multiply(float (&sum)[2][8][4], const uint4 (&a)[2][2], const uint8_t *b) {
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int j = 0; j < 8; j++) {
      const uint8_t *row = b + j * GROUP_BYTES + g * 64 + 4 * t;
      uint32_t b0 = *(const uint32_t *)(row + ((2 * i) ^ g / 2) * 16), b1 = *(const uint32_t *)(row + ((2 * i + 1) ^ g / 2) * 16);
      mma(sum[0][j], a[0][i], b0, b1);
      mma(sum[1][j], a[1][i], b0, b1);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) gemm_mma(const __grid_constant__ GemmParams p) {
  extern __shared__ __align__(128) uint8_t ring[];
  const int warp = threadIdx.x / 32;
  int row, token;
  tile_at(blockIdx.x, p.row_tiles, p.token_tiles, &row, &token);
  const int which = part_of(p, row), strip = (row - p.tile[which]) * STRIPS + warp % 4 * 2, side = warp / 4;
  const Part &part = p.part[which];
  const uint4 *w[2];
#pragma unroll
  for (int i = 0; i < 2; i++) w[i] = part.w + (int64_t)min(strip + i, part.strips - 1) * p.stride * 32 + threadIdx.x % 32;
  float sum[2][8][4] = {};
  uint4 a[2][2][2];
  load_block(a[0], w, 0, p.stride);
  for (int s = 0; s < STAGES - 1; s++) fetch(p, ring + s * STAGE, token, s);
  for (int first = 0; first < p.blocks; first += 2) {
#pragma unroll
    for (int u = 0; u < 2; u++) {
      const int block = first + u;
      load_block(a[1 - u], w, block + 1, p.stride);
      asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
      __syncthreads(); // the block is there, and the stage that is filled next has been read
      fetch(p, ring + (block + STAGES - 1) % STAGES * STAGE, token, block + STAGES - 1);
      multiply(sum, a[u], ring + block % STAGES * STAGE + side * 8 * GROUP_BYTES);
    }
  }
#pragma unroll
  for (int i = 0; i < 2; i++) finish<64>(p, part, strip + i, token * TOKENS + side * 64, *(float(*)[32])sum[i]);
}
