// Quantised weights as files have them into the records of quant.cuh, and values out of those
// again: as bf16 in fragment order for the products of prompts, or as float32 rows of a table.
//
//   quant_pack_T   records of a stretch of strips        grid (strips, chunks) of 512
//   quant_wide_T   bf16(w) in fragment order             grid (strips, chunks) of 512
//   quant_embed_T  dst[i][k] = w[tokens[i]][k]           grid n blocks of 512
#include "quant.cuh"

struct QuantPackParams {
  uint8_t *dst;
  const uint8_t *src; // [rows] of rowbytes
  int64_t rowbytes;
  int32_t rows, k, chunks, kind, span, first; // first strip of the grid
};

// Integer k of a row, from 0 up.
template <int T> __device__ __forceinline__ uint32_t level_at(const uint8_t *row, int k) {
  const uint8_t *p = row + (int64_t)(k / Block<T>::size) * Block<T>::bytes;
  const int i = k % Block<T>::size;
  if constexpr (T == Q8_0) {
    return p[2 + i];
  } else if constexpr (T == Q4_0) {
    return i < 16 ? p[2 + i] & 15 : p[2 + i - 16] >> 4;
  } else if constexpr (T == Q4_K) {
    return p[16 + i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
  } else {
    const int h = i / 128, l = i % 128, b = p[64 * h + l % 64], high = p[128 + 32 * h + l % 32];
    return (l < 64 ? b & 15 : b >> 4) | (high >> l / 32 * 2 & 3) << 4;
  }
}

// The integers of one warp's lane, and what is beyond the matrix as zero.
template <int T> struct Levels {
  const uint8_t *row[2]; // g and g+8, null beyond the end
  int k, end;            // of the lane's first
  // Byte i of the register with row half h and 16 k number u.
  __device__ uint32_t at(int h, int u, int i) const {
    const int at = k + 16 * u + i;
    return row[h] && at < end ? level_at<T>(row[h], at) : 0;
  }
};

template <int T> __device__ __forceinline__ void pack_levels(uint8_t *slice, int lane, const Levels<T> &v) {
  uint32_t words[4] = {}; // bytes, or nibbles and two bits more
#pragma unroll
  for (int i = 0; i < 16; i++) {
    const int h = i / 4 % 2, u = i / 8, byte = i % 4;
    const uint32_t level = v.at(h, u, byte);
    if constexpr (T == Q8_0) words[2 * u + h] |= level << 8 * byte;
    else if constexpr (T != Q6_K) words[u] |= level << (8 * byte + 4 * h);
    else if (h) words[u] |= (level >> 2) << (8 * byte + 4), words[2] |= (level & 3) << (8 * byte + 2 + 4 * u);
    else words[u] |= (level & 15) << 8 * byte, words[2] |= (level >> 4) << (u ? 8 * ((byte + 1) % 4) : 8 * byte + 4);
  }
  if constexpr (T == Q8_0) ((uint4 *)slice)[lane] = make_uint4(words[0], words[1], words[2], words[3]);
  else if constexpr (T == Q6_K) ((uint2 *)slice)[lane] = make_uint2(words[0], words[1]), ((uint32_t *)(slice + 256))[lane] = words[2];
  else ((uint32_t *)slice)[lane] = words[0], ((uint32_t *)slice)[32 + lane] = words[1];
}

// The block with k of a row, null beyond the matrix.
template <int T> __device__ __forceinline__ const uint8_t *block_of(const uint8_t *row, int k, int end) {
  return row && k < end ? row + (int64_t)(k / Block<T>::size) * Block<T>::bytes : nullptr;
}
__device__ __forceinline__ uint16_t half_bits(const uint8_t *p) { return p ? (uint16_t)(p[0] | p[1] << 8) : 0; }

// What rows g (lo) and g+8 (hi) of the w-th of 8 slices are scaled with, from k on.
template <int T> __device__ __forceinline__ void pack_scales(uint8_t *scales, int w, int g, const uint8_t *lo, const uint8_t *hi, int k, int end) {
  const int at = w * 8 + g;
  const uint8_t *b[2] = {block_of<T>(lo, k, end), block_of<T>(hi, k, end)};
#pragma unroll
  for (int h = 0; h < 2; h++) {
    if constexpr (T == Q8_0 || T == Q4_0) {
      ((uint16_t *)scales)[2 * at + h] = half_bits(b[h]);
    } else if constexpr (T == Q4_K) {
      if (w) continue;
      ((uint16_t *)scales)[4 * g + 2 * h] = half_bits(b[h]);
      ((uint16_t *)scales)[4 * g + 2 * h + 1] = half_bits(b[h] ? b[h] + 2 : b[h]);
    } else {
#pragma unroll
      for (int u = 0; u < 2; u++) scales[4 * at + 2 * h + u] = (b[h] ? b[h][192 + (k % 256) / 16 + u] : 0) ^ 128;
      if (w == 0) ((uint16_t *)(scales + 256))[2 * g + h] = half_bits(b[h] ? b[h] + 208 : b[h]);
    }
  }
  if constexpr (T == Q4_K) {
    uint32_t levels = 0;
#pragma unroll
    for (int h = 0; h < 2; h++) {
      int scale = 0, minus = 0;
      if (b[h]) six_bits(b[h] + 4, k % 256 / 32, &scale, &minus);
      levels |= (uint32_t)(scale | minus << 6) << 12 * h;
    }
    ((uint16_t *)(scales + 64))[at] = (uint16_t)levels;
    scales[192 + at] = (uint8_t)(levels >> 16);
  }
}

template <int T> __device__ __forceinline__ void pack_record(const QuantPackParams &p) {
  const int w = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, k = blockIdx.y * CHUNK + w * 32;
  Part part = {};
  part.kind = p.kind, part.span = p.span;
  int lo, hi;
  columns(part, p.first + blockIdx.x, g, &lo, &hi);
  const uint8_t *low = lo < p.rows ? p.src + lo * p.rowbytes : nullptr, *high = hi < p.rows ? p.src + hi * p.rowbytes : nullptr;
  typedef Quant<T> Q;
  uint8_t *half = p.dst + ((int64_t)blockIdx.x * p.chunks + blockIdx.y) * Q::BYTES + w / 8 * Q::HALF;
  pack_levels<T>(half + w % 8 * Q::SLICE, lane, {{low, high}, k + 4 * t, p.k});
  if (t == 0) pack_scales<T>(half + 8 * Q::SLICE, w % 8, g, low, high, k, p.k);
}

// Integer `byte` of row half h and 16 k number u, as it would come out of package tensor.
template <class Q> __device__ __forceinline__ float value(const uint4 &a, const typename Q::Raw &raw, int h, int u, int byte) {
  const uint32_t word = u ? (h ? a.w : a.z) : (h ? a.y : a.x);
  int level = word >> 8 * byte & 255;
  if (Q::SIGNED) level = (int8_t)level;
  if (h && Q::SHARED) level &= -Q::TIMES;
  const float v = (float)(level - (h ? Q::TIMES : 1) * Q::OFFSET) * Q::scale(raw, h, Q::WIDE == 16 ? u : 0);
  return Q::MINUS ? __fsub_rn(v, Q::minus(raw, h)) : v;
}

struct QuantWideParams {
  uint4 *dst;         // [strip][k16][lane]
  const uint8_t *src; // records of the first strip
  int32_t chunks, pad;
};

template <class Q> __device__ __forceinline__ void widen(const QuantWideParams &p) {
  wait_for_previous();
  const int w = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t record = (int64_t)blockIdx.x * p.chunks + blockIdx.y;
  const typename Q::At at = at_of<Q>(p.src + record * Q::BYTES, w, lane);
  const uint4 a = Q::registers(Q::bits(at, 0));
  typename Q::Raw raw;
  Q::load(at, 0, raw);
#pragma unroll
  for (int u = 0; u < 2; u++) {
    uint32_t out[4];
#pragma unroll
    for (int i = 0; i < 4; i++) out[i] = pack(value<Q>(a, raw, i % 2, u, i / 2 * 2), value<Q>(a, raw, i % 2, u, i / 2 * 2 + 1));
    p.dst[(record * 32 + w * 2 + u) * 32 + lane] = make_uint4(out[0], out[1], out[2], out[3]);
  }
}

struct QuantEmbedParams {
  float *dst;
  const uint8_t *table; // records, kind NATURAL
  Tokens tokens;
  int32_t cols, chunks;
};

// A thread has four k of one tile.
template <class Q> __device__ __forceinline__ void embed(const QuantEmbedParams &p) {
  wait_for_previous();
  const int row = p.tokens.of(blockIdx.x), i = row % 16, h = i / 8;
  for (int k = 4 * threadIdx.x; k < p.cols; k += 4 * 512) {
    const int w = k % CHUNK / 32, u = k / 16 % 2;
    const int64_t record = (int64_t)(row / 16) * p.chunks + k / CHUNK;
    const typename Q::At at = at_of<Q>(p.table + record * Q::BYTES, w, i % 8 * 4 + k % 16 / 4);
    const uint4 a = Q::registers(Q::bits(at, 0));
    typename Q::Raw raw;
    Q::load(at, 0, raw);
    *(float4 *)(p.dst + (int64_t)blockIdx.x * p.cols + k) =
        make_float4(value<Q>(a, raw, h, u, 0), value<Q>(a, raw, h, u, 1), value<Q>(a, raw, h, u, 2), value<Q>(a, raw, h, u, 3));
  }
}

#define QUANT(T) \
  extern "C" __global__ void __launch_bounds__(512) quant_pack_##T(const __grid_constant__ QuantPackParams p) { pack_record<T>(p); } \
  extern "C" __global__ void __launch_bounds__(512) quant_wide_##T(const __grid_constant__ QuantWideParams p) { widen<Quant<T>>(p); } \
  extern "C" __global__ void __launch_bounds__(512) quant_embed_##T(const __grid_constant__ QuantEmbedParams p) { embed<Quant<T>>(p); }
QUANT(Q8_0) QUANT(Q4_0) QUANT(Q4_K) QUANT(Q6_K)
