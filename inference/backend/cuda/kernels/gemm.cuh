// What the matrix products of a prompt share: parameters, the order of tiles, where activations
// lie, and what becomes of the sums. gemm.go has the Go half, operand.go the activations,
// layout.go the weights.
//
//   out[m][column(r)] (+)= sum_k x[m][k] W[r][k] + b[column(r)]     x, W bf16, sums float32
//
// W lies in fragment order: a lane's 16 bytes of a tile are the four registers that it holds of
// A of mma.m16n8k16, and of wgmma.
//
// x lies in operand order (operand.cuh).
//
// A result is the sum of its own row and column in the order of k, whatever tile it is in
// and whatever else is in it.
//
// With ROPE, what would be q, k and v is turned and stored as it is summed. Llama-2-7B, 2048 rows of a prompt, the whole of it on
// an H200: 47.0 to 47.7 ms where RopeStore was a kernel of its own, with 32-bit sums written and read between, 48.4 to
// 49.5; angles of 4 pairs under way 47.5 to 48.0, of 8 47.4 to 47.8; each loaded where it is wanted, no faster than that kernel.
#pragma once
#include "operand.cuh"
#include "paged.cuh"
#include "projection.cuh"

enum { SWIGLU_PACKED = ROPE + 1 }; // one more epilogue: bf16 in the form of x

struct GemmParams {
  const uint8_t *x;
  void *out; // float32 [n × ldd], or as x with SWIGLU_PACKED
  Part part[3];
  int32_t tile[3]; // the first row tile of each part
  int32_t parts, n;
  int32_t groups; // of 8 rows of x
  int32_t blocks; // of 32 k, an even number: x has zeros to the end
  int32_t stride; // tiles of 16 k in a strip
  int32_t ldd, epilogue, row_tiles, token_tiles;
  RopeStoreParams rope; // with ROPE: what becomes of q, k and v, whose cache is of 16 bits
};

// Tiles are taken so that what runs at one time shares weights and activations in L2: all
// token tiles of a band meet a row tile before the next row tile comes.
enum { BAND = 8 };
__device__ __forceinline__ void tile_at(int tile, int row_tiles, int token_tiles, int *row, int *token) {
  int band = tile / (BAND * row_tiles), rest = tile - band * BAND * row_tiles;
  int width = min((int)BAND, token_tiles - band * BAND);
  *row = rest / width;
  *token = band * BAND + rest % width;
}

__device__ __forceinline__ int part_of(const GemmParams &p, int row_tile) {
  int i = 0;
  if (p.parts > 1 && row_tile >= p.tile[1]) i = 1;
  if (p.parts > 2 && row_tile >= p.tile[2]) i = 2;
  return i;
}

// Output columns, within the part, of rows g and g+8 of a strip, -1 for padding.
__device__ __forceinline__ void columns_or_none(const Part &p, int strip, int g, int (&c)[2]) {
  columns(p, strip, g, &c[0], &c[1]);
#pragma unroll
  for (int i = 0; i < 2; i++)
    if (strip >= p.strips || c[i] >= p.rows) c[i] = -1;
}

__device__ __forceinline__ float bias_at(const Part &p, int column) {
  if (!p.bias || column < 0) return 0;
  if (p.bias_type == F32) return at<F32>(p.bias, column);
  return p.bias_type == F16 ? at<F16>(p.bias, column) : at<BF16>(p.bias, column);
}

__device__ __forceinline__ uint4 load_weights(const uint4 *w) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(w));
  return v;
}

// Some roundings off; below -87 it may be zero. ROUGH is for what is rounded to bf16 next.
template <bool ROUGH = false> __device__ __forceinline__ float silu(float x) {
  return __fdividef(x, 1 + (ROUGH ? __expf(-x) : expf(-x)));
}

template <bool ADDS> __device__ __forceinline__ void put(float *at, float v, bool there) {
  // One addition to an element, so its order cannot matter; nothing waits for the old value.
  if (ADDS) asm volatile("{ .reg .pred p; setp.ne.s32 p, %2, 0; @p red.global.add.f32 [%0], %1; }" ::"l"(at), "f"(v), "r"((int)there) : "memory");
  else if (there) *at = v;
}

// F16 or BF16.
__device__ __forceinline__ uint16_t half_bits(int type, float v) {
  return type == BF16 ? __bfloat16_as_ushort(__float2bfloat16_rn(v)) : __half_as_ushort(__float2half_rn(v));
}

// Sums of one strip and T tokens as a warp has them: lane 4g+t has of each 8 tokens row g of
// tokens 2t and 2t+1, then row g+8 of the same. token: the first.
template <int T, bool ADDS>
__device__ __forceinline__ void store_sums(const GemmParams &p, const Part &part, int strip, int token, const float (&sum)[T / 2]) {
  const int g = threadIdx.x % 32 / 4, m = token + threadIdx.x % 4 * 2, left = p.n - m;
  int column[2];
  columns_or_none(part, strip, g, column);
#pragma unroll
  for (int half = 0; half < 2; half++) {
    if (column[half] < 0) continue;
    const float bias = bias_at(part, column[half]);
    float *out = (float *)p.out + (int64_t)m * p.ldd + part.col + column[half];
#pragma unroll
    for (int j = 0; j < T / 8; j++, out += 8 * (int64_t)p.ldd) {
      put<ADDS>(out, sum[4 * j + 2 * half] + bias, 8 * j < left);
      put<ADDS>(out + p.ldd, sum[4 * j + 2 * half + 1] + bias, 8 * j + 1 < left);
    }
  }
}

// silu(gate)·up of a strip of the kind GATE_UP, as float32 or packed for the product that follows.
template <int T, bool PACKED>
__device__ __forceinline__ void store_swiglu(const GemmParams &p, const Part &part, int strip, int token, const float (&sum)[T / 2]) {
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, m = token + 2 * t, left = p.n - m;
  int column[2];
  columns_or_none(part, strip, g, column);
  const int f = column[0];
  if (f < 0) return; // a whole warp: strips of gate and up have no padding
  const float bias_gate = bias_at(part, f), bias_up = bias_at(part, column[1]);
  float *out = (float *)p.out + (int64_t)m * p.ldd + f;
  uint8_t *packed = (uint8_t *)p.out + packed_at(p.groups, token / 8, 2 * t + g % 2, f & ~1);
#pragma unroll
  for (int j = 0; j < T / 8; j++, out += 8 * (int64_t)p.ldd, packed += GROUP_BYTES) {
    float h[2];
#pragma unroll
    for (int i = 0; i < 2; i++) h[i] = silu<PACKED>(sum[4 * j + i] + bias_gate) * (sum[4 * j + 2 + i] + bias_up);
    if (!PACKED) {
      put<false>(out, h[0], 8 * j < left);
      put<false>(out + p.ldd, h[1], 8 * j + 1 < left);
      continue;
    }
    // Lanes of even and odd g exchange, so that each has two neighbours of one token.
    float other = __shfl_xor_sync(0xffffffff, g % 2 ? h[0] : h[1], 4);
    __nv_bfloat162 pair = g % 2 ? __floats2bfloat162_rn(other, h[1]) : __floats2bfloat162_rn(h[0], other);
    if (8 * j + g % 2 < left) *(__nv_bfloat162 *)packed = pair;
  }
}

// What is told of the tokens of a tile. A lane has tokens 2t and 2t+1 of every 8; of all that lanes of one t have, each
// looks up every eighth, T/32 in all. of(i): of token i%2 of the i/2-th 8, which all lanes of a warp ask for at once.
template <int T, class V> struct Told {
  V own[T / 32];

  template <class At> __device__ __forceinline__ Told(int token, int n, At at) {
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < T / 32; i++) own[i] = at(min(token + (4 * i + g / 2) * 8 + 2 * t + g % 2, n - 1));
  }
  __device__ __forceinline__ V of(int i) const { return __shfl_sync(0xffffffff, own[i / 8], i % 8 * 4 + threadIdx.x % 4); }
};

// Turns the pairs of a strip of queries or keys. Angles come from L2, and there are few registers: those of AHEAD pairs
// are under way.
template <int T> __device__ __forceinline__ void turn_sums(const GemmParams &p, int token, int pair, const float (&bias)[2], float (&sum)[T / 2]) {
  enum { ALL = T / 4, AHEAD = 12 };
  const Told<T, int> positions(token, p.n, [&](int m) { return __ldg(p.rope.batch.positions + m); });
  const float *cos = p.rope.cos + pair, *sin = p.rope.sin + pair;
  float c[ALL], s[ALL];
#pragma unroll
  for (int i = 0; i < ALL + AHEAD; i++) {
    if (i < ALL) {
      const int64_t at = (int64_t)positions.of(i) * p.rope.half;
      c[i] = __ldg(cos + at), s[i] = __ldg(sin + at);
    }
    if (i < AHEAD) continue;
    const int of = i - AHEAD, at = of / 2 * 4 + of % 2;
    sum[at] += bias[0], sum[at + 2] += bias[1];
    turn(sum[at], sum[at + 2], c[of], s[of]);
  }
}

// Turns q and k of a strip, and stores k and v in the cache: what RopeStore does, with the same bits.
template <int T>
__device__ __forceinline__ void store_turned(const GemmParams &p, const Part &part, int strip, int token, float (&sum)[T / 2]) {
  const CacheParams &cache = p.rope.cache;
  const HeadsParams &h = p.rope.heads;
  const int g = threadIdx.x % 32 / 4, m = token + threadIdx.x % 4 * 2, left = p.n - m;
  int column[2];
  columns_or_none(part, strip, g, column);
  if (column[0] < 0) return; // a whole warp: heads have no padding
  const int lo = part.col + column[0], apart = column[1] - column[0], head = lo / h.dim, of = lo - head * h.dim; // a whole warp's head
  const bool query = head < h.q, value = head >= h.q + h.kv;
  float bias[2] = {bias_at(part, column[0]), bias_at(part, column[1])};
  if (!value) {
    turn_sums<T>(p, token, part.kind == NEIGHBOURS ? of / 2 : of, bias, sum);
    bias[0] = bias[1] = -0.0f; // there is no more to add
  }
  if (query) {
    float *out = (float *)p.out + (int64_t)m * p.ldd + lo;
#pragma unroll
    for (int j = 0; j < T / 8; j++, out += 8 * (int64_t)p.ldd)
#pragma unroll
      for (int e = 0; e < 2; e++) put<false>(out + e * p.ldd, sum[4 * j + e], 8 * j + e < left), put<false>(out + e * p.ldd + apart, sum[4 * j + 2 + e], 8 * j + e < left);
    return;
  }
  uint8_t *const to = (value ? cache.v : cache.k) + (int64_t)(head - h.q - (value ? h.kv : 0)) * cache.size * cache.rowbytes + 2 * of;
  // A row is 32 bytes or more, so the number of one finds room.
  const Told<T, uint32_t> rows(token, p.n, [&](int m) { return (uint32_t)slot(p.rope.batch, cache, h, m, 0, p.rope.batch.positions[m]); });
#pragma unroll
  for (int i = 0; i < T / 4; i++) {
    uint16_t *out = (uint16_t *)(to + rows.of(i) * cache.rowbytes);
    const int at = i / 2 * 4 + i % 2;
    if (i / 2 * 8 + i % 2 < left) out[0] = half_bits(cache.type, sum[at] + bias[0]), out[apart] = half_bits(cache.type, sum[at + 2] + bias[1]);
  }
}

template <int T>
__device__ __forceinline__ void finish(const GemmParams &p, const Part &part, int strip, int token, float (&sum)[T / 2]) {
  if (p.epilogue == STORE) store_sums<T, false>(p, part, strip, token, sum);
  else if (p.epilogue == ADD) store_sums<T, true>(p, part, strip, token, sum);
  else if (p.epilogue == SWIGLU) store_swiglu<T, false>(p, part, strip, token, sum);
  else if (p.epilogue == ROPE) store_turned<T>(p, part, strip, token, sum);
  else store_swiglu<T, true>(p, part, strip, token, sum);
}
