// Where sums of strips wait between the warps that multiply and the one that finishes (quant.cu,
// chain.cuh).
#pragma once
#include "project.cuh"
#include "ring.cuh"

// Sums of strips on their way from the warps that multiply to the one that finishes: two places,
// which are taken in turn.
struct Places {
  uint64_t full[2], empty[2];

  __device__ __forceinline__ void init(int arrive) {
#if __CUDA_ARCH__ >= 900
    for (int i = 0; i < 2; i++) barrier_init(&full[i], WARPS * arrive), barrier_init(&empty[i], arrive);
#endif
  }
  // Strip s of the block has a place that is free. Without such barriers, all meet when it is full:
  // by then the strip before is finished.
  __device__ __forceinline__ void wait_empty(int s) {
#if __CUDA_ARCH__ >= 900
    if (s > 1) barrier_wait(&empty[s & 1], (s / 2 & 1) ^ 1);
#endif
  }
  __device__ __forceinline__ void fill(int s, int arrive) {
#if __CUDA_ARCH__ >= 900
    __syncwarp();
    if ((threadIdx.x & 31) < arrive) barrier_arrive(shared(&full[s & 1]));
#else
    all_meet();
#endif
  }
  __device__ __forceinline__ void wait_full(int s) {
#if __CUDA_ARCH__ >= 900
    barrier_wait(&full[s & 1], s / 2 & 1);
#else
    all_meet();
#endif
  }
  __device__ __forceinline__ void release(int s, int arrive) {
#if __CUDA_ARCH__ >= 900
    __syncwarp();
    if ((threadIdx.x & 31) < arrive) barrier_arrive(shared(&empty[s & 1]));
#endif
  }
  static __device__ __forceinline__ void all_meet() { asm volatile("bar.sync 2, 544;" ::: "memory"); }
};
