// Attention over the paged cache, and what is stored in it. The cache of a layer: row
// (page·kv + head)·size + i of K is the key of that head at the page's i-th position.
#include "paged.cuh"

__device__ float rotated(const RopeStoreParams &p, const float *x, int position, int i) {
  if (i >= 2 * p.half) return x[i];
  int pair = p.interleaved ? i / 2 : i % p.half;
  bool second = p.interleaved ? i % 2 : i >= p.half;
  int other = p.interleaved ? i ^ 1 : second ? i - p.half : i + p.half;
  float c = p.cos[(int64_t)position * p.half + pair], s = p.sin[(int64_t)position * p.half + pair];
  return second ? fmaf(x[other], s, x[i] * c) : fmaf(x[i], c, -(x[other] * s));
}

// Element i of a row of the cache; blocks of Q8_0 are a warp's, lane = i % 32.
__device__ void store(int type, uint8_t *row, int i, float v) {
  if (type == F32) ((float *)row)[i] = v;
  else if (type == F16) ((__half *)row)[i] = __float2half_rn(v);
  else if (type == BF16) ((__nv_bfloat16 *)row)[i] = __float2bfloat16_rn(v);
  else {
    const bool bad = __any_sync(0xffffffff, !isfinite(v));
    float d = warp_max(fabsf(v)) / 127, inverse = 1 / d;
    if (isinf(inverse)) inverse = 0; // d is too small for an f16 anyway
    uint8_t *block = row + i / 32 * 34;
    double level = (double)__fmul_rn(v, inverse);
    block[2 + i % 32] = bad ? 0 : (uint8_t)(int8_t)(int)(level + (level < 0 ? -0.5 : 0.5)); // ties away from zero
    if (i % 32 == 0) {
      unsigned short bits = bad ? 0x7e00 : __half_as_ushort(__float2half_rn(d));
      block[0] = (uint8_t)bits, block[1] = (uint8_t)(bits >> 8);
    }
  }
}

// RopeStore: rotates q in place, k into the cache, v into the cache. Grid: (n, q + 2·kv)
// blocks of max(32, dim rounded up to 32) threads, one an element of the head.
extern "C" __global__ void rope_store(const __grid_constant__ RopeStoreParams p) {
  wait_for_previous();
  const int row = blockIdx.x, head = blockIdx.y, i = threadIdx.x, position = p.batch.positions[row];
  const HeadsParams &h = p.heads;
  float *x = p.qkv + ((int64_t)row * (h.q + 2 * h.kv) + head) * h.dim;
  float v = 0;
  if (i < h.dim) v = head < h.q + h.kv ? rotated(p, x, position, i) : x[i];
  __syncthreads(); // all of x is read
  if (i >= h.dim) return; // whole warps where the cache has blocks
  if (head < h.q) {
    x[i] = v;
    return;
  }
  const bool key = head < h.q + h.kv;
  int64_t at = slot(p.batch, p.cache, h, row, key ? head - h.q : head - h.q - h.kv, position);
  store(p.cache.type, (key ? p.cache.k : p.cache.v) + at * p.cache.rowbytes, i, v);
}

struct AttendParams {
  float *dst; // [n × q·dim]
  const float *qkv;
  BatchParams batch;
  CacheParams cache;
  HeadsParams heads;
};

// One warp a query head of a row, one position after the other, softmax online.
template <int T> __device__ void attend(const AttendParams &p) {
  wait_for_previous();
  constexpr int MOST = 8; // elements a lane, heads up to 256
  const HeadsParams &h = p.heads;
  const int lane = threadIdx.x, row = blockIdx.x, head = blockIdx.y, position = p.batch.positions[row];
  const float *q = p.qkv + ((int64_t)row * (h.q + 2 * h.kv) + head) * h.dim;
  float x[MOST], y[MOST], most = -INFINITY, total = 0;
#pragma unroll
  for (int j = 0; j < MOST; j++) x[j] = lane + 32 * j < h.dim ? q[lane + 32 * j] : 0, y[j] = 0;
  for (int at = h.window > 0 ? max(0, position - h.window + 1) : 0; at <= position; at++) {
    int64_t s = slot(p.batch, p.cache, h, row, head / (h.q / h.kv), at);
    const uint8_t *k = p.cache.k + s * p.cache.rowbytes, *v = p.cache.v + s * p.cache.rowbytes;
    float score = 0;
#pragma unroll
    for (int j = 0; j < MOST; j++)
      if (lane + 32 * j < h.dim) score = fmaf(x[j], ::at<T>(k, lane + 32 * j), score);
    score = warp_sum(score) * h.scale;
    float top = score > most || score != score ? score : most; // a NaN stays
    float old = most == -INFINITY ? 0 : expf(most - top), weight = expf(score - top);
    total = fmaf(total, old, weight), most = top;
#pragma unroll
    for (int j = 0; j < MOST; j++)
      if (lane + 32 * j < h.dim) y[j] = fmaf(weight, ::at<T>(v, lane + 32 * j), y[j] * old);
  }
#pragma unroll
  for (int j = 0; j < MOST; j++)
    if (lane + 32 * j < h.dim) p.dst[((int64_t)row * h.q + head) * h.dim + lane + 32 * j] = y[j] / total;
}

// Grid: (n, q) blocks of 32.
#define ATTEND(T) \
  extern "C" __global__ void attend_##T(const __grid_constant__ AttendParams p) { attend<T>(p); }
ATTEND(F32) ATTEND(F16) ATTEND(BF16) ATTEND(Q8_0)
