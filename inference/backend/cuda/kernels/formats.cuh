// Number formats: the value of one element of a row, by the definitions of GGUF
// (package tensor has each in Go). Products and differences are rounded apart, so that
// an element has the bits that package tensor gives it.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

// In the order of tensor.DType.
enum Format { F32 = 1, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K };

__device__ __forceinline__ float half_at(const uint8_t *p) {
  return __half2float(__ushort_as_half((unsigned short)(p[0] | p[1] << 8)));
}

// Bytes of a block and its elements.
template <int T> struct Block;
template <> struct Block<F32> { enum { bytes = 4, size = 1 }; };
template <> struct Block<F16> { enum { bytes = 2, size = 1 }; };
template <> struct Block<BF16> { enum { bytes = 2, size = 1 }; };
template <> struct Block<Q4_0> { enum { bytes = 18, size = 32 }; };
template <> struct Block<Q4_1> { enum { bytes = 20, size = 32 }; };
template <> struct Block<Q5_0> { enum { bytes = 22, size = 32 }; };
template <> struct Block<Q5_1> { enum { bytes = 24, size = 32 }; };
template <> struct Block<Q8_0> { enum { bytes = 34, size = 32 }; };
template <> struct Block<Q2_K> { enum { bytes = 84, size = 256 }; };
template <> struct Block<Q3_K> { enum { bytes = 110, size = 256 }; };
template <> struct Block<Q4_K> { enum { bytes = 144, size = 256 }; };
template <> struct Block<Q5_K> { enum { bytes = 176, size = 256 }; };
template <> struct Block<Q6_K> { enum { bytes = 210, size = 256 }; };

__device__ __forceinline__ float scaled(float scale, int level, float minus) {
  return __fsub_rn(__fmul_rn(scale, (float)level), minus);
}

// Scale and minimum g of 8, 6 bits each, in 12 bytes.
__device__ __forceinline__ void six_bits(const uint8_t *s, int g, int *scale, int *minus) {
  if (g < 4) {
    *scale = s[g] & 63, *minus = s[g + 4] & 63;
  } else {
    *scale = (s[g + 4] & 15) | (s[g - 4] >> 6) << 4;
    *minus = s[g + 4] >> 4 | (s[g] >> 6) << 4;
  }
}

// Element i of the block at p.
template <int T> __device__ __forceinline__ float block_at(const uint8_t *p, int i) {
  if constexpr (T == Q8_0) {
    return __fmul_rn(half_at(p), (float)(int8_t)p[2 + i]);
  } else if constexpr (T == Q4_0 || T == Q4_1 || T == Q5_0 || T == Q5_1) {
    constexpr bool offset = T == Q4_1 || T == Q5_1, five = T == Q5_0 || T == Q5_1;
    constexpr int head = offset ? 4 : 2, codes = head + (five ? 4 : 0);
    int q = i < 16 ? p[codes + i] & 15 : p[codes + i - 16] >> 4;
    if (five) q |= (p[head + i / 8] >> i % 8 & 1) << 4;
    float d = half_at(p);
    if (!offset) return __fmul_rn(d, (float)(q - (five ? 16 : 8)));
    return __fadd_rn(__fmul_rn(d, (float)q), half_at(p + 2));
  } else if constexpr (T == Q4_K || T == Q5_K) {
    int g = i / 32, at = g / 2 * 32 + i % 32, scale, minus;
    int q = p[(T == Q5_K ? 48 : 16) + at] >> (g % 2 * 4) & 15;
    if (T == Q5_K) q |= (p[16 + i % 32] >> g & 1) << 4;
    six_bits(p + 4, g, &scale, &minus);
    return scaled(__fmul_rn(half_at(p), (float)scale), q, __fmul_rn(half_at(p + 2), (float)minus));
  } else if constexpr (T == Q6_K) {
    int h = i / 128, l = i % 128, b = p[64 * h + l % 64], high = p[128 + 32 * h + l % 32];
    int q = (l < 64 ? b & 15 : b >> 4) | (high >> l / 32 * 2 & 3) << 4;
    return __fmul_rn(__fmul_rn(half_at(p + 208), (float)(int8_t)p[192 + i / 16]), (float)(q - 32));
  } else if constexpr (T == Q2_K) {
    int q = p[16 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3, s = p[i / 16];
    return scaled(__fmul_rn(half_at(p + 80), (float)(s & 15)), q, __fmul_rn(half_at(p + 82), (float)(s >> 4)));
  } else if constexpr (T == Q3_K) {
    int g = i / 16;
    const uint8_t *s = p + 96;
    int q = (p[32 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3) | (p[i % 32] >> i / 32 & 1) << 2;
    int scale = (s[g & 7] >> (g >> 3) * 4 & 15) | (s[8 + (g & 3)] >> (g >> 2) * 2 & 3) << 4;
    return __fmul_rn(__fmul_rn(half_at(p + 108), (float)(scale - 32)), (float)(q - 4));
  }
}

// Element k of a row.
template <int T> __device__ __forceinline__ float at(const uint8_t *row, int64_t k) {
  if constexpr (T == F32) return ((const float *)row)[k];
  else if constexpr (T == F16) return __half2float(((const __half *)row)[k]);
  else if constexpr (T == BF16) return __bfloat162float(((const __nv_bfloat16 *)row)[k]);
  else return block_at<T>(row + k / Block<T>::size * Block<T>::bytes, (int)(k % Block<T>::size));
}

// The same for a format known when it runs.
__device__ __forceinline__ float element(int type, const uint8_t *row, int64_t k) {
  switch (type) {
#define CASE(T) case T: return at<T>(row, k);
    CASE(F32) CASE(F16) CASE(BF16) CASE(Q4_0) CASE(Q4_1) CASE(Q5_0) CASE(Q5_1)
    CASE(Q8_0) CASE(Q2_K) CASE(Q3_K) CASE(Q4_K) CASE(Q5_K) CASE(Q6_K)
#undef CASE
  }
  return 0;
}

// The same for formats without blocks, as vectors of weights have.
__device__ __forceinline__ float plain_element(int type, const uint8_t *row, int64_t k) {
  return type == F32 ? at<F32>(row, k) : type == F16 ? at<F16>(row, k) : at<BF16>(row, k);
}

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
  for (int i = 16; i; i >>= 1) v += __shfl_xor_sync(0xffffffff, v, i);
  return v;
}
__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
  for (int i = 16; i; i >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffff, v, i));
  return v;
}

// Programmatic dependent launch: a kernel may begin while the one in front of it ends,
// and must wait before it reads what that has written. Every kernel waits, also for
// nothing of its own: who comes after it relies on that.
__device__ __forceinline__ void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
// The tokens of a step's rows: ids, or -1-i for what the step before has chosen for its logits row i. That
// is below 0 where it had no honest choice; then nobody asks what follows from it. Who reads the token of a
// row leaves its id in place of the other, for what comes later in the step.
struct Tokens {
  int32_t *rows;
  const int32_t *chosen;
  __device__ __forceinline__ int of(int row) const {
    int id = rows[row];
    if (id < 0) rows[row] = id = max(chosen[-1 - id], 0);
    return id;
  }
};
__device__ __forceinline__ void let_next_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}
