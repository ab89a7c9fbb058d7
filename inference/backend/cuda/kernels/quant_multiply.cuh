// The products of the projections of quantised weights (quant.cu): a warp's slice of k, of a
// strip, with one row of activations or up to 8.
#pragma once
#include "quant_take.cuh"
#include "ring.cuh"

// The records of a strip as a warp takes them: from the ring, or where there is none, from memory.
template <class Q> struct Records {
  Room &room;
  typename Q::At first; // the lane's own in the first stage, or the strip's first record
  Cursor at;
  int stages, chunks, arrive; // arrive: lanes that arrive for the warp

  __device__ __forceinline__ void next(Cursor &c) const {
    if (++c.stage == stages) c.stage = 0, c.parity ^= 1;
  }
  // take waits for record c, the j-th of its period, and returns where it is from `first` on.
  // from is the stage of the record before, or where to begin: records.at.
  __device__ __forceinline__ int take(Cursor &from, int c, int j) {
#if __CUDA_ARCH__ >= 900
    const int in = j % Q::STAGE, stage = from.stage;
    if (in == 0) barrier_wait(&room.full[stage], from.parity);
    if (in == Q::STAGE - 1) next(from);
    return stage * (Q::STAGE * Q::BYTES) + in * Q::BYTES;
#else
    return c * Q::BYTES;
#endif
  }
  // Gives a stage back of which `loaded` and all that it was made of has been read.
  __device__ __forceinline__ void release(uint32_t loaded) {
#if __CUDA_ARCH__ >= 900
    __syncwarp();
    if ((threadIdx.x & 31) < arrive) barrier_arrive(shared(&room.empty[at.stage]) + once_loaded(loaded));
    next(at);
#endif
  }
};

// sum + d·c - minimum·s for row half h and tile u.
template <class Q> __device__ __forceinline__ float scaled_sum(float sum, const typename Q::Raw &raw, int h, int u, float c, float s) {
  sum = fmaf(Q::scale(raw, h, u), c, sum);
  return Q::MINUS ? fmaf(-Q::minus(raw, h), s, sum) : sum;
}

// Sums of integers begin with what these are too large by, rows g+8 in their own units.
template <class Q> __device__ __forceinline__ float2 higher(float2 s) { return make_float2(Q::HIGHER * s.x, Q::HIGHER * s.y); }
template <class Q> __device__ __forceinline__ void begin(float (&c)[4], float2 s, float2 above) {
  c[0] = -Q::OFFSET * s.x, c[1] = -Q::OFFSET * s.y, c[2] = -Q::OFFSET * above.x, c[3] = -Q::OFFSET * above.y;
}

// Groups of 8 columns are PERIOD records.
template <class Q> struct Period { enum { TILES = 32 / Q::WIDE, PERIOD = 8 / TILES }; };

// For a lane of column g, which of the groups of a period is its own: 1, and 0 for others. A
// product with it is one more for the multipliers, which have less to do than the adders.
struct Column {
  uint32_t low, high; // a byte for each group
  __device__ __forceinline__ explicit Column(int g) : low(g < 4 ? 1u << 8 * g : 0), high(g < 4 ? 0 : 1u << 8 * (g - 4)) {}
  __device__ __forceinline__ uint32_t is(int i) const { return __byte_perm(i < 4 ? low : high, 0, 0x4440 | i % 4); }
};

// B of the two tiles of a record with one row of activations: their own columns of b.
template <class Q> __device__ __forceinline__ uint4 own_columns(const Column &column, int j, uint4 b) {
  constexpr int TILES = Period<Q>::TILES;
  const uint32_t first = column.is(j * TILES), second = column.is(j * TILES + TILES - 1);
  return make_uint4(b.x * first, b.y * first, b.z * second, b.w * second);
}

// Activations of column g in a period that begins with record c0.
template <class Q> __device__ __forceinline__ uint4 column_of(const Taken &x, int c0) {
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
  return x.x[((c0 + lane / 4 / Period<Q>::TILES) * WARPS + w) * 4 + lane % 4];
}

// Rows of KEPT records, 4096 elements, have their B in registers from strip to strip.
enum { KEPT = 8 };

// Adds a period of one row of activations, or its first COUNT records; 0: as many as are left.
template <class Q, int COUNT, bool KEEP>
__device__ __forceinline__ void multiply_period(Records<Q> &records, const Taken &x, const Column &column, const uint4 (&kept)[KEPT], int c0, float (&sum)[2]) {
  constexpr int TILES = Period<Q>::TILES, PERIOD = Period<Q>::PERIOD;
  const int w = threadIdx.x >> 5, t = threadIdx.x & 3;
  const uint4 column_b = KEEP ? make_uint4(0, 0, 0, 0) : column_of<Q>(x, c0);
  const float2 s = *(const float2 *)&x.sums[(w * x.chunks + c0) * TILES + 2 * t], above = higher<Q>(s);
  float c[4];
  begin<Q>(c, s, above);
  typename Q::Raw raw[2] = {};
  constexpr int AHEAD = 4; // records that are read before one is multiplied
#pragma unroll
  for (int j0 = 0; j0 < PERIOD; j0 += AHEAD) {
    typename Q::Bits bits[AHEAD];
    uint32_t loaded = 0;
    Cursor from = records.at;
#pragma unroll
    for (int j = j0; j < j0 + AHEAD; j++) {
      if (COUNT ? j >= COUNT : c0 + j >= records.chunks) break;
      const int record = records.take(from, c0 + j, j);
      bits[j - j0] = Q::bits(records.first, record);
      if (t == j * TILES / 2) Q::load(records.first, record, raw[TILES == 1 ? j % 2 : 0]);
      loaded |= Q::any(bits[j - j0]) | Q::any(raw[TILES == 1 ? j % 2 : 0]);
    }
#pragma unroll
    for (int j = j0; j < j0 + AHEAD; j++) {
      if (COUNT ? j >= COUNT : c0 + j >= records.chunks) break;
      uint4 a[2];
      Q::tiles(bits[j - j0], a);
      const uint4 b = KEEP ? kept[c0 + j] : own_columns<Q>(column, j, column_b);
      mma_f16(c, a[0], b.x, b.y);
      mma_f16(c, a[1], b.z, b.w);
      if (j % Q::STAGE == Q::STAGE - 1 || (COUNT ? j + 1 == COUNT : c0 + j + 1 == records.chunks)) records.release(loaded);
    }
  }
#pragma unroll
  for (int h = 0; h < 2; h++) {
    sum[h] = scaled_sum<Q>(sum[h], raw[0], h, 0, c[2 * h], h ? above.x : s.x);
    sum[h] = scaled_sum<Q>(sum[h], raw[TILES == 1], h, 1, c[2 * h + 1], h ? above.y : s.y);
  }
}

// The sums of a strip for one row of activations, those of rows g and g+8 in lanes 4g.
template <class Q, bool KEEP>
__device__ __forceinline__ float4 multiply_one(Records<Q> &records, const Taken &x, const Column &column, const uint4 (&kept)[KEPT]) {
  constexpr int PERIOD = Period<Q>::PERIOD;
  float sum[2] = {0, 0};
  if constexpr (KEEP) {
#pragma unroll
    for (int c0 = 0; c0 < KEPT; c0 += PERIOD) multiply_period<Q, PERIOD, true>(records, x, column, kept, c0, sum);
  } else {
    int c0 = 0;
#pragma unroll 1
    for (; c0 + PERIOD <= records.chunks; c0 += PERIOD) multiply_period<Q, PERIOD, false>(records, x, column, kept, c0, sum);
    if (PERIOD == 8 && c0 + 4 == records.chunks) multiply_period<Q, 4, false>(records, x, column, kept, c0, sum);
    else if (c0 < records.chunks) multiply_period<Q, 0, false>(records, x, column, kept, c0, sum);
  }
#pragma unroll
  for (int h = 0; h < 2; h++) {
    sum[h] += __shfl_xor_sync(0xffffffff, sum[h], 1);
    sum[h] += __shfl_xor_sync(0xffffffff, sum[h], 2);
  }
  const float factor = x.factors[(threadIdx.x >> 5) * 8];
  return make_float4(sum[0] * UNITS * factor, 0, sum[1] * (UNITS / Q::HIGHER) * factor, 0);
}

// Adds a record's products with up to 8 rows to the chain of its group.
template <class Q> __device__ __forceinline__ void add_record(const typename Q::Bits &bits, const typename Q::Raw &raw, uint4 b, const float2 (&s)[Period<Q>::TILES], float (&to)[4]) {
  constexpr int TILES = Period<Q>::TILES;
  uint4 a[2];
  Q::tiles(bits, a);
#pragma unroll
  for (int u = 0; u < TILES; u++) {
    const float2 above = higher<Q>(s[u]);
    float c[4];
    begin<Q>(c, s[u], above);
    if (u == 0) mma_f16(c, a[0], b.x, b.y);
    if (u == TILES - 1) mma_f16(c, a[1], b.z, b.w);
    to[0] = scaled_sum<Q>(to[0], raw, 0, u, c[0], s[u].x), to[1] = scaled_sum<Q>(to[1], raw, 0, u, c[1], s[u].y);
    to[2] = scaled_sum<Q>(to[2], raw, 1, u, c[2], above.x), to[3] = scaled_sum<Q>(to[3], raw, 1, u, c[3], above.y);
  }
}

// Adds a period of up to 8 rows: to the chain of each group, activation rows 2t and 2t+1 of row
// g and then g+8.
template <class Q, bool FULL> __device__ __forceinline__ void multiply_rows(Records<Q> &records, const Taken &x, int c0, float (&sum)[4][4]) {
  constexpr int TILES = Period<Q>::TILES, PERIOD = Period<Q>::PERIOD;
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
  constexpr int AHEAD = 2; // records that are read before one is multiplied
  uint32_t loaded = 0;
#pragma unroll
  for (int j0 = 0; j0 < PERIOD; j0 += AHEAD) {
    typename Q::Bits bits[AHEAD];
    typename Q::Raw raw[AHEAD];
    uint4 b[AHEAD];
    float2 s[AHEAD][TILES];
    Cursor from = records.at;
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      const int c = c0 + j0 + i;
      if (!FULL && c >= records.chunks) break;
      const int record = records.take(from, c, j0 + i);
      bits[i] = Q::bits(records.first, record);
      Q::load(records.first, record, raw[i]);
      loaded |= Q::any(bits[i]) | Q::any(raw[i]);
      b[i] = make_uint4(0, 0, 0, 0);
      if (g < x.rows) b[i] = x.x[((c * WARPS + w) * x.rows + g) * 4 + t];
#pragma unroll
      for (int u = 0; u < TILES; u++) s[i][u] = *(const float2 *)&x.sums[((w * x.chunks + c) * TILES + u) * x.stride + 2 * t];
    }
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      const int j = j0 + i;
      if (!FULL && c0 + j >= records.chunks) break;
      add_record<Q>(bits[i], raw[i], b[i], s[i], sum[j * TILES / 2]);
      if (j % Q::STAGE == Q::STAGE - 1 || !FULL && c0 + j + 1 == records.chunks) records.release(loaded);
    }
  }
}

// The sums of a strip for up to 8 rows, as the accumulators of a product have them.
template <class Q> __device__ __forceinline__ float4 multiply_many(Records<Q> &records, const Taken &x) {
  float sum[4][4] = {};
  int c0 = 0;
#pragma unroll 1
  for (; c0 + Period<Q>::PERIOD <= records.chunks; c0 += Period<Q>::PERIOD) multiply_rows<Q, true>(records, x, c0, sum);
  if (c0 < records.chunks) multiply_rows<Q, false>(records, x, c0, sum);
  const float2 factor = *(const float2 *)&x.factors[(threadIdx.x >> 5) * 8 + (threadIdx.x & 3) * 2];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    sum[0][i] = (sum[0][i] + sum[1][i]) + (sum[2][i] + sum[3][i]);
    sum[0][i] *= i < 2 ? UNITS : UNITS / Q::HIGHER;
    sum[0][i] *= i % 2 ? factor.y : factor.x;
  }
  return make_float4(sum[0][0], sum[0][1], sum[0][2], sum[0][3]);
}
