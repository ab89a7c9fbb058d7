// The products of the projections of quantised weights (quant.cu, chain_quant.cu): a warp's slice of
// k, of a strip, with one row of activations or up to 8.
//
// A product of 32 k has 8 columns. With one row of activations they are four groups that have
// one scale, high and low bytes apart: each group's k meet its columns and zeros elsewhere, so
// that four products, or two if a scale has 16 k, leave each lane the two sums of one group for
// rows g and g+8. With more, columns are the bytes of four rows. Sums of a group are integers, and
// exact; scaled, they are added in float32 in four chains by the group's number. So a row's
// bits do not depend on how many there are.
#pragma once
#include "quant_take.cuh"
#include "ring.cuh"

// Four groups are PERIOD records.
template <class Q> struct Period { enum { HALVES = 32 / Q::WIDE, PERIOD = 4 / HALVES }; };

// The records of a strip as a warp takes them: from the ring, whose stages lie SLOT bytes apart, or
// where there is none, from memory.
template <class Q, int SLOT = Q::STAGE * Q::BYTES> struct Records {
  uint32_t full, to_empty; // barriers in shared memory: the first full one, and how far empty ones are from full ones
  // The lane's in the first stage, or the strip's first record; and where what it scales with one row lies.
  typename Q::At first, scales;
  Cursor at;
  int stages, chunks, arrive; // arrive: lanes that arrive for the warp

  __device__ __forceinline__ void begin_at(const typename Q::At &at) {
    first = scales = at;
    const unsigned char **p = (const unsigned char **)&scales;
#pragma unroll
    for (int i = 0; i < (int)(sizeof(at) / sizeof(*p)); i++) p[i] += threadIdx.x % 4 / Period<Q>::HALVES * Q::BYTES;
  }
  // Waits for the next N records, of one stage or two, or whole ones: for one barrier after the other, since racecheck of
  // compute-sanitizer never ends where a loop asks both.
  template <int N> __device__ __forceinline__ void wait() const {
#if __CUDA_ARCH__ >= 900
    static_assert(N <= 2 * Q::STAGE);
    wait_at(full + 8 * at.stage, at.parity);
    if (N <= Q::STAGE) return;
    Cursor second = at;
    second.next(stages);
    wait_at(full + 8 * second.stage, second.parity);
#endif
  }
  // take returns where record c is, the j-th that was waited for, from `first` on. from is the stage of the record
  // before, or where to begin: records.at.
  __device__ __forceinline__ int take(Cursor &from, int c, int j) const {
#if __CUDA_ARCH__ >= 900
    const int in = j % Q::STAGE, stage = from.stage;
    if (in == Q::STAGE - 1) from.next(stages);
    return stage * SLOT + in * Q::BYTES;
#else
    return c * Q::BYTES;
#endif
  }
  // Gives a stage back of which `loaded` and all that it was made of has been read, by all of the warp.
  __device__ __forceinline__ void release(uint32_t loaded) {
#if __CUDA_ARCH__ >= 900
    if ((threadIdx.x & 31) < arrive) barrier_arrive(full + 8 * at.stage + to_empty + once_loaded(loaded));
    at.next(stages);
#endif
  }
};

// sum + scale·x − minimum·common for the groups of rows g and g+8, whose sums of high and low bytes are
// given: c0 and c1, c2 and c3.
template <class Q> __device__ __forceinline__ void add_groups(float &lo, float &hi, const typename Q::Raw &raw, int u, const int (&c)[4], float2 x) {
  int v[2] = {256 * c[0] + c[1], 256 * c[2] + c[3]};
  if (Q::SHARED) v[1] -= v[0];
  if (Q::OFFSET) v[0] -= __float_as_int(x.y), v[1] -= Q::TIMES * __float_as_int(x.y);
  lo = fmaf(Q::scale(raw, 0, u), (float)v[0] * x.x, lo);
  hi = fmaf(Q::scale(raw, 1, u), (float)v[1] * x.x, hi);
  if (Q::MINUS) lo = fmaf(-Q::minus(raw, 0), x.y, lo), hi = fmaf(-Q::minus(raw, 1), x.y, hi);
}

// What a lane has of a period of one row of activations: B of each record's product, which is zero but in
// the columns of its groups, where it stays zero, and the scale of the group of the lane's sums.
template <class Q> struct Operand {
  enum { HALVES = Period<Q>::HALVES, PERIOD = Period<Q>::PERIOD };
  uint2 b[PERIOD];
  float2 scale;

  // x: what the lane has of its column; scales: those of the lane's group.
  __device__ __forceinline__ void take(const uint32_t *x, const float2 *scales) {
    const int group = (threadIdx.x & 31) / 8;
#pragma unroll
    for (int j = 0; j < PERIOD; j++) {
      if (HALVES == 1 && group == j) b[j] = *(const uint2 *)x;
      if (HALVES == 2 && group == 2 * j) b[j].x = *x;
      if (HALVES == 2 && group == 2 * j + 1) b[j].y = *x;
    }
    scale = *scales;
  }
};

// A period's weights on their way through a lane.
template <class Q> struct Products {
  enum { HALVES = Period<Q>::HALVES, PERIOD = Period<Q>::PERIOD };
  typename Q::Bits bits[PERIOD];
  typename Q::Raw raw;
  int c[4];

  // Loads the first `left` records from their places; not FULL: there may be fewer than a period has.
  template <bool FULL, int SLOT> __device__ __forceinline__ void load(const Records<Q, SLOT> &records, const int (&at)[PERIOD], int left) {
    const int own = threadIdx.x % 4 / HALVES;
#pragma unroll
    for (int j = 0; j < PERIOD; j++) {
      if (!FULL && j >= left) break;
      bits[j] = Q::bits(records.first, at[j]);
      if (PERIOD > Q::STAGE && own == j) Q::load(records.first, at[j], raw);
    }
    if (PERIOD <= Q::STAGE && (FULL || own < left)) Q::load(records.scales, at[0], raw);
  }
};

// Adds N periods of one row of activations, whose products do not wait for each other; not FULL: as many
// records as are left.
template <class Q, int N, bool FULL, int SLOT> __device__ __forceinline__ void multiply_periods(Records<Q, SLOT> &records, const Operand<Q> *x, int c0, float (&sum)[2]) {
  constexpr int PERIOD = Period<Q>::PERIOD;
  const int left = records.chunks - c0;
  Products<Q> p[N] = {};
  int at[N][PERIOD];
  Cursor from = records.at;
  if (FULL || left > Q::STAGE) records.template wait<N * PERIOD>();
  else records.template wait<1>();
#pragma unroll
  for (int j = 0; j < N * PERIOD; j++)
    if (FULL || j < left) at[j / PERIOD][j % PERIOD] = records.take(from, c0 + j, j);
#pragma unroll
  for (int i = 0; i < N; i++) p[i].template load<FULL>(records, at[i], left);
#pragma unroll
  for (int j = 0; j < PERIOD; j++)
#pragma unroll
    for (int i = 0; i < N; i++)
      if (FULL || j < left) mma_int8<Q::SIGNED>(p[i].c, Q::registers(p[i].bits[j]), x[i].b[j].x, x[i].b[j].y);
#pragma unroll
  for (int i = 0; i < N; i++) add_groups<Q>(sum[0], sum[1], p[i].raw, threadIdx.x % Period<Q>::HALVES, p[i].c, x[i].scale);
  const uint32_t loaded = __float_as_uint(sum[0]) | __float_as_uint(sum[1]); // not known before all has been read
  __syncwarp();
#pragma unroll
  for (int j = 0; j < N * PERIOD; j++) {
    if (!FULL && j >= left) break;
    if (j % Q::STAGE == Q::STAGE - 1 || j == N * PERIOD - 1 || !FULL && j + 1 == left) records.release(loaded);
  }
}

// How many periods are multiplied at once, as registers allow.
template <class Q> struct AtOnce { enum { N = Q::BYTES < 8192 ? 2 : 1 }; };

// A row of activations for the strips of a warp. Where it has K = 4096, registers hold all that a lane has of it.
enum { HELD = 8 }; // records
template <class Q, bool ALL> struct Row {
  enum { HALVES = Period<Q>::HALVES, PERIOD = Period<Q>::PERIOD, N = ALL ? HELD / PERIOD : AtOnce<Q>::N };
  const uint32_t *x;
  const float2 *scales;
  Operand<Q> operand[N];

  __device__ __forceinline__ Row(const Taken &taken) : operand() {
    const int lane = threadIdx.x & 31, w = threadIdx.x >> 5, g = lane / 4, t = lane % 4;
    // The lane's column: bytes g%2 of group g/2, of which two may have one record.
    x = (const uint32_t *)&taken.x[(g / 2 / HALVES * WARPS + w) * 8 + g % 2 * 4 + t] + (HALVES - 1) * (g / 2 % 2);
    scales = &taken.scales[w * taken.chunks * HALVES + t];
    if (ALL) take<N>(0);
  }
  template <int COUNT> __device__ __forceinline__ void take(int c0) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) operand[i].take(x + (c0 + i * PERIOD) * (WARPS * 16), scales + (c0 + i * PERIOD) * HALVES);
  }
  // The operands of COUNT periods from record c0 on.
  template <int COUNT> __device__ __forceinline__ const Operand<Q> *at(int c0) {
    if (ALL) return operand + c0 / PERIOD;
    take<COUNT>(c0);
    return operand;
  }
};

// The sums of a strip for one row of activations, one for lanes 2i and one for 2i+1: of rows i/2 and i/2+8.
template <class Q, bool ALL, int SLOT> __device__ __forceinline__ float multiply_one(Records<Q, SLOT> &records, Row<Q, ALL> &row) {
  constexpr int PERIOD = Period<Q>::PERIOD, N = AtOnce<Q>::N;
  float sum[2] = {0, 0};
  if constexpr (ALL) {
#pragma unroll
    for (int c0 = 0; c0 < HELD; c0 += N * PERIOD) multiply_periods<Q, N, true>(records, row.template at<N>(c0), c0, sum);
  } else {
    int c0 = 0;
#pragma unroll 1
    for (; c0 + N * PERIOD <= records.chunks; c0 += N * PERIOD) multiply_periods<Q, N, true>(records, row.template at<N>(c0), c0, sum);
    if (N > 1 && c0 + PERIOD <= records.chunks) multiply_periods<Q, 1, true>(records, row.template at<1>(c0), c0, sum), c0 += PERIOD;
    if (c0 < records.chunks) multiply_periods<Q, 1, false>(records, row.template at<1>(c0), c0, sum);
  }
  // Over the four lanes with a row: even ones take the first one's on.
  const bool odd = threadIdx.x & 1;
  float own = odd ? sum[1] : sum[0];
  own += __shfl_xor_sync(0xffffffff, odd ? sum[0] : sum[1], 1);
  return own + __shfl_xor_sync(0xffffffff, own, 2);
}

// Sums of up to 8 rows, in four chains: of rows g and g+8 for activation row t, then for row 4+t.
typedef float Chains[4][4];

// Adds a record's products to the chains of its groups. SETS: of four rows of activations.
template <class Q, int SETS> __device__ __forceinline__ void add_record(const typename Q::Bits &bits, const typename Q::Raw &raw, const Taken &x, int c, int j, Chains &sum) {
  constexpr int HALVES = Period<Q>::HALVES;
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5, g = lane / 4, t = lane % 4;
  const uint4 a = Q::registers(bits);
#pragma unroll
  for (int set = 0; set < SETS; set++) {
    const int row = 4 * set + g / 2;
    uint2 b = make_uint2(0, 0);
    if (row < x.rows) b = x.x[((c * WARPS + w) * x.rows + row) * 8 + g % 2 * 4 + t];
#pragma unroll
    for (int u = 0; u < HALVES; u++) {
      const float2 scale = x.scales[((w * x.chunks + c) * HALVES + u) * x.stride + 4 * set + t];
      int p[4] = {};
      mma_int8<Q::SIGNED>(p, a, u == 0 ? b.x : 0, u == HALVES - 1 ? b.y : 0);
      float(&to)[4] = sum[j * HALVES + u];
      add_groups<Q>(to[2 * set], to[2 * set + 1], raw, u, p, scale);
    }
  }
}

// Adds a period of up to 8 rows.
template <class Q, int SETS, bool FULL> __device__ __forceinline__ void multiply_rows(Records<Q> &records, const Taken &x, int c0, Chains &sum) {
  constexpr int PERIOD = Period<Q>::PERIOD, AHEAD = 2; // records that are read before one is multiplied
  uint32_t loaded = 0;
#pragma unroll
  for (int j0 = 0; j0 < PERIOD; j0 += AHEAD) {
    typename Q::Bits bits[AHEAD];
    typename Q::Raw raw[AHEAD];
    Cursor from = records.at;
    if (j0 % Q::STAGE == 0 && (FULL || c0 + j0 < records.chunks)) records.template wait<AHEAD>();
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      if (!FULL && c0 + j0 + i >= records.chunks) break;
      const int record = records.take(from, c0 + j0 + i, j0 + i);
      bits[i] = Q::bits(records.first, record);
      Q::load(records.first, record, raw[i]);
      loaded |= Q::any(bits[i]) | Q::any(raw[i]);
    }
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      const int j = j0 + i;
      if (!FULL && c0 + j >= records.chunks) break;
      add_record<Q, SETS>(bits[i], raw[i], x, c0 + j, j, sum);
      if (j % Q::STAGE == Q::STAGE - 1 || !FULL && c0 + j + 1 == records.chunks) __syncwarp(), records.release(loaded);
    }
  }
}

// The sums of a strip for up to 8 rows: of rows g and g+8, activation rows 2t and 2t+1 of each.
template <class Q, int SETS> __device__ __forceinline__ float4 multiply_many(Records<Q> &records, const Taken &x) {
  Chains sum = {};
  int c0 = 0;
#pragma unroll 1
  for (; c0 + Period<Q>::PERIOD <= records.chunks; c0 += Period<Q>::PERIOD) multiply_rows<Q, SETS, true>(records, x, c0, sum);
  if (c0 < records.chunks) multiply_rows<Q, SETS, false>(records, x, c0, sum);
  const int lane = threadIdx.x & 31, t = lane & 3, from = lane - t + 2 * t % 4; // who has activation row 2t
  float out[4];
#pragma unroll
  for (int h = 0; h < 2; h++)
#pragma unroll
    for (int i = 0; i < 2; i++) {
      float v[2] = {};
#pragma unroll
      for (int set = 0; set < SETS; set++) {
        const float all = (sum[0][2 * set + h] + sum[1][2 * set + h]) + (sum[2][2 * set + h] + sum[3][2 * set + h]);
        v[set] = __shfl_sync(0xffffffff, all, from + i);
      }
      out[2 * h + i] = v[t / 2];
    }
  return make_float4(out[0], out[1], out[2], out[3]);
}
