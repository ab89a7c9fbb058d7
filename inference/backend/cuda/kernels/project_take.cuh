// How the projection kernels (project.cu) take activations: each warp its slice of k, as
// fragments of the matrix unit, times the weights of the norm before.
#pragma once
#include "project.cuh"

// Four elements of a vector, aligned as their number.
__device__ __forceinline__ float4 four(int type, const uint8_t *v, int k) {
  if (type == F32) return *(const float4 *)((const float *)v + k);
  uint2 u = *(const uint2 *)((const unsigned short *)v + k);
  if (type == BF16) return make_float4(__uint_as_float(u.x << 16), __uint_as_float(u.x & 0xffff0000), __uint_as_float(u.y << 16), __uint_as_float(u.y & 0xffff0000));
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

// Adds the sums of four lanes to those of row m, which one lane does: `one`.
__device__ __forceinline__ void add_squares(float *squares, int m, float sum, bool one) {
  sum += __shfl_xor_sync(0xffffffff, sum, 1);
  sum += __shfl_xor_sync(0xffffffff, sum, 2);
  if (one) squares[m] += sum;
}

// Activations of a warp's slice as fragments, times the norm's weights, for few rows: all
// lanes load, eight tiles at a time, and hand on what others need.
template <int TH, bool NORM> __device__ __forceinline__ void take_few(const ProjectParams &p, int first, uint32_t (&xb)[TH][2], float (*squares)[8]) {
  constexpr int N = (TH + 7) / 8;
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
  float4 gamma[N];
  int k[N];
#pragma unroll
  for (int j = 0; j < N; j++) {
    const int i = 8 * j + g;
    k[j] = i < TH ? slice_k(p, first, i, t) : p.k;
    if (NORM && p.gamma) gamma[j] = four(p.gamma_type, p.gamma, k[j] < p.k ? k[j] : 0);
  }
  for (int m = 0; m < p.m; m++) {
    float4 v[N];
    float square[N], sum[PER] = {};
#pragma unroll
    for (int j = 0; j < N; j++) v[j] = load_x(p.x + (int64_t)m * p.ldx, k[j], p.k);
#pragma unroll
    for (int j = 0; j < N; j++) {
      if (!NORM || !p.gamma) continue;
      square[j] = squares_of(v[j]);
      v[j] = times(v[j], gamma[j]);
    }
#pragma unroll
    for (int i = 0; i < TH; i++) {
      const int from = i % 8 * 4 + t;
      uint32_t lo = __shfl_sync(0xffffffff, pack(v[i / 8].x, v[i / 8].y), from);
      uint32_t hi = __shfl_sync(0xffffffff, pack(v[i / 8].z, v[i / 8].w), from);
      if (NORM && p.gamma) sum[i % PER] += __shfl_sync(0xffffffff, square[i / 8], from); // in the order of take_many
      if (g == m) xb[i][0] = lo, xb[i][1] = hi;
    }
    if (NORM) add_squares(squares[w], m, sum[0] + sum[1], lane == 0); // all lanes have the same
  }
}

// The same for many rows: each lane loads what it needs itself.
template <int TH, bool NORM> __device__ __forceinline__ void take_many(const ProjectParams &p, int first, uint32_t (&xb)[TH][2], float (*squares)[8]) {
  constexpr int BATCH = !NORM ? 6 : TH <= 16 ? 8 : 4; // loads under way
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
  const float *x = p.x + (int64_t)(g < p.m ? g : 0) * p.ldx;
  const int end = g < p.m ? p.k : 0;
  float sum[PER] = {};
#pragma unroll
  for (int from = 0; from < TH; from += BATCH) {
    float4 v[BATCH], gamma[BATCH];
#pragma unroll
    for (int j = 0; j < BATCH; j++)
      if (from + j < TH) {
        const int k = slice_k(p, first, from + j, t);
        v[j] = load_x(x, k, end);
        if (NORM && p.gamma) gamma[j] = four(p.gamma_type, p.gamma, k < p.k ? k : 0);
      }
#pragma unroll
    for (int j = 0; j < BATCH; j++)
      if (from + j < TH) {
        if (NORM && p.gamma) {
          sum[(from + j) % PER] += squares_of(v[j]);
          v[j] = times(v[j], gamma[j]);
        }
        xb[from + j][0] = pack(v[j].x, v[j].y), xb[from + j][1] = pack(v[j].z, v[j].w);
      }
  }
  if (NORM) add_squares(squares[w], g, sum[0] + sum[1], t == 0);
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

template <int TH, bool NORM> __device__ __forceinline__ void take(const ProjectParams &p, int first, uint32_t (&xb)[TH][2], Room &room) {
  if (p.packed_x) take_packed<TH>(p, first, xb);
  else if (p.m <= 2) take_few<TH, NORM>(p, first, xb, room.squares);
  else take_many<TH, NORM>(p, first, xb, room.squares);
}
