// Results that blocks of one launch hand each other: words of eight bytes in global memory, four
// of result and four that name the launch. A word is written and read whole, so there is nothing
// to order: no fence, which takes microseconds while memory is busy, and no counter to wait for.
// Who wants a word looks at it until it bears the launch's name.
#pragma once
#include <stdint.h>

#if __CUDA_ARCH__ >= 900
enum { PATIENCE = 1 << 23 }; // looks at a word that does not come, some seconds: then the launch fails

__device__ __forceinline__ void tell(uint64_t *to, uint32_t result, uint32_t launch) {
  asm volatile("st.relaxed.gpu.global.b64 [%0], %1;" ::"l"(to), "l"((uint64_t)launch << 32 | result) : "memory");
}

// Neighbouring words, the first at a multiple of 16 bytes; a lane's result is what they hold.
struct Words {
  uint64_t first, second;
  __device__ __forceinline__ void look(const uint64_t *at) {
    asm volatile("ld.relaxed.gpu.global.v2.b64 {%0, %1}, [%2];" : "=l"(first), "=l"(second) : "l"(at) : "memory");
  }
  __device__ __forceinline__ bool of(uint32_t launch) const { return (uint32_t)(first >> 32) == launch && (uint32_t)(second >> 32) == launch; }
};
struct Word {
  uint64_t first;
  __device__ __forceinline__ void look(const uint64_t *at) { asm volatile("ld.relaxed.gpu.global.b64 %0, [%1];" : "=l"(first) : "l"(at) : "memory"); }
  __device__ __forceinline__ bool of(uint32_t launch) const { return (uint32_t)(first >> 32) == launch; }
};

// Waits for the first n of a lane's N words, or pairs of them, v[i] from at(i). Until the warp's first is there
// it alone is looked at: whoever waits longest would keep others' words from coming.
template <class W, int N, class At> __device__ __forceinline__ void hear(W (&v)[N], int n, uint32_t launch, At at) {
  int looks = 0;
  const auto again = [&] {
    if (++looks == PATIENCE) asm volatile("trap;");
  };
  if ((threadIdx.x & 31) == 0 && n > 0)
    for (v[0].look(at(0)); !v[0].of(launch); v[0].look(at(0))) again();
  __syncwarp();
  for (uint32_t missing = (1u << n) - 1; missing; again()) {
#pragma unroll
    for (int i = 0; i < N; i++)
      if (missing >> i & 1) v[i].look(at(i));
#pragma unroll
    for (int i = 0; i < N; i++)
      if ((missing >> i & 1) && v[i].of(launch)) missing &= ~(1u << i);
  }
  __syncwarp();
}
#endif
