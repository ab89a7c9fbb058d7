// The ring in shared memory that the weights of projection kernels pass: bulk copies into its
// stages, barriers that tell when one is full and when it is free again.
#pragma once
#include <stdint.h>

// Stages of weights on their way at once: more do not come sooner, and all else has to wait in
// line with them.
enum { FLIGHT = 4 };

__device__ __forceinline__ uint32_t shared(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ void barrier_init(uint64_t *b, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared(b)), "r"(count));
}
// Makes the barriers of a ring, by one lane: one that is full when so many bytes have come, and one that is free when so many
// have arrived, for each stage.
template <int N> __device__ __forceinline__ void make_ring(uint64_t (&full)[N], uint64_t (&empty)[N], int arrivals) {
#pragma unroll
  for (int i = 0; i < N; i++) barrier_init(&full[i], 1), barrier_init(&empty[i], arrivals);
}
// Then copies may use them.
__device__ __forceinline__ void ring_made() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
__device__ __forceinline__ void wait_at(uint32_t b, uint32_t parity) {
  asm volatile("{\n.reg .pred p;\nW%=:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra D%=;\nbra W%=;\nD%=:\n}" ::"r"(b), "r"(parity) : "memory");
}
__device__ __forceinline__ void barrier_wait(uint64_t *b, uint32_t parity) { wait_at(shared(b), parity); }
// A warp arrives by its first `arrive` lanes, after __syncwarp: by one. racecheck of
// compute-sanitizer takes for done what a lane has done that arrives, and does not see that others
// have met it before: where it looks on, all 32 arrive.
__device__ __forceinline__ void barrier_arrive(uint32_t b) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(b) : "memory"); }
// Copies so many bytes, a multiple of 16, by a policy of the L2 cache; the barrier counts them.
__device__ __forceinline__ void copy_by(uint32_t to, const void *from, uint32_t bytes, uint32_t full, uint64_t policy) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(to), "l"(from),
      "r"(bytes), "r"(full), "l"(policy)
      : "memory");
}
// The same for all that a barrier waits for.
__device__ __forceinline__ void fetch(void *to, const void *from, uint32_t bytes, uint64_t *full, uint64_t policy) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared(full)), "r"(bytes) : "memory");
  copy_by(shared(to), from, bytes, shared(full), policy);
}
__device__ __forceinline__ uint64_t evict_first() {
  uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
#endif

// Of a block of so many threads, one lane makes the barriers of the ring and goes on, for memory stands still until it asks for
// weights; all others wait for the barriers. (Lanes that make one each do so one after the other, in 80 cycles.)
template <int THREADS> __device__ __forceinline__ void barriers_made() { asm volatile("bar.arrive 3, %0;" ::"n"(THREADS) : "memory"); }
template <int THREADS> __device__ __forceinline__ void wait_for_barriers() { asm volatile("bar.sync 3, %0;" ::"n"(THREADS) : "memory"); }

// Waits for the 16 warps that multiply.
__device__ __forceinline__ void all_warps() { asm volatile("bar.sync 1, 512;" ::: "memory"); }

// Where a warp is in the ring.
struct Cursor {
  int stage;
  uint32_t parity;

  // To the next of so many stages: four instructions, where the compiler would take five.
  __device__ __forceinline__ void next(int stages) {
    asm("{\n.reg .pred p;\nadd.s32 %0, %0, 1;\nsetp.eq.s32 p, %0, %2;\n@p xor.b32 %1, %1, 1;\n@p mov.b32 %0, 0;\n}" : "+r"(stage), "+r"(parity) : "r"(stages));
  }
};

