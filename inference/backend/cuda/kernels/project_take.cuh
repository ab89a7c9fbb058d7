// How the projection kernels (project.cu) take activations: each warp its slice of k, as
// fragments of the matrix unit.
#pragma once
#include "project.cuh"

// Four bf16 as float32.
__device__ __forceinline__ float4 widened(uint2 u) { return make_float4(__uint_as_float(u.x << 16), __uint_as_float(u.x & 0xffff0000), __uint_as_float(u.y << 16), __uint_as_float(u.y & 0xffff0000)); }

// Four elements of a vector, aligned as their number.
__device__ __forceinline__ float4 four(int type, const uint8_t *v, int k) {
  if (type == F32) return *(const float4 *)((const float *)v + k);
  uint2 u = *(const uint2 *)((const unsigned short *)v + k);
  if (type == BF16) return widened(u);
  float2 a = __half22float2(*(__half2 *)&u.x), b = __half22float2(*(__half2 *)&u.y);
  return make_float4(a.x, a.y, b.x, b.y);
}

// The k of the i-th tile of a warp's slice, lane t of four.
__device__ __forceinline__ int slice_k(const ProjectParams &p, int first, int i, int t) {
  return p.k0 + (first + i / PER * PER * WARPS + (threadIdx.x >> 5) * PER + i % PER) * 16 + 4 * t;
}

__device__ __forceinline__ float4 times(float4 a, float4 b) { return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w); }
__device__ __forceinline__ float squares_of(float4 v) { return fmaf(v.x, v.x, fmaf(v.y, v.y, fmaf(v.z, v.z, v.w * v.w))); }

// A row's four elements from k on, zeros behind its end. Never branches, so that loads
// do not wait for each other.
__device__ __forceinline__ float4 load_x(const float *row, int k, int end) {
  float4 v = *(const float4 *)(row + (k < end ? k : 0));
  return k < end ? v : make_float4(0, 0, 0, 0);
}

// Activations of a warp's slice as fragments, for few rows: all lanes load, eight tiles at a
// time, and hand on what others need.
template <int TH> __device__ __forceinline__ void take_few(const ProjectParams &p, int first, uint32_t (&xb)[TH][2]) {
  constexpr int N = (TH + 7) / 8;
  const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  for (int m = 0; m < p.m; m++) {
    float4 v[N];
#pragma unroll
    for (int j = 0; j < N; j++) v[j] = load_x(p.x + (int64_t)m * p.ldx, 8 * j + g < TH ? slice_k(p, first, 8 * j + g, t) : p.k, p.k);
#pragma unroll
    for (int i = 0; i < TH; i++) {
      const int from = i % 8 * 4 + t;
      uint32_t lo = __shfl_sync(0xffffffff, pack(v[i / 8].x, v[i / 8].y), from);
      uint32_t hi = __shfl_sync(0xffffffff, pack(v[i / 8].z, v[i / 8].w), from);
      if (g == m) xb[i][0] = lo, xb[i][1] = hi;
    }
  }
}

// The same for many rows: each lane loads what it needs itself.
template <int TH> __device__ __forceinline__ void take_many(const ProjectParams &p, int first, uint32_t (&xb)[TH][2]) {
  constexpr int BATCH = 6; // loads under way
  const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  const float *x = p.x + (int64_t)(g < p.m ? g : 0) * p.ldx;
  const int end = g < p.m ? p.k : 0;
#pragma unroll
  for (int from = 0; from < TH; from += BATCH) {
    float4 v[BATCH];
#pragma unroll
    for (int j = 0; j < BATCH; j++)
      if (from + j < TH) v[j] = load_x(x, slice_k(p, first, from + j, t), end);
#pragma unroll
    for (int j = 0; j < BATCH; j++)
      if (from + j < TH) xb[from + j][0] = pack(v[j].x, v[j].y), xb[from + j][1] = pack(v[j].z, v[j].w);
  }
}

// The same of bf16 activations: fragments as they lie.
template <int TH> __device__ __forceinline__ void take_packed(const ProjectParams &p, int first, uint32_t (&xb)[TH][2]) {
  const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  const unsigned short *x = (const unsigned short *)(p.x + (int64_t)(g < p.m ? g : 0) * p.ldx);
  const int end = g < p.m ? p.k : 0;
#pragma unroll
  for (int i = 0; i < TH; i++) {
    const int k = slice_k(p, first, i, t);
    const uint2 v = *(const uint2 *)(x + (k < end ? k : 0));
    xb[i][0] = k < end ? v.x : 0, xb[i][1] = k < end ? v.y : 0;
  }
}

template <int TH> __device__ __forceinline__ void take(const ProjectParams &p, int first, uint32_t (&xb)[TH][2]) {
  if (p.packed_x) take_packed<TH>(p, first, xb);
  else if (p.m <= 2) take_few<TH>(p, first, xb);
  else take_many<TH>(p, first, xb);
}
