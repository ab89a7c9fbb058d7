// Results that blocks of one launch hand each other: words of four bytes in global memory, which are
// SILENT before they are told. A word is written and read whole, so there is nothing to order: no
// fence, which takes microseconds while memory is busy, no counter to wait for, and no mark of the
// launch beside a result, for what is looked at passes the same way into a multiprocessor as its weights,
// and they wait for each other. Launches take two sides in turns; each makes the other one silent.
#pragma once
#include <stdint.h>

#if __CUDA_ARCH__ >= 900
enum { PATIENCE = 1 << 23 };             // looks at a word that does not come, some seconds: then the launch fails
enum : uint32_t { SILENT = 0xffffffff }; // a NaN, and two of bf16, that no operation makes

__device__ __forceinline__ void tell(uint32_t *to, uint32_t result) {
  asm volatile("st.relaxed.gpu.global.b32 [%0], %1;" ::"l"(to), "r"(min(result, SILENT - 1)) : "memory");
}

// Four words at a multiple of 16 bytes, and whether the first n have been told.
__device__ __forceinline__ uint4 look(const uint32_t *at) {
  uint4 v;
  asm volatile("ld.relaxed.gpu.global.v4.b32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(at) : "memory");
  return v;
}
__device__ __forceinline__ bool have_come(const uint4 &v, int n) {
  return v.x != SILENT && (n < 2 || v.y != SILENT) && (n < 3 || v.z != SILENT) && (n < 4 || v.w != SILENT);
}

// Waits for the first n of a lane's 4·N words, v[i] from at(i) on. Until the warp's first are there they alone
// are looked at: whoever waits longest would keep others' from coming.
template <int N, class At> __device__ __forceinline__ void hear(uint4 (&v)[N], int n, At at) {
  int looks = 0;
  const auto again = [&] {
    if (++looks == PATIENCE) asm volatile("trap;");
  };
  if ((threadIdx.x & 31) == 0 && n > 0)
    for (v[0] = look(at(0)); !have_come(v[0], n); v[0] = look(at(0))) again();
  __syncwarp();
  for (uint32_t missing = (1u << (n + 3) / 4) - 1; missing; again()) {
#pragma unroll
    for (int i = 0; i < N; i++)
      if (missing >> i & 1) v[i] = look(at(i));
#pragma unroll
    for (int i = 0; i < N; i++)
      if ((missing >> i & 1) && have_come(v[i], n - 4 * i)) missing &= ~(1u << i);
  }
  __syncwarp();
}
#endif
