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
// two strips are kept: long rows, whose activations would not fit in registers. Such a
// kernel stores or adds, nothing else: it has no registers left.
#include "projection.cuh"

enum { WARPS = 16, PER = 2, STAGE = WARPS * PER * 512, STAGES = 11 };

struct ProjectParams {
  Part part[3];
  const float *x;       // [m × ldx], or bf16 in its place
  const uint8_t *gamma; // of the norm before, null: none
  float *dst, *norm;    // norm: where the normed x goes, null: nowhere
  float *pairs;         // what SwiGLU has multiplied [m × 2·span], null: nowhere
  const float *cos, *sin; // [positions × span/2]
  BatchParams batch;
  CacheParams cache;
  int32_t parts, strips, m, k, ldx, ldd;
  int32_t gamma_type, epilogue, k0, tiles; // first k; k16 tiles of a strip
  int32_t kv, packed_x;                    // heads of keys; whether x is bf16, rows as far apart
  float eps;
  int32_t packed_dst;                      // whether SwiGLU writes bf16, for a kernel that wants packed_x
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
  int64_t rows[8]; // where keys and values of each row go: the cache's row of head 0
  int32_t positions[8];
  uint64_t full[STAGES], empty[STAGES];
};

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

// Adds the sums of four lanes to those of a row.
__device__ __forceinline__ void add_squares(float *squares, int m, float sum) {
  sum += __shfl_xor_sync(0xffffffff, sum, 1);
  sum += __shfl_xor_sync(0xffffffff, sum, 2);
  if ((threadIdx.x & 3) == 0) squares[m] += sum;
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
    float square[N], sum = 0;
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
      if (NORM && p.gamma) sum += __shfl_sync(0xffffffff, square[i / 8], from); // in the order of take_many
      if (g == m) xb[i][0] = lo, xb[i][1] = hi;
    }
    if (NORM) add_squares(squares[w], m, sum);
  }
}

// The same for many rows: each lane loads what it needs itself.
template <int TH, bool NORM> __device__ __forceinline__ void take_many(const ProjectParams &p, int first, uint32_t (&xb)[TH][2], float (*squares)[8]) {
  constexpr int BATCH = !NORM ? 6 : TH <= 16 ? 8 : 4; // loads under way
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
  const float *x = p.x + (int64_t)(g < p.m ? g : 0) * p.ldx;
  const int end = g < p.m ? p.k : 0;
  float sum = 0;
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
          sum += squares_of(v[j]);
          v[j] = times(v[j], gamma[j]);
        }
        xb[from + j][0] = pack(v[j].x, v[j].y), xb[from + j][1] = pack(v[j].z, v[j].w);
      }
  }
  if (NORM) add_squares(squares[w], g, sum);
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

// What the results of a strip meet, loaded before they are there: of rows lo and hi for
// activation rows 2t and 2t+1, old values of dst, or cosine and sine.
struct Meeting {
  const Part *part;
  int which, lo, hi;
  float a[2], b[2]; // for row lo and row hi
};

template <bool ALL> __device__ __forceinline__ Meeting meet(const ProjectParams &p, const Room &room, int strip) {
  const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  Meeting e = {};
  int within;
  e.part = &part_of(p, strip, &within);
  e.which = (int)(e.part - p.part);
  columns(*e.part, within, g, &e.lo, &e.hi);
#pragma unroll
  for (int j = 0; j < 2; j++) {
    const int m = 2 * t + j;
    if (m >= p.m) continue;
    if (p.epilogue == ADD) {
      const float *y = p.dst + (int64_t)m * p.ldd + e.part->col;
      if (e.lo < e.part->rows) e.a[j] = y[e.lo];
      if (e.hi < e.part->rows) e.b[j] = y[e.hi];
    } else if (ALL && p.epilogue == ROPE && e.which < 2) {
      const int half = p.part[0].span / 2, i = e.part->kind == HALVES ? e.lo % (2 * half) : e.lo % (2 * half) / 2;
      const int64_t at = (int64_t)room.positions[m] * half + i;
      e.a[j] = p.cos[at], e.b[j] = p.sin[at];
    }
  }
  return e;
}

// Rotates a pair of q or k, and stores k and v. Parts are q, k, v.
__device__ void rope(const ProjectParams &p, const Room &room, const Meeting &e, int m, float c, float s, float a, float b) {
  const int dim = p.part[0].span;
  if (e.which < 2) {
    const float x = a;
    a = fmaf(x, c, -(b * s)), b = fmaf(x, s, b * c);
  }
  if (e.which == 0) {
    float *q = p.dst + (int64_t)m * p.ldd + e.part->col;
    q[e.lo] = a, q[e.hi] = b;
    return;
  }
  const int head = e.lo / dim;
  uint8_t *row = (e.which == 1 ? p.cache.k : p.cache.v) + (room.rows[m] + (int64_t)head * p.cache.size) * p.cache.rowbytes;
  cache_store(p.cache, row, e.lo % dim, a), cache_store(p.cache, row, e.hi % dim, b);
}

// One result pair: rows lo and hi of a part, activation row m = 2t+j.
template <bool ALL> __device__ __forceinline__ void finish(const ProjectParams &p, const Room &room, const Meeting &e, int j, int m, float a, float b) {
  const Part &part = *e.part;
  if (part.bias) a += plain_element(part.bias_type, part.bias, min(e.lo, part.rows - 1)), b += plain_element(part.bias_type, part.bias, min(e.hi, part.rows - 1));
  if (ALL && p.epilogue == ROPE) {
    rope(p, room, e, m, e.a[j], e.b[j], a, b);
    return;
  }
  if (ALL && p.epilogue == SWIGLU) {
    const float y = a / (1 + expf(-a)) * b;
    if (p.packed_dst) ((__nv_bfloat16 *)(p.dst + (int64_t)m * p.ldd))[e.lo] = __float2bfloat16_rn(y);
    else p.dst[(int64_t)m * p.ldd + e.lo] = y;
    if (p.pairs) p.pairs[(int64_t)m * 2 * part.span + e.lo] = a, p.pairs[(int64_t)m * 2 * part.span + e.hi] = b;
    return;
  }
  float *y = p.dst + (int64_t)m * p.ldd + part.col;
  if (e.lo < part.rows) y[e.lo] = e.a[j] + a; // old values are zero but for ADD
  if (e.hi < part.rows) y[e.hi] = e.b[j] + b;
}

// Sums of a strip over the warps, in their order, and what becomes of them.
template <bool ALL> __device__ __forceinline__ void close_strip(const ProjectParams &p, const Room &room, int phase, const Meeting &e) {
  const int lane = threadIdx.x & 31, t = lane & 3;
  float4 a = room.sums[phase][0][lane];
#pragma unroll
  for (int w = 1; w < WARPS; w++) {
    float4 b = room.sums[phase][w][lane];
    a.x += b.x, a.y += b.y, a.z += b.z, a.w += b.w;
  }
  if (2 * t < p.m) {
    float s = ALL ? factor(p, room, 2 * t) : 1;
    finish<ALL>(p, room, e, 0, 2 * t, a.x * s, a.z * s);
  }
  if (2 * t + 1 < p.m) {
    float s = ALL ? factor(p, room, 2 * t + 1) : 1;
    finish<ALL>(p, room, e, 1, 2 * t + 1, a.y * s, a.w * s);
  }
}

// Where rows of activations are in their sequences: two loads in a row each, so they
// begin early.
__device__ __forceinline__ void find_rows(const ProjectParams &p, Room &room) {
  const int m = threadIdx.x;
  if (p.epilogue != ROPE || m >= p.m) return;
  const int position = p.batch.positions[m];
  const int64_t page = p.batch.pages[p.batch.tables[m] + position / p.cache.size];
  room.positions[m] = position;
  room.rows[m] = page * p.kv * p.cache.size + position % p.cache.size;
}

__device__ __forceinline__ void all_warps() { asm volatile("bar.sync 1, 512;" ::: "memory"); }

// The normed rows, a part of them by each block: for who reads them later.
__device__ void write_norm(const ProjectParams &p, const Room &room) {
  for (int i = blockIdx.x * 512 + threadIdx.x; i < p.m * p.k; i += gridDim.x * 512) {
    int m = i / p.k, k = i % p.k;
    p.norm[(int64_t)m * p.k + k] = p.x[(int64_t)m * p.ldx + k] * factor(p, room, m) * plain_element(p.gamma_type, p.gamma, k);
  }
}

// Where a warp is in the ring.
struct Cursor {
  int stage;
  uint32_t parity;
};

// c += the warp's tiles of a strip times its activations.
template <int TH> __device__ __forceinline__ void multiply(Room &room, const unsigned char *ring, Cursor &at, const uint4 *from, const uint32_t (&xb)[TH][2], float (&c)[4]) {
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
#pragma unroll
  for (int i = 0; i < TH / PER; i++) {
#if __CUDA_ARCH__ >= 900
    barrier_wait(&room.full[at.stage], at.parity);
    const uint4 *tile = (const uint4 *)(ring + at.stage * STAGE);
#else
    const uint4 *tile = from + i * (STAGE / 16);
#endif
#pragma unroll
    for (int j = 0; j < PER; j++) mma(c, tile[(w * PER + j) * 32 + lane], xb[i * PER + j][0], xb[i * PER + j][1]);
#if __CUDA_ARCH__ >= 900
    __syncwarp();
    if (lane == 0) barrier_arrive(&room.empty[at.stage]);
    if (++at.stage == STAGES) at.stage = 0, at.parity ^= 1;
#endif
  }
}

// Fetches the block's strips, pass by pass, in the order in which the warps take them.
template <int TH, int P> __device__ __forceinline__ void produce(const ProjectParams &p, Room &room, unsigned char *ring, int s0, int n) {
#if __CUDA_ARCH__ >= 900
  uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  int i = 0;
  for (int pass = 0; pass < P; pass++)
    for (int s = 0; s < n; s++) {
      const unsigned char *from = (const unsigned char *)(strip_at(p, s0 + s) + (int64_t)pass * TH * WARPS * 32);
      for (int c = 0; c < TH / PER; c++, i++) {
        const int stage = i % STAGES;
        if (i >= STAGES) barrier_wait(&room.empty[stage], ((i / STAGES) & 1) ^ 1);
        fetch(ring + stage * STAGE, from + (int64_t)c * STAGE, &room.full[stage], policy);
      }
    }
  let_next_start();
#endif
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

template <int TH, int P> __device__ __forceinline__ void project(const ProjectParams &p) {
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
#endif
  if (w == WARPS) {
    if (lane == 0) produce<TH, P>(p, room, ring, s0, n);
    return;
  }
  wait_for_previous();
  find_rows(p, room);
  if (lane < 8) room.squares[w][lane] = 0;
  __syncwarp();
  Cursor at = {};
  uint32_t xb[TH][2] = {};
  take<TH, P == 1>(p, 0, xb, room);
  if (P == 1 && (p.epilogue == ROPE || p.norm)) all_warps();
  if (P == 1 && p.norm) write_norm(p, room);
  if constexpr (P == 1) {
    for (int s = 0; s < n; s++) {
      float c[4] = {0, 0, 0, 0};
      multiply<TH>(room, ring, at, strip_at(p, s0 + s), xb, c);
      room.sums[s & 1][w][lane] = make_float4(c[0], c[1], c[2], c[3]);
      Meeting e;
      if (w == s % WARPS) e = meet<true>(p, room, s0 + s);
      all_warps();
      if (w == s % WARPS) close_strip<true>(p, room, s & 1, e);
    }
  } else {
    const int64_t half = (int64_t)TH * WARPS * 32;
    float c[4] = {0, 0, 0, 0}, d[4] = {0, 0, 0, 0};
    Meeting e;
    if (w < n) e = meet<false>(p, room, s0 + w);
    multiply<TH>(room, ring, at, strip_at(p, s0), xb, c);
    if (n > 1) multiply<TH>(room, ring, at, strip_at(p, s0 + 1), xb, d);
    take<TH, false>(p, TH * WARPS, xb, room);
    multiply<TH>(room, ring, at, strip_at(p, s0) + half, xb, c);
    if (n > 1) multiply<TH>(room, ring, at, strip_at(p, s0 + 1) + half, xb, d);
    room.sums[0][w][lane] = make_float4(c[0], c[1], c[2], c[3]);
    room.sums[1][w][lane] = make_float4(d[0], d[1], d[2], d[3]);
    all_warps();
    if (w < n) close_strip<false>(p, room, w, e);
  }
}

// Grid: one block a multiprocessor; 544 threads; STAGES·STAGE bytes of shared memory.
// project_TH_P multiplies 256·TH·P k.
#define PROJECT(TH, P) \
  extern "C" __global__ void __launch_bounds__(544, 1) project_##TH##_##P(const __grid_constant__ ProjectParams p) { project<TH, P>(p); }
PROJECT(2, 1) PROJECT(4, 1) PROJECT(6, 1) PROJECT(8, 1) PROJECT(10, 1) PROJECT(12, 1)
PROJECT(14, 1) PROJECT(16, 1) PROJECT(18, 1) PROJECT(20, 1) PROJECT(22, 1) PROJECT(24, 1)
PROJECT(14, 2) PROJECT(16, 2) PROJECT(18, 2) PROJECT(20, 2) PROJECT(22, 2) PROJECT(24, 2) PROJECT(26, 2) PROJECT(28, 2)
