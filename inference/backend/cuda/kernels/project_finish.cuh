// What becomes of the results of the projection kernels (project.cu): stored, added to the
// residual stream, gate times up, or rotated and put into the cache.
#pragma once
#include "fragments.cuh"
#include "project.cuh"

// The norm's factors of rows whose squares have been left, by one of OF warps: each has every OF-th row, ROWS of
// them at once. A load takes long while memory is busy, so AT_ONCE of each are under way before the first is used.
template <int OF, int ROWS, int AT_ONCE> __device__ __forceinline__ void find_factors(const ProjectParams &p, float *factors, int warp) {
  const int lane = threadIdx.x & 31;
#pragma unroll 1
  for (int first = warp; first < p.m; first += ROWS * OF) {
    float sum[ROWS] = {};
#pragma unroll 1
    for (int from = lane; from < p.squares_of; from += AT_ONCE * 32) {
      float v[ROWS][AT_ONCE];
#pragma unroll
      for (int i = 0; i < AT_ONCE; i++)
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
          const int m = min(first + r * OF, p.m - 1), at = from + i * 32;
          v[r][i] = at < p.squares_of ? p.squares[m * p.squares_of + at] : 0;
        }
#pragma unroll
      for (int i = 0; i < AT_ONCE; i++)
#pragma unroll
        for (int r = 0; r < ROWS; r++) sum[r] += v[r][i];
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      const float all = warp_sum(sum[r]);
      if (lane == 0 && first + r * OF < p.m) factors[first + r * OF] = 1 / sqrtf(all / p.k + p.eps);
    }
  }
}

// The norm's factor of a row, 1 without one.
__device__ __forceinline__ float factor(const ProjectParams &p, const Room &room, int m) {
  if (p.squares) return room.factors[m];
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
// activation rows first+2t and first+2t+1, old values of dst, or cosine and sine.
struct Meeting {
  int which, lo, hi; // number of the part
  float a[2], b[2]; // for row lo and row hi
  float gamma[2];   // of the norm behind, for row lo and row hi
};

template <bool ALL> __device__ __forceinline__ Meeting meet(const ProjectParams &p, const Place *places, int strip, int first) {
  const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  Meeting e = {};
  int within;
  e.which = part_of(p, strip, &within);
  const Part &part = p.part[e.which];
  columns(part, within, g, &e.lo, &e.hi);
  if (p.left.gamma) {
    e.gamma[0] = plain_element(p.left.gamma_type, p.left.gamma, min(e.lo, part.rows - 1));
    e.gamma[1] = plain_element(p.left.gamma_type, p.left.gamma, min(e.hi, part.rows - 1));
  }
#pragma unroll
  for (int j = 0; j < 2; j++) {
    const int m = first + 2 * t + j;
    if (m >= p.m) continue;
    if (p.epilogue == ADD) {
      const float *y = p.dst + (int64_t)m * p.ldd + part.col;
      if (e.lo < part.rows) e.a[j] = y[e.lo];
      if (e.hi < part.rows) e.b[j] = y[e.hi];
    } else if (ALL && p.epilogue == ROPE && e.which < 2) {
      const int half = p.part[0].span / 2, i = part.kind == HALVES ? e.lo % (2 * half) : e.lo % (2 * half) / 2;
      const int64_t at = (int64_t)places[m].position * half + i;
      e.a[j] = p.cos[at], e.b[j] = p.sin[at];
    }
  }
  return e;
}

// Rotates a pair of q or k, and stores k and v. Parts are q, k, v.
__device__ void rope(const ProjectParams &p, const Place &place, const Meeting &e, int m, float c, float s, float a, float b) {
  const int dim = p.part[0].span;
  if (e.which < 2) {
    const float x = a;
    a = fmaf(x, c, -(b * s)), b = fmaf(x, s, b * c);
  }
  if (e.which == 0) {
    float *q = p.dst + (int64_t)m * p.ldd + p.part[e.which].col;
    q[e.lo] = a, q[e.hi] = b;
    return;
  }
  const int head = e.lo / dim;
  uint8_t *row = (e.which == 1 ? p.cache.k : p.cache.v) + (place.row + (int64_t)head * p.cache.size) * p.cache.rowbytes;
  cache_store(p.cache, row, e.lo % dim, a), cache_store(p.cache, row, e.hi % dim, b);
}

// Where element k of row m lies for the projection behind.
__device__ __forceinline__ uint8_t *left_at(const Left &left, int m, int k) {
  return left.order == FRAGMENTS ? left.dst + fragment_at(left.ld, m / 8, m % 8, k) : left.dst + (int64_t)m * left.ld * 4 + 2 * k;
}
__device__ __forceinline__ void leave(uint8_t *to, float v) { *(__nv_bfloat16 *)to = __float2bfloat16_rn(v); }

// The sum of squares of a strip of a row of which something is left: a lane has that of its two results.
__device__ __forceinline__ void leave_square(const ProjectParams &p, const Meeting &e, int m, float square) {
  for (int i = 4; i < 32; i *= 2) square += __shfl_xor_sync(0xffffffff, square, i);
  if ((threadIdx.x & 31) < 4 && m < p.m) p.left.squares[(int64_t)m * p.strips + e.lo / 16] = square;
}

// A pair of results with what is added to them always.
__device__ __forceinline__ void add_bias(const ProjectParams &p, const Meeting &e, float &a, float &b) {
  const Part &part = p.part[e.which];
  if (part.bias) a += plain_element(part.bias_type, part.bias, min(e.lo, part.rows - 1)), b += plain_element(part.bias_type, part.bias, min(e.hi, part.rows - 1));
}

__device__ __forceinline__ float gated(float gate, float up) { return gate / (1 + expf(-gate)) * up; }

// Stores a pair of results, added to what was there under ADD. They become what is stored, zero
// beyond the matrix.
__device__ __forceinline__ void store_sums(const ProjectParams &p, const Meeting &e, int j, int m, float &a, float &b) {
  float *y = p.dst + (int64_t)m * p.ldd + p.part[e.which].col;
  const bool lo = e.lo < p.part[e.which].rows, hi = e.hi < p.part[e.which].rows;
  a = lo ? e.a[j] + a : 0, b = hi ? e.b[j] + b : 0; // old values are zero but for ADD
  if (lo) y[e.lo] = a;
  if (hi) y[e.hi] = b;
}

// One result pair: rows lo and hi of a part, activation row m = 2t+j. Returns the sum of the
// squares of what is left for a norm.
template <bool ALL> __device__ __forceinline__ float finish(const ProjectParams &p, const Place *places, const Meeting &e, int j, int m, float a, float b) {
  add_bias(p, e, a, b);
  if (ALL && p.epilogue == ROPE) {
    rope(p, places[m], e, m, e.a[j], e.b[j], a, b);
    return 0;
  }
  if (ALL && p.epilogue == SWIGLU) {
    const float y = gated(a, b);
    if (p.packed_dst == FRAGMENTS) leave((uint8_t *)p.dst + fragment_at(p.ldd, m / 8, m % 8, e.lo), y);
    else if (p.packed_dst) ((__nv_bfloat16 *)(p.dst + (int64_t)m * p.ldd))[e.lo] = __float2bfloat16_rn(y);
    else p.dst[(int64_t)m * p.ldd + e.lo] = y;
    if (p.pairs) p.pairs[(int64_t)m * 2 * p.part[e.which].span + e.lo] = a, p.pairs[(int64_t)m * 2 * p.part[e.which].span + e.hi] = b;
    return 0;
  }
  store_sums(p, e, j, m, a, b);
  if (!p.left.dst) return 0;
  uint8_t *to = left_at(p.left, m, e.lo);
  if (e.lo < p.part[e.which].rows) leave(to, a * e.gamma[0]);
  if (e.hi < p.part[e.which].rows) leave(to + (p.left.order == FRAGMENTS ? NEXT_EIGHT : 16), b * e.gamma[1]);
  return fmaf(a, a, b * b);
}

// Sums of a strip over the warps, in their order, and what becomes of them. first, second: the
// norm's factors of activation rows 2t and 2t+1.
template <bool ALL> __device__ __forceinline__ void close_scaled(const ProjectParams &p, const Room &room, int phase, const Meeting &e, float first, float second) {
  const int lane = threadIdx.x & 31, t = lane & 3;
  float4 a = room.sums[phase][0][lane];
#pragma unroll
  for (int w = 1; w < WARPS; w++) {
    float4 b = room.sums[phase][w][lane];
    a.x += b.x, a.y += b.y, a.z += b.z, a.w += b.w;
  }
  float square[2] = {};
  if (2 * t < p.m) square[0] = finish<ALL>(p, room.places, e, 0, 2 * t, a.x * first, a.z * first);
  if (2 * t + 1 < p.m) square[1] = finish<ALL>(p, room.places, e, 1, 2 * t + 1, a.y * second, a.w * second);
  if (p.left.dst) leave_square(p, e, 2 * t, square[0]), leave_square(p, e, 2 * t + 1, square[1]);
}

// The same where each strip looks the factors up.
template <bool ALL> __device__ __forceinline__ void close_strip(const ProjectParams &p, const Room &room, int phase, const Meeting &e) {
  const int m = (threadIdx.x & 3) * 2;
  const float first = ALL && m < p.m ? factor(p, room, m) : 1, second = ALL && m + 1 < p.m ? factor(p, room, m + 1) : 1;
  close_scaled<ALL>(p, room, phase, e, first, second);
}

__device__ __forceinline__ void find_row(const ProjectParams &p, Place *places, int m) {
  if (p.epilogue != ROPE || m >= p.m) return;
  const int position = p.batch.positions[m];
  const int64_t page = p.batch.pages[p.batch.tables[m] + position / p.cache.size];
  places[m] = {page * p.kv * p.cache.size + position % p.cache.size, position};
}
__device__ __forceinline__ void find_rows(const ProjectParams &p, Place *places) { find_row(p, places, threadIdx.x); }

// The normed rows, a part of them by each block: for who reads them later. factor: the norm's, of a row.
template <class F> __device__ void write_norm(const ProjectParams &p, F factor) {
  for (int i = blockIdx.x * 512 + threadIdx.x; i < p.m * p.k; i += gridDim.x * 512) {
    int m = i / p.k, k = i % p.k;
    p.norm[(int64_t)m * p.k + k] = p.x[(int64_t)m * p.ldx + k] * factor(m) * plain_element(p.gamma_type, p.gamma, k);
  }
}
