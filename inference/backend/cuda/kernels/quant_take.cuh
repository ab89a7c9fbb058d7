// How the projections of quantised weights take activations: each warp its slice of k, times
// the weights of the norm before, as f16 into shared memory, and beside them the sums of what
// has one scale: minima and offsets of the integers multiply those.
//
// f16 has more bits than bf16 and less range. A warp's slice of a row is multiplied by the power
// of two that brings its largest magnitude to 2¹⁴ or more, which its sums are divided by: what
// is 2⁻³¹ of the largest or more keeps the 8 bits of bf16.
#pragma once
#include "project_take.cuh"
#include "quant.cuh"

// A run of parts with one format: its first block, its first strip, stages of their rings.
struct Run {
  int32_t format, block, strip, stages;
};
struct QuantParams {
  ProjectParams p;
  Run run[4]; // after the last, where blocks and strips end
  int32_t runs, chunks, x_bytes, pad; // chunks of 512 k; bytes of the activations
};

// Activations of a block in shared memory.
//   x       [chunk][warp][row][t] of 16 bytes: k 4t..4t+3 of the warp's two tiles
//   sums    [warp][chunk][tile][row] of what has one scale, of one tile or both, in UNITS
//   factors [warp][8]: what a row's sums are multiplied by
struct Taken {
  uint4 *x;
  float *sums, *factors;
  int chunks, rows, stride; // chunks with padding; rows of x and of sums
};

template <bool PACKED> __device__ __forceinline__ float4 load_row(const float *row, int k, int end) {
  if (!PACKED) return load_x(row, k, end);
  const uint2 v = *(const uint2 *)((const unsigned short *)row + (k < end ? k : 0));
  if (k >= end) return make_float4(0, 0, 0, 0);
  return make_float4(__uint_as_float(v.x << 16), __uint_as_float(v.x & 0xffff0000), __uint_as_float(v.y << 16), __uint_as_float(v.y & 0xffff0000));
}

__device__ __forceinline__ uint32_t pack_f16(float lo, float hi) {
  __half2 v = __floats2half2_rn(lo, hi);
  return *(uint32_t *)&v;
}
__device__ __forceinline__ float peak_of(float4 v) { return fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w))); }

// The power of two that brings a peak to [2¹⁴, 2¹⁵), and its inverse; as far as float32 has both.
__device__ __forceinline__ float2 scale_for(float peak) {
  const int exponent = min(max((int)(__float_as_uint(peak) >> 23), 16), 254); // of zero, 2⁻¹¹¹
  return make_float2(__uint_as_float((uint32_t)(min(127 + 14 + 127 - exponent, 252)) << 23), __uint_as_float((uint32_t)(max(exponent - 14, 2)) << 23));
}

// Four elements of a row as f16, and the sum of what has one scale with them. All lanes of a
// warp call it, eight for a chunk.
struct Four {
  uint2 x;
  float sum;
};
template <class Q> __device__ __forceinline__ Four four_of(float4 v, float scale) {
  Four f;
  f.x = make_uint2(pack_f16(v.x * scale, v.y * scale), pack_f16(v.z * scale, v.w * scale));
  f.sum = (low_half(f.x.x) + high_half(f.x.x)) + (low_half(f.x.y) + high_half(f.x.y));
  f.sum += __shfl_xor_sync(0xffffffff, f.sum, 1);
  f.sum += __shfl_xor_sync(0xffffffff, f.sum, 2);
  if (Q::WIDE == 32) f.sum += __shfl_xor_sync(0xffffffff, f.sum, 4);
  return f;
}
template <class Q> __device__ __forceinline__ void put(const Taken &to, int chunk, int m, const Four &f) {
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5, tile = lane / 4 % 2, t = lane % 4;
  if (chunk >= to.chunks) return;
  ((uint2 *)&to.x[((chunk * WARPS + w) * to.rows + m) * 4 + t])[tile] = f.x;
  constexpr int tiles = 32 / Q::WIDE;
  if (t == 0 && tile < tiles) to.sums[((w * to.chunks + chunk) * tiles + tile) * to.stride + m] = f.sum * (1.0f / UNITS);
}

__device__ __forceinline__ int chunk_of(int i) { return 4 * i + (threadIdx.x & 31) / 8; }
__device__ __forceinline__ int k_of(int i) { return chunk_of(i) * CHUNK + (threadIdx.x >> 5) * 32 + (threadIdx.x & 7) * 4; }

// Takes rows m to m+R-1 in N loads a row, of four chunks each.
template <class Q, bool PACKED, int R, int N> __device__ __forceinline__ void take_rows(const ProjectParams &p, const Taken &to, Room &room, int first) {
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
  float4 v[R][N], gamma[N];
  const bool norm = !PACKED && p.gamma;
  if (norm && N <= 2) { // while the kernel before ends
#pragma unroll
    for (int i = 0; i < N; i++) gamma[i] = four(p.gamma_type, p.gamma, k_of(i) < p.k ? k_of(i) : 0);
  }
  wait_for_previous();
#pragma unroll
  for (int r = 0; r < R; r++)
#pragma unroll
    for (int i = 0; i < N; i++) v[r][i] = load_row<PACKED>(p.x + (int64_t)min(first + r, p.m - 1) * p.ldx, k_of(i), p.k);
#pragma unroll
  for (int r = 0; r < R; r++) {
    if (first + r >= p.m) break;
    float squares = 0, peak = 0;
#pragma unroll
    for (int i = 0; i < N; i++) {
      if (norm && N > 2) gamma[i] = four(p.gamma_type, p.gamma, k_of(i) < p.k ? k_of(i) : 0);
      if (norm) squares += squares_of(v[r][i]), v[r][i] = times(v[r][i], gamma[i]);
      peak = fmaxf(peak, peak_of(v[r][i]));
    }
    if (norm) squares = warp_sum(squares);
    const float2 scale = scale_for(warp_max(peak));
    if (lane == 0) room.squares[w][first + r] = squares, to.factors[w * 8 + first + r] = scale.y;
    Four f[N];
#pragma unroll
    for (int i = 0; i < N; i++) f[i] = four_of<Q>(v[r][i], scale.x);
#pragma unroll
    for (int i = 0; i < N; i++) put<Q>(to, chunk_of(i), first + r, f[i]);
  }
}

// The same for rows of any length, which are read twice.
template <class Q, bool PACKED> __device__ __forceinline__ void take_long(const ProjectParams &p, const Taken &to, Room &room, int m) {
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
  const float *x = p.x + (int64_t)m * p.ldx;
  float squares = 0, peak = 0, scale = 0;
  wait_for_previous();
#pragma unroll 1
  for (int pass = 0; pass < 2; pass++) {
#pragma unroll 1
    for (int i = 0; 4 * i < to.chunks; i++) {
      float4 v = load_row<PACKED>(x, k_of(i), p.k);
      if (!PACKED && p.gamma) {
        if (pass == 0) squares += squares_of(v);
        v = times(v, four(p.gamma_type, p.gamma, k_of(i) < p.k ? k_of(i) : 0));
      }
      if (pass == 0) peak = fmaxf(peak, peak_of(v));
      else put<Q>(to, chunk_of(i), m, four_of<Q>(v, scale));
    }
    if (pass == 0) {
      squares = warp_sum(squares);
      const float2 s = scale_for(warp_max(peak));
      scale = s.x;
      if (lane == 0) room.squares[w][m] = squares, to.factors[w * 8 + m] = s.y;
    }
  }
}

template <class Q, bool PACKED, bool ONE> __device__ __forceinline__ void take_all(const ProjectParams &p, const Taken &to, Room &room) {
  if (to.chunks <= 8) {
#pragma unroll 1
    for (int m = 0; m < p.m; m += ONE ? 1 : 4) take_rows<Q, PACKED, ONE ? 1 : 4, 2>(p, to, room, m);
  } else if (to.chunks <= 32) {
#pragma unroll 1
    for (int m = 0; m < p.m; m++) take_rows<Q, PACKED, 1, 8>(p, to, room, m);
  } else {
#pragma unroll 1
    for (int m = 0; m < p.m; m++) take_long<Q, PACKED>(p, to, room, m);
  }
}

template <class Q, bool ONE> __device__ __forceinline__ void take_quant(const ProjectParams &p, const Taken &to, Room &room) {
  if (p.packed_x) take_all<Q, true, ONE>(p, to, room);
  else take_all<Q, false, ONE>(p, to, room);
  __syncwarp();
}
