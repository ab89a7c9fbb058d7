// A stretch of projections of one decode row with bf16 weights (chain.cuh).
#include "chain.cuh"

#if __CUDA_ARCH__ >= 900
// The warp's slice of a row, [chunk][warp][t] of 16 bytes in shared memory: fragments of both tiles.
__device__ __forceinline__ void take_slice(const Phase &f, uint4 *x, int side) {
  const ProjectParams &p = f.q.p;
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5, n = turns_of(p.k);
  uint2 v[MOST_TURNS];
  if (f.in) {
    uint4 words[MOST_TURNS / 2];
    hear(words, 2 * n, [&](int i) { return f.in + side + pairs_at(i); });
#pragma unroll
    for (int i = 0; i < MOST_TURNS; i++) v[i] = i % 2 ? make_uint2(words[i / 2].z, words[i / 2].w) : make_uint2(words[i / 2].x, words[i / 2].y);
  } else {
    float4 y[MOST_TURNS];
#pragma unroll
    for (int i = 0; i < MOST_TURNS; i++) y[i] = load_x(p.x, k_of(i), p.k);
#pragma unroll
    for (int i = 0; i < MOST_TURNS; i++) v[i] = make_uint2(pack(y[i].x, y[i].y), pack(y[i].z, y[i].w));
  }
  __syncwarp(); // the slice before has been read
#pragma unroll
  for (int i = 0; i < MOST_TURNS; i++)
    if (chunk_of(i) < f.q.chunks) ((uint2 *)&x[(chunk_of(i) * WARPS + w) * 4 + lane % 4])[lane / 4 % 2] = i < n ? v[i] : make_uint2(0, 0);
  __syncwarp();
}

struct Multiply {
  static __device__ __forceinline__ RecordSize record_of(int) { return {STAGE, 1}; }

  // The warp's sums of a strip, those of rows g and g+8 in lanes 4g.
  static __device__ __forceinline__ float2 strip(ChainShared &block, const unsigned char *ring, const uint4 *x, Cursor &at, int chunks, int slots, int arrive) {
    const int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
    float sums[4] = {};
#pragma unroll 2
    for (int i = 0; i < chunks; i++) {
      uint4 b = make_uint4(0, 0, 0, 0); // but column 0
      if (lane < 4) b = x[(i * WARPS + w) * 4 + lane];
      barrier_wait(&block.full[at.stage], at.parity);
      const uint4 *tile = (const uint4 *)(ring + at.stage * STAGE) + w * PER * 32 + lane;
      const uint4 first = tile[0], second = tile[32];
      mma(sums, first, b.x, b.y);
      mma(sums, second, b.z, b.w);
      __syncwarp();
      if (lane < arrive) barrier_arrive(shared(&block.empty[at.stage]) + once_loaded(first.x | second.x));
      at.next(slots);
    }
    return make_float2(sums[0], sums[2]);
  }

  static __device__ __forceinline__ void phase(const ChainParams &c, const Phase &f, const Share &mine, int, ChainShared &block, unsigned char *memory, int side, Cursor &at, Filling &filling) {
    const int arrive = c.phase[0].q.p.arrive;
    uint4 *x = (uint4 *)memory;
    take_slice(f, x, side);
    if (threadIdx.x == 0) block.turn(MULTIPLYING);
#pragma unroll 1
    for (int s = 0; s < mine.n; s++)
      filling.put(block, strip(block, memory + c.x_bytes, x, at, f.q.chunks, c.slots, arrive), arrive);
    if (threadIdx.x == 0) block.turn(WAITING);
  }
};
#endif

// Grid: one block a multiprocessor; 640 threads; x_bytes and the ring of shared memory.
extern "C" __global__ void __launch_bounds__(640, 1) chain_bf16(const __grid_constant__ ChainParams c) {
#if __CUDA_ARCH__ >= 900
  chain<STAGE, Multiply>(c);
#endif
}
