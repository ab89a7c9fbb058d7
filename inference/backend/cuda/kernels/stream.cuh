// What the kernels of projections that stream activations share (stream.cu, stream_pack.cu).
#pragma once
#include "hopper.cuh"
#include "project_finish.cuh"
#include "ring.cuh"

enum { MOST_ROWS = 32, CHUNK = WARPS * PER * 16 }; // rows of a launch; k of a chunk

// Rows of activations are taken by 8; STRIPS at a time, through rings of so many slots.
template <int GROUPS_, int STRIPS_, int SLOTS_, int SLOTS_X_> struct StreamShape {
  enum { GROUPS = GROUPS_, STRIPS = STRIPS_, SLOTS = SLOTS_, SLOTS_X = SLOTS_X_, BYTES_X = GROUPS * CHUNK * 16 };
};

struct StreamParams {
  ProjectParams p; // x: in operand order, `groups` of 8 rows, zeros to the end of the last chunk
  int32_t chunks;  // of k, from k0 on
  int32_t end;     // of k of what SwiGLU leaves in operand order: zeros fill it up
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// Where one is in a ring.
template <int N> struct Turn {
  int slot = 0;
  uint32_t parity = 0;
  __device__ __forceinline__ void next() {
    if (++slot == N) slot = 0, parity ^= 1;
  }
};

// A block's strips, R or fewer at a time: as many times in each block.
struct Strips {
  int first, n, turns;
  __device__ __forceinline__ int begin(int turn) const { return first + (turn == 0 ? 0 : turn == turns ? n : n * turn / turns); }
};

template <class S> __device__ __forceinline__ Strips strips_of(const ProjectParams &p) {
  const int first = (int)((int64_t)p.strips * blockIdx.x / gridDim.x), end = (int)((int64_t)p.strips * (blockIdx.x + 1) / gridDim.x);
  const int most = (p.strips + gridDim.x - 1) / gridDim.x;
  return {first, end - first, (most + S::STRIPS - 1) / S::STRIPS};
}

// The sum over the warps, in their order, of a group of 8 rows.
__device__ __forceinline__ float4 total(const float4 *table, int group) {
  table += group * WARPS * 32 + (threadIdx.x & 31);
  float4 a = table[0];
#pragma unroll
  for (int i = 1; i < WARPS; i++) {
    const float4 b = table[i * 32];
    a.x += b.x, a.y += b.y, a.z += b.z, a.w += b.w;
  }
  return a;
}

// The ring of weights as a warp reads it.
template <class S> struct WeightsOf {
  uint64_t *full, *empty;
  uint32_t ring;
  int arrive; // lanes that arrive for a warp
  Turn<S::SLOTS> at;

  // sums += the warp's two tiles of a strip times its activations.
  __device__ __forceinline__ void multiply(float (&sums)[S::GROUPS][4], const uint4 (&b)[S::GROUPS]) {
    const int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
    barrier_wait(shared_address(&full[at.slot]), at.parity);
    const uint32_t from = ring + at.slot * STAGE + (w * PER * 32 + lane) * 16;
    const uint4 first = load_shared(from), second = load_shared(from + 512);
#pragma unroll
    for (int n = 0; n < S::GROUPS; n++) mma(sums[n], first, b[n].x, b[n].y);
#pragma unroll
    for (int n = 0; n < S::GROUPS; n++) mma(sums[n], second, b[n].z, b[n].w);
    __syncwarp();
    if (lane < arrive) barrier_arrive(shared_address(&empty[at.slot]) + once_loaded(first.x | second.x));
    at.next();
  }
};
#endif
