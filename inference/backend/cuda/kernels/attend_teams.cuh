// A block of several teams for a part of a row: attend_teams.cu, attend_pairs.cu. Who includes it says how many TEAMS.
#pragma once
#include "attend_gather.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
template <int T, int DIM, int COUNT> struct DecodeTeams : DecodeGather<T, DIM, COUNT> {
  typedef DecodeGather<T, DIM, COUNT> Gather;
  using Gather::p, Gather::cut, Gather::warp, Gather::g, Gather::team, Gather::split;
  using Gather::open, Gather::fill, Gather::take, Gather::merge, Gather::peak_at, Gather::sum_at;

  __device__ __forceinline__ DecodeTeams(const DecodeParams &p, uint8_t *memory)
      : Gather(p, memory + threadIdx.x / (WARPS * 32) * Gather::BYTES, memory + TEAMS * Gather::BYTES, 1) {}

  // This team's share, which may be no split: the row and part are its all the same.
  __device__ __forceinline__ int begin() { return p.share ? Gather::read_share(true) : Gather::find_share_of(blockIdx.x, team); }

  // Keeps the sums of a split for all teams.
  struct Sent {
    const DecodeTeams &of;
    __device__ __forceinline__ void pair(int query, int d, float2 y) const { *of.sum_at(of.split, query, d / 2) = y; }
    __device__ __forceinline__ void peak(int query, float2 v) const {
      if (of.warp == 0 && of.g == 0) *of.peak_at(of.split, query) = v;
    }
  };

  __device__ __forceinline__ void run() {
    let_next_begin();
    const int splits = begin();
    if (splits > 0) open(splits);
    else wait_for_earlier();
    fill();
    if (splits > 0) take(splits, Sent{*this});
    if (cut.splits == 1) return;
    __syncthreads();
    merge(0, threadIdx.x / 32, TEAMS * WARPS);
  }
};

// A kernel by its name, for so many blocks of a multiprocessor.
#define TEAMS_KERNEL(NAME, T, DIM, COUNT, BLOCKS) \
  extern "C" __global__ void __launch_bounds__(TEAMS * WARPS * 32, BLOCKS) NAME##_##T##_##DIM##_##COUNT(const __grid_constant__ DecodeParams p) { \
    extern __shared__ __align__(128) uint8_t memory[]; \
    DecodeTeams<T, DIM, COUNT>(p, memory).run(); \
  }
#endif
