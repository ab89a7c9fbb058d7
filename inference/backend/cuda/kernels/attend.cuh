// What the two fast attention kernels have in common: 16-bit numbers of one format, the
// matrix unit's m16n8k16 on them, and programmatic launches.
#pragma once
#include "paged.cuh"

// Scores are kept in units of log 2, so that a weight is one ex2.
#define LOG2E 1.4426950408889634f

__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Weights are exp2(score − top + lift). What f16 holds begins at 2⁻²⁴, too near to 1 for
// the tail of a long context; lifted weights end at 2¹⁵ and begin at 2⁻²⁴ all the same.
template <int T> constexpr float lift = T == F16 ? 15.0f : 0.0f;

template <int T> constexpr uint32_t two_ones = T == F16 ? 0x3c003c00u : 0x3f803f80u;

// Two numbers rounded to the format, lo in the low half.
template <int T> __device__ __forceinline__ uint32_t pack(float lo, float hi) {
  uint32_t d;
  if constexpr (T == F16) asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(hi), "f"(lo));
  else asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(hi), "f"(lo));
  return d;
}
template <int T> __device__ __forceinline__ float low(uint32_t d) {
  if constexpr (T == F16) return __half2float(__ushort_as_half((unsigned short)(d & 0xffff)));
  else return __uint_as_float(d << 16);
}
template <int T> __device__ __forceinline__ float high(uint32_t d) {
  if constexpr (T == F16) return __half2float(__ushort_as_half((unsigned short)(d >> 16)));
  else return __uint_as_float(d & 0xffff0000u);
}

// c += A·B, A [16 × 16] and B [16 × 8]. Lane 4g+t holds rows g (c0, c1; a0, a2) and g+8
// (c2, c3; a1, a3) at columns 2t, 2t+1 of c, at k = 2t, 2t+1 (a0, a1, b0) and 8 more (a2, a3,
// b1), and column g of B.
template <int T>
__device__ __forceinline__ void mma(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
  if constexpr (T == F16)
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// Ends a group of asynchronous copies to shared memory.
__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits for the kernels before this one, where it was launched to overlap with them.
__device__ __forceinline__ void wait_for_earlier() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
// Lets the next kernel take what room is left. It waits for this one's end all the same.
__device__ __forceinline__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Every format and head size that the fast kernels serve; attend.go has the same list.
#define ATTEND_DIMS(KERNEL, T) \
  KERNEL(T, 16) KERNEL(T, 32) KERNEL(T, 64) KERNEL(T, 80) KERNEL(T, 96) KERNEL(T, 128) KERNEL(T, 256)
