// How the projections of quantised weights take activations: each warp its slice of k, times
// the weights of the norm before, as integers of 16 bits into shared memory, and beside them
// what 32 of them have in common: their scale, a power of two, and their sum, which minima and
// offsets of the weights multiply.
//
// An integer is two of 8 bits with a sign, 256·high + low, which the matrix unit multiplies as
// columns of their own. The largest of 32 has 15 bits or a little less, so what is lost of a sum
// of products is 2⁻¹⁵ of the largest activation at most, where bf16 loses 2⁻⁹ of each.
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

// The first record of a strip, of so many bytes each.
__device__ __forceinline__ const unsigned char *record_at(const QuantParams &q, int strip, int bytes) {
  int within;
  const Part &part = q.p.part[part_of(q.p, strip, &within)];
  return (const unsigned char *)part.w + (int64_t)within * q.chunks * bytes;
}

template <bool PACKED> __device__ __forceinline__ float4 load_row(const float *row, int k, int end) {
  if (!PACKED) return load_x(row, k, end);
  const uint2 v = *(const uint2 *)((const unsigned short *)row + (k < end ? k : 0));
  return k < end ? widened(v) : make_float4(0, 0, 0, 0);
}

// The largest magnitude of the 32 that 8 lanes have; NaN and infinity are larger than all others.
__device__ __forceinline__ float peak_of(float4 v) {
  uint32_t peak = max(max(__float_as_uint(fabsf(v.x)), __float_as_uint(fabsf(v.y))), max(__float_as_uint(fabsf(v.z)), __float_as_uint(fabsf(v.w))));
#pragma unroll
  for (int i = 1; i < 8; i *= 2) peak = max(peak, __shfl_xor_sync(0xffffffff, peak, i));
  return __uint_as_float(peak);
}

// The power of two that brings a peak to 32639 or less, which is as far as two integers of 8 bits
// go, and more than half of it; and its inverse, which is NaN if the peak is no number. As far as
// float32 has both.
__device__ __forceinline__ float2 scale_for(float peak) {
  const uint32_t exponent = __float_as_uint(peak * (32768.0f / 32639)) >> 23;
  const uint32_t e = min(max(exponent, 16u), 254u); // of zero, 2⁻¹¹¹
  return make_float2(__uint_as_float(127 + 14 + 127 - e << 23), __uint_as_float(exponent < 255 ? e - 14 << 23 : 0x7fc00000));
}

// Four elements of a row as integers, high and low bytes, and the sum of what has one scale with
// them. All lanes of a warp call it, eight for 32.
struct Four {
  uint32_t high, low;
  int sum;
};
template <class Q> __device__ __forceinline__ Four four_of(float4 v, float scale) {
  // Adding this rounds to an integer, in the low bits; 128 more, and their upper byte is the high one.
  const float round = (3 << 22) + 128;
  const uint32_t a = __float_as_uint(fmaf(v.x, scale, round)), b = __float_as_uint(fmaf(v.y, scale, round));
  const uint32_t c = __float_as_uint(fmaf(v.z, scale, round)), d = __float_as_uint(fmaf(v.w, scale, round));
  const uint32_t ab = __byte_perm(a, b, 0x4051), cd = __byte_perm(c, d, 0x4051);
  Four f = {__byte_perm(ab, cd, 0x5410), __byte_perm(ab, cd, 0x7632) ^ 0x80808080, 0};
  if (!Q::OFFSET && !Q::MINUS) return f;
  f.sum = 256 * __dp4a((int)f.high, 0x01010101, 0) + __dp4a((int)f.low, 0x01010101, 0);
#pragma unroll
  for (int i = 1; i < Q::WIDE / 4; i *= 2) f.sum += __shfl_xor_sync(0xffffffff, f.sum, i);
  return f;
}

// What goes with a sum: OFFSET times it, an integer, or the sum itself, scaled, for minima.
template <class Q> __device__ __forceinline__ float common(int sum, float scale) { return Q::MINUS ? sum * scale : __int_as_float(Q::OFFSET * sum); }

// Activations of a block in shared memory.
//   x      [chunk][warp][row][high, low][t] of 8 bytes: k 4t..4t+3, then 16 more
//   scales [warp][chunk][16 k or 32][row]: the scale, and what belongs to the sum (common)
struct Taken {
  uint2 *x;
  float2 *scales;
  int chunks, rows, stride; // chunks with padding; rows of x and of scales

  __device__ __forceinline__ Taken(unsigned char *memory, int chunks, int rows)
      : x((uint2 *)memory), scales((float2 *)(memory + (int64_t)chunks * WARPS * rows * 64)), chunks(chunks), rows(rows), stride(rows == 1 ? 1 : 8) {}
  // The warp's slice of k; a lane's four of a chunk of it go to their places: of half 0 or 1, k 4t..4t+3.
  __device__ __forceinline__ int slice() const { return threadIdx.x >> 5; }
  template <class Q> __device__ __forceinline__ void store(int chunk, int m, int half, int t, const Four &f, float scale) const {
    constexpr int HALVES = 32 / Q::WIDE;
    uint32_t *to = (uint32_t *)&x[((chunk * WARPS + slice()) * rows + m) * 8 + t] + half;
    to[0] = f.high, to[8] = f.low;
    if (t == 0 && half < HALVES) scales[((slice() * chunks + chunk) * HALVES + half) * stride + m] = make_float2(scale, common<Q>(f.sum, scale));
  }
};

// A lane's four of a chunk go to their places in row m. T: Taken, or what has the same of another block.
template <class Q, class T> __device__ __forceinline__ void put(const T &to, int chunk, int m, float4 v) {
  const int lane = threadIdx.x & 31, half = lane / 4 % 2, t = lane % 4;
  const float2 scale = scale_for(peak_of(v));
  const Four f = four_of<Q>(v, scale.x);
  if (chunk < to.chunks) to.template store<Q>(chunk, m, half, t, f, scale.y);
}

// The chunk and k of a lane's four number i: eight lanes for a chunk.
__device__ __forceinline__ int chunk_of(int i) { return 4 * i + (threadIdx.x & 31) / 8; }
__device__ __forceinline__ int k_of(int i, int slice) { return chunk_of(i) * CHUNK + slice * 32 + (threadIdx.x & 7) * 4; }
__device__ __forceinline__ int k_of(int i) { return k_of(i, threadIdx.x >> 5); }

// Takes rows m to m+R-1, N loads of each at once. Loads of the norm's weights do not wait for the kernel
// in front. keep is told a row's squares.
template <class Q, bool PACKED, int R, int N, class T, class Keep> __device__ __forceinline__ void take_rows(const ProjectParams &p, const T &to, int m, Keep keep) {
  const bool norm = !PACKED && p.gamma;
  float squares[R] = {};
#pragma unroll 1
  for (int from = 0; 4 * from < to.chunks; from += N) {
    float4 v[R][N], gamma[N];
    if (norm) {
#pragma unroll
      for (int i = 0; i < N; i++) gamma[i] = four(p.gamma_type, p.gamma, k_of(from + i, to.slice()) < p.k ? k_of(from + i, to.slice()) : 0);
    }
    if (from == 0) wait_for_previous();
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
      for (int i = 0; i < N; i++) v[r][i] = load_row<PACKED>(p.x + (int64_t)min(m + r, p.m - 1) * p.ldx, k_of(from + i, to.slice()), p.k);
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
      for (int i = 0; i < N; i++) {
        if (norm) squares[r] += squares_of(v[r][i]), v[r][i] = times(v[r][i], gamma[i]);
        if (m + r < p.m) put<Q>(to, chunk_of(from + i), m + r, v[r][i]);
      }
  }
#pragma unroll
  for (int r = 0; r < R; r++) {
    squares[r] = warp_sum(squares[r]);
    if (norm && m + r < p.m) keep(m + r, squares[r]);
  }
}

template <class Q, bool PACKED, bool ONE> __device__ __forceinline__ void take_all(const ProjectParams &p, const Taken &to, Room &room) {
  constexpr int ROWS = ONE ? 1 : 4;
#pragma unroll 1
  for (int m = 0; m < p.m; m += ROWS)
    take_rows<Q, PACKED, ROWS, 2>(p, to, m, [&](int row, float squares) {
      if ((threadIdx.x & 31) == 0) room.squares[threadIdx.x >> 5][row] = squares;
    });
}

template <class Q, bool ONE> __device__ __forceinline__ void take_quant(const ProjectParams &p, const Taken &to, Room &room) {
  if (p.packed_x) take_all<Q, true, ONE>(p, to, room);
  else take_all<Q, false, ONE>(p, to, room);
  __syncwarp();
}
