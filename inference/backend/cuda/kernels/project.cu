// Projections of up to 8 decode rows with bf16 weights in fragment order: the weights are
// streamed once through the matrix unit, 16 rows by 16 k a step, whatever the number of
// activation rows. dst[m][r] = sum_k bf16(x[m][k]) W[r][k], float32 sums; what comes before
// and after is part of it: RMSNorm of x; SwiGLU, rotation with the store of keys and
// values, or the addition to the residual stream.
//
// A block owns a contiguous range of strips. One lane fetches their tiles into a ring in
// shared memory, from before the kernel in front has ended; 16 warps own a slice of k
// each, with its activations in registers, and add up their sums of a strip in the order
// of the warps. So a result depends on its two rows only.
//
// With P = 2 the warps go over k in two halves, for which the sums of the block's at most
// two strips are kept: long rows, whose activations would not fit in registers.
#include "projection.cuh"

enum { WARPS = 16, PER = 2, STAGE = WARPS * PER * 512, STAGES = 11 };

struct ProjectParams {
  Part part[3];
  const float *x;       // [m × ldx]
  const uint8_t *gamma; // of the norm before, null: none
  float *dst, *norm;    // norm: where the normed x goes, null: nowhere
  float *pairs;         // what SwiGLU has multiplied [m × 2·span], null: nowhere
  const float *cos, *sin; // [positions × span/2]
  BatchParams batch;
  CacheParams cache;
  int32_t parts, strips, m, k, ldx, ldd;
  int32_t gamma_type, epilogue, k0, tiles; // first k; k16 tiles of a strip
  int32_t kv, pad;                         // heads of keys
  float eps, pad2;
};

__device__ __forceinline__ uint32_t shared(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ void barrier_init(uint64_t *b, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared(b)), "r"(count));
}
__device__ __forceinline__ void barrier_wait(uint64_t *b, uint32_t parity) {
  asm volatile(
      "{\n.reg .pred p;\nW%=:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra D%=;\nbra W%=;\nD%=:\n}" ::"r"(shared(b)), "r"(parity)
      : "memory");
}
__device__ __forceinline__ void barrier_arrive(uint64_t *b) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared(b)) : "memory");
}
// Copies STAGE bytes; they are not wanted again in L2.
__device__ __forceinline__ void fetch(void *to, const void *from, uint64_t *full, uint64_t policy) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared(full)), "r"(STAGE) : "memory");
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(shared(to)), "l"(from),
      "r"(STAGE), "r"(shared(full)), "l"(policy)
      : "memory");
}
#endif

__device__ __forceinline__ const Part &part_of(const ProjectParams &p, int strip, int *within) {
  int i = 0;
  while (i + 1 < p.parts && strip >= p.part[i].strips) strip -= p.part[i++].strips;
  *within = strip;
  return p.part[i];
}

// Where the tiles of a strip begin that the kernel multiplies.
__device__ __forceinline__ const uint4 *strip_at(const ProjectParams &p, int strip) {
  int within;
  const Part &part = part_of(p, strip, &within);
  return part.w + ((int64_t)within * p.tiles + p.k0 / 16) * 32;
}

// Four elements of a vector, aligned as their number.
__device__ __forceinline__ float4 four(int type, const uint8_t *v, int k) {
  if (type == F32) return *(const float4 *)((const float *)v + k);
  uint2 u = *(const uint2 *)((const unsigned short *)v + k);
  if (type == BF16) return make_float4(__uint_as_float(u.x << 16), __uint_as_float(u.x & 0xffff0000), __uint_as_float(u.y << 16), __uint_as_float(u.y & 0xffff0000));
  float2 a = __half22float2(*(__half2 *)&u.x), b = __half22float2(*(__half2 *)&u.y);
  return make_float4(a.x, a.y, b.x, b.y);
}

struct Room {
  float4 sums[2][WARPS][32];
  float squares[WARPS][8];
  uint64_t full[STAGES], empty[STAGES];
};

// The activations of a warp's slice of k as fragments, times the norm's weights; adds up
// their squares.
template <int TH>
__device__ __forceinline__ void take(const ProjectParams &p, int first, uint32_t (&xb)[TH][2], float *squares) {
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
  const float *x = p.x + (int64_t)g * p.ldx;
#pragma unroll
  for (int i = 0; i < TH; i++) {
    const int k = p.k0 + (first + i / PER * PER * WARPS + w * PER + i % PER) * 16 + 4 * t;
    float4 v = make_float4(0, 0, 0, 0);
    if (g < p.m && k < p.k) { // k is a multiple of 4: all or nothing
      v = *(const float4 *)(x + k);
      if (p.gamma) {
        *squares = fmaf(v.x, v.x, fmaf(v.y, v.y, fmaf(v.z, v.z, fmaf(v.w, v.w, *squares))));
        float4 n = four(p.gamma_type, p.gamma, k);
        v.x *= n.x, v.y *= n.y, v.z *= n.z, v.w *= n.w;
      }
    }
    xb[i][0] = pack(v.x, v.y), xb[i][1] = pack(v.z, v.w);
  }
}

// The norm's factor of a row, 1 without one.
__device__ __forceinline__ float factor(const ProjectParams &p, const Room &room, int m) {
  if (!p.gamma) return 1;
  float sum = 0;
#pragma unroll
  for (int w = 0; w < WARPS; w++) sum += room.squares[w][m];
  return 1 / sqrtf(sum / p.k + p.eps);
}

__device__ __forceinline__ void cache_store(const CacheParams &c, uint8_t *row, int i, float v) {
  if (c.type == F32) ((float *)row)[i] = v;
  else if (c.type == F16) ((__half *)row)[i] = __float2half_rn(v);
  else ((__nv_bfloat16 *)row)[i] = __float2bfloat16_rn(v);
}

// Rotates a pair of q or k, and stores k and v. Parts are q, k, v.
__device__ void rope(const ProjectParams &p, int which, const Part &part, int m, int lo, int hi, float a, float b) {
  const int position = p.batch.positions[m], dim = p.part[0].span;
  if (which < 2) {
    const int i = part.kind == HALVES ? lo % dim : lo % dim / 2;
    const float c = p.cos[(int64_t)position * (dim / 2) + i], s = p.sin[(int64_t)position * (dim / 2) + i], x = a;
    a = fmaf(x, c, -(b * s)), b = fmaf(x, s, b * c);
  }
  if (which == 0) {
    float *q = p.dst + (int64_t)m * p.ldd + part.col;
    q[lo] = a, q[hi] = b;
    return;
  }
  const int64_t page = p.batch.pages[p.batch.tables[m] + position / p.cache.size];
  const int head = lo / dim;
  uint8_t *row = (which == 1 ? p.cache.k : p.cache.v) + ((page * p.kv + head) * p.cache.size + position % p.cache.size) * p.cache.rowbytes;
  cache_store(p.cache, row, lo % dim, a), cache_store(p.cache, row, hi % dim, b);
}

// One result pair: rows lo and hi of a part, activation row m.
__device__ void finish(const ProjectParams &p, int which, const Part &part, int m, int lo, int hi, float a, float b) {
  if (part.bias) a += plain_element(part.bias_type, part.bias, lo), b += plain_element(part.bias_type, part.bias, min(hi, part.rows - 1));
  if (p.epilogue == ROPE) {
    rope(p, which, part, m, lo, hi, a, b);
    return;
  }
  if (p.epilogue == SWIGLU) {
    p.dst[(int64_t)m * p.ldd + lo] = a / (1 + expf(-a)) * b;
    if (p.pairs) p.pairs[(int64_t)m * 2 * part.span + lo] = a, p.pairs[(int64_t)m * 2 * part.span + hi] = b;
    return;
  }
  float *y = p.dst + (int64_t)m * p.ldd + part.col;
  const bool add = p.epilogue == ADD;
  if (lo < part.rows) y[lo] = add ? y[lo] + a : a;
  if (hi < part.rows) y[hi] = add ? y[hi] + b : b;
}

// Sums of a strip over the warps, in their order, and what becomes of them.
__device__ __forceinline__ void close_strip(const ProjectParams &p, const Room &room, int phase, int strip) {
  const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  float4 a = room.sums[phase][0][lane];
#pragma unroll
  for (int w = 1; w < WARPS; w++) {
    float4 b = room.sums[phase][w][lane];
    a.x += b.x, a.y += b.y, a.z += b.z, a.w += b.w;
  }
  int within, lo, hi;
  const Part &part = part_of(p, strip, &within);
  columns(part, within, g, &lo, &hi);
  const int which = (int)(&part - p.part);
  if (2 * t < p.m) {
    float s = factor(p, room, 2 * t);
    finish(p, which, part, 2 * t, lo, hi, a.x * s, a.z * s);
  }
  if (2 * t + 1 < p.m) {
    float s = factor(p, room, 2 * t + 1);
    finish(p, which, part, 2 * t + 1, lo, hi, a.y * s, a.w * s);
  }
}

__device__ __forceinline__ void all_warps() { asm volatile("bar.sync 1, 512;" ::: "memory"); }

// The normed rows, a part of them by each block: for who reads them later.
__device__ void write_norm(const ProjectParams &p, const Room &room) {
  for (int i = blockIdx.x * 512 + threadIdx.x; i < p.m * p.k; i += gridDim.x * 512) {
    int m = i / p.k, k = i % p.k;
    p.norm[(int64_t)m * p.k + k] = p.x[(int64_t)m * p.ldx + k] * factor(p, room, m) * plain_element(p.gamma_type, p.gamma, k);
  }
}

template <int TH, int P> __device__ __forceinline__ void project(const ProjectParams &p) {
  constexpr int CHUNKS = TH / PER;
  extern __shared__ __align__(128) unsigned char ring[];
  __shared__ Room room;
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
  const int s0 = (int)((int64_t)p.strips * blockIdx.x / gridDim.x), n = (int)((int64_t)p.strips * (blockIdx.x + 1) / gridDim.x) - s0;
#if __CUDA_ARCH__ >= 900
  if (threadIdx.x == 0) {
    for (int i = 0; i < STAGES; i++) barrier_init(&room.full[i], 1), barrier_init(&room.empty[i], WARPS);
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }
  __syncthreads();
  if (w == WARPS) {
    if (lane == 0) {
      uint64_t policy;
      asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
      int i = 0;
      for (int pass = 0; pass < P; pass++)
        for (int s = 0; s < n; s++) {
          const unsigned char *from = (const unsigned char *)(strip_at(p, s0 + s) + (int64_t)pass * TH * WARPS * 32);
          for (int c = 0; c < CHUNKS; c++, i++) {
            const int stage = i % STAGES;
            if (i >= STAGES) barrier_wait(&room.empty[stage], ((i / STAGES) & 1) ^ 1);
            fetch(ring + stage * STAGE, from + (int64_t)c * STAGE, &room.full[stage], policy);
          }
        }
      let_next_start();
    }
    return;
  }
  int stage = 0;
  uint32_t parity = 0;
#else
  if (w == WARPS) return;
#endif
  wait_for_previous();
  float squares = 0, sums[P == 1 ? 1 : 2][4] = {};
  for (int pass = 0; pass < P; pass++) {
    uint32_t xb[TH][2];
    take<TH>(p, pass * TH * WARPS, xb, &squares);
    if (pass == P - 1 && p.gamma) {
      squares += __shfl_xor_sync(0xffffffff, squares, 1);
      squares += __shfl_xor_sync(0xffffffff, squares, 2);
      if ((lane & 3) == 0) room.squares[w][lane >> 2] = squares;
      if (p.norm) {
        all_warps();
        write_norm(p, room);
      }
    }
#pragma unroll P
    for (int s = 0; s < (P == 1 ? n : 2); s++) {
      if (s >= n) break;
      float(&c4)[4] = sums[P == 1 ? 0 : s];
      if (P == 1) c4[0] = c4[1] = c4[2] = c4[3] = 0;
#if __CUDA_ARCH__ < 900
      const uint4 *from = strip_at(p, s0 + s) + (int64_t)pass * TH * WARPS * 32;
#endif
#pragma unroll
      for (int c = 0; c < CHUNKS; c++) {
#if __CUDA_ARCH__ >= 900
        barrier_wait(&room.full[stage], parity);
        const uint4 *tile = (const uint4 *)(ring + stage * STAGE);
#else
        const uint4 *tile = from + c * (STAGE / 16);
#endif
#pragma unroll
        for (int j = 0; j < PER; j++) mma(c4, tile[(w * PER + j) * 32 + lane], xb[c * PER + j][0], xb[c * PER + j][1]);
#if __CUDA_ARCH__ >= 900
        __syncwarp();
        if (lane == 0) barrier_arrive(&room.empty[stage]);
        if (++stage == STAGES) stage = 0, parity ^= 1;
#endif
      }
      if (P == 1) {
        room.sums[s & 1][w][lane] = make_float4(c4[0], c4[1], c4[2], c4[3]);
        all_warps();
        if (w == s % WARPS) close_strip(p, room, s & 1, s0 + s);
      }
    }
  }
  if constexpr (P == 2) {
#pragma unroll
    for (int s = 0; s < 2; s++) room.sums[s][w][lane] = make_float4(sums[s][0], sums[s][1], sums[s][2], sums[s][3]);
    all_warps();
    if (w < n) close_strip(p, room, w, s0 + w);
  }
}

// Grid: one block a multiprocessor; 544 threads; STAGES·STAGE bytes of shared memory.
// project_TH_P multiplies 256·TH·P k.
#define PROJECT(TH, P) \
  extern "C" __global__ void __launch_bounds__(544, 1) project_##TH##_##P(const __grid_constant__ ProjectParams p) { project<TH, P>(p); }
PROJECT(2, 1) PROJECT(4, 1) PROJECT(6, 1) PROJECT(8, 1) PROJECT(10, 1) PROJECT(12, 1)
PROJECT(14, 1) PROJECT(16, 1) PROJECT(18, 1) PROJECT(20, 1) PROJECT(22, 1) PROJECT(24, 1)
PROJECT(14, 2) PROJECT(16, 2) PROJECT(18, 2) PROJECT(20, 2) PROJECT(22, 2) PROJECT(24, 2) PROJECT(26, 2) PROJECT(28, 2)
