// RopeStore as attention.cu has it, with the same bits, for heads that are turned whole and caches of
// plain numbers: q rotated in place, k rotated into the cache, v into the cache.
//
// Grid: a block of 256 for each row. A thread has four pairs at a time, or eight elements of v: its two loads
// of 16 bytes, and those of where the row is, are on their way before it needs them.
#include "paged.cuh"

enum { THREADS = 256, AHEAD = 3 }; // loads of so many fours of pairs at once

__device__ __forceinline__ uint2 four_halves(int type, float4 v) {
  if (type == BF16) {
    __nv_bfloat162 a = __floats2bfloat162_rn(v.x, v.y), b = __floats2bfloat162_rn(v.z, v.w);
    return make_uint2(*(uint32_t *)&a, *(uint32_t *)&b);
  }
  __half2 a = __floats2half2_rn(v.x, v.y), b = __floats2half2_rn(v.z, v.w);
  return make_uint2(*(uint32_t *)&a, *(uint32_t *)&b);
}

// Two fours of a head's elements: those of pairs where they are halves of a head apart, neighbours otherwise.
struct Fours {
  float4 a, b;
};
__device__ __forceinline__ void turn(Fours &v, bool interleaved, float4 c, float4 s) {
  if (interleaved) {
    turn(v.a.x, v.a.y, c.x, s.x), turn(v.a.z, v.a.w, c.y, s.y), turn(v.b.x, v.b.y, c.z, s.z), turn(v.b.z, v.b.w, c.w, s.w);
  } else {
    turn(v.a.x, v.b.x, c.x, s.x), turn(v.a.y, v.b.y, c.y, s.y), turn(v.a.z, v.b.z, c.z, s.z), turn(v.a.w, v.b.w, c.w, s.w);
  }
}

struct RopeRow {
  const RopeStoreParams &p;
  const int each = p.heads.dim / 8; // fours of pairs of a head
  float *const row = p.qkv + (int64_t)blockIdx.x * (p.heads.q + 2 * p.heads.kv) * p.heads.dim;
  int position;
  int64_t slot; // of head 0 in the cache

  // Where in a head the first of a thread's elements are, and how far the others are from them.
  __device__ __forceinline__ bool apart(int head) const { return !p.interleaved && head < p.heads.q + p.heads.kv; }
  __device__ __forceinline__ int first(int head, int i) const { return (apart(head) ? 4 : 8) * i; }
  __device__ __forceinline__ int step(int head) const { return apart(head) ? p.half : 4; }

  __device__ __forceinline__ Fours load(int head, int i) const {
    const float *x = row + head * p.heads.dim + first(head, i);
    return {*(const float4 *)x, *(const float4 *)(x + step(head))};
  }

  __device__ __forceinline__ void store(int head, int i, const Fours &v) const {
    const HeadsParams &h = p.heads;
    if (head < h.q) {
      float *x = row + head * h.dim + first(head, i);
      *(float4 *)x = v.a, *(float4 *)(x + step(head)) = v.b;
      return;
    }
    const bool key = head < h.q + h.kv;
    uint8_t *to = (key ? p.cache.k : p.cache.v) + (slot + (int64_t)(key ? head - h.q : head - h.q - h.kv) * p.cache.size) * p.cache.rowbytes;
    if (p.cache.type == F32) {
      float *x = (float *)to + first(head, i);
      *(float4 *)x = v.a, *(float4 *)(x + step(head)) = v.b;
    } else {
      uint16_t *x = (uint16_t *)to + first(head, i);
      *(uint2 *)x = four_halves(p.cache.type, v.a), *(uint2 *)(x + step(head)) = four_halves(p.cache.type, v.b);
    }
  }

  __device__ __forceinline__ void run() {
    const int fours = (p.heads.q + 2 * p.heads.kv) * each;
    position = p.batch.positions[blockIdx.x];
    const int64_t page = p.batch.pages[p.batch.tables[blockIdx.x] + position / p.cache.size];
    slot = page * p.heads.kv * p.cache.size + position % p.cache.size;
    const float *cos = p.cos + (int64_t)position * p.half, *sin = p.sin + (int64_t)position * p.half;
    for (int from = threadIdx.x; from < fours; from += AHEAD * THREADS) {
      Fours v[AHEAD];
#pragma unroll
      for (int j = 0; j < AHEAD; j++) {
        const int at = min(from + j * THREADS, fours - 1);
        v[j] = load(at / each, at % each);
      }
#pragma unroll
      for (int j = 0; j < AHEAD; j++) {
        const int at = from + j * THREADS, head = at / each, i = at % each;
        if (at >= fours) continue;
        if (head < p.heads.q + p.heads.kv) turn(v[j], p.interleaved, *(const float4 *)(cos + 4 * i), *(const float4 *)(sin + 4 * i));
        store(head, i, v[j]);
      }
    }
  }
};

extern "C" __global__ void __launch_bounds__(THREADS) rope_rows(const __grid_constant__ RopeStoreParams p) {
  wait_for_previous();
  RopeRow{p}.run();
}
