// Attention of the rows of the decode phase: dst = softmax(q·kᵀ·scale)·v over the paged
// cache, split over positions, the splits put together in the same launch.
//
// Shapes: qkv [n × (q+2·kv)·dim] and dst [n × q·dim] F32, the cache F16 or BF16, its pages a
// power of two of positions, 8 at least. Up to 8 query heads of a key head share a block.
// Launch: as many blocks of 128 as are resident at once. The number of splits follows from
// the row's own length, so its bits do not depend on who is beside it, and a graph can be
// replayed with other lengths. The blocks share all splits of all rows evenly; one that has
// several of a row reads on from one to the next without a pause.
//
// A warp takes 16 positions at a time, straight from memory to registers, 16 bytes a load,
// with no shared memory between: the order of k in a product is free, so a lane's 8
// consecutive elements serve as the fragments of two. Scores are Q·Kᵀ with the queries
// rounded in rows 0–7 and what the rounding left in rows 8–15, so that queries lose
// nothing to speak of. Results are the transposed Vᵀ·Pᵀ, whose columns are the 8 queries. The
// weights are rounded to the cache's format, and count in their sum as they were rounded.
#include "attend.cuh"

enum { WARPS = 4, TILE = 16, BLOCK = WARPS * TILE, QUERIES = 8, MOST = 64 };

struct DecodeParams {
  float *dst;
  const float *qkv;
  BatchParams batch;
  CacheParams cache;
  HeadsParams heads;
  float *part;       // [n × q × most × dim] sums of a split
  float2 *peaks;     // [n × q × most] its highest score and the sum of its weights
  uint32_t *tickets; // [n × kv · ceil(q/kv/8)] splits done; 0 between launches
  int32_t most;      // splits of a row
  int32_t least;     // blocks of BLOCK positions of a split
  int32_t n, pad;    // rows
};

// One row's positions cut into splits.
struct Cut {
  int first, last; // positions in sight
  int block;       // the block that holds the first
  int blocks, splits, each;
};

__device__ __forceinline__ Cut cut_of(const DecodeParams &p, int position) {
  Cut c;
  c.last = position;
  c.first = p.heads.window > 0 ? max(0, c.last - p.heads.window + 1) : 0;
  c.block = c.first / BLOCK;
  c.blocks = c.last / BLOCK - c.block + 1;
  int splits = min(p.most, (c.blocks + p.least - 1) / p.least);
  c.each = (c.blocks + splits - 1) / splits;
  c.splits = (c.blocks + c.each - 1) / c.each;
  return c;
}

__device__ __forceinline__ uint4 load16(const uint8_t *p) {
  uint4 v;
  asm volatile("ld.global.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
  return v;
}
__device__ __forceinline__ uint2 load8(const uint8_t *p) {
  uint2 v;
  asm volatile("ld.global.L1::no_allocate.v2.u32 {%0,%1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
  return v;
}
__device__ __forceinline__ uint32_t load4(const uint8_t *p) {
  uint32_t v;
  asm volatile("ld.global.L1::no_allocate.u32 %0, [%1];" : "=r"(v) : "l"(p));
  return v;
}

template <int T, int DIM> struct Decode {
  static constexpr int STEPS = DIM / 16;                 // products over a key's elements
  static constexpr int KB = DIM / 32, KR = DIM % 32 / 16; // 16-byte loads of a key, then one of 8
  static constexpr int VB = DIM / 64, VR = DIM % 64 / 16; // 16-byte loads of a value, then one of 4·VR
  static constexpr int PAIRS = VB * 4 + VR;              // words of a value in a lane

  struct __align__(16) Shared {
    uint4 queries[STEPS * 32]; // fragments, by product and lane
    float tops[WARPS][QUERIES], totals[WARPS][QUERIES], peak[QUERIES];
    float weights[QUERIES][MOST];
    float sums[WARPS][QUERIES][DIM];
    bool last;
  };

  const DecodeParams &p;
  Shared &sh;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  int row, part, split;  // where this block is: parts of a row are its key heads, 8 queries at most
  int head, kv, count;   // first query head, key head, query heads
  Cut cut;
  int shift; // log2 of the positions of a page
  const int32_t *pages;

  uint32_t k[2][KB * 4 + KR * 2], v[4][PAIRS];
  float sum[PAIRS][4]; // Vᵀ·Pᵀ: elements dim_of and the next, of queries 2t and 2t+1
  float top, total;    // of query g; total is this lane's share

  __device__ Decode(const DecodeParams &p, Shared &sh) : p(p), sh(sh) { shift = 31 - __clz(p.cache.size); }

  __device__ __forceinline__ int group() const { return p.heads.q / p.heads.kv; }
  __device__ __forceinline__ int parts_of_head() const { return (group() + QUERIES - 1) / QUERIES; }
  __device__ __forceinline__ int parts() const { return p.heads.kv * parts_of_head(); }
  __device__ __forceinline__ int splits_of(int row) const { return row < p.n ? cut_of(p, p.batch.positions[row]).splits : 0; }

  // Splits of all rows, of one part.
  __device__ __forceinline__ int all_splits() const {
    int n = 0;
    for (int r = lane; r < p.n; r += 32) n += splits_of(r);
    return __reduce_add_sync(0xffffffff, n);
  }

  // Goes to split u in the order of rows, their parts and their splits.
  __device__ __forceinline__ void find(int u) {
    for (int before = 0, base = 0;; base += 32) {
      const int mine = splits_of(base + lane);
      int until = mine;
#pragma unroll
      for (int i = 1; i < 32; i *= 2) {
        const int x = __shfl_up_sync(0xffffffff, until, i);
        if (lane >= i) until += x;
      }
      const uint32_t beyond = __ballot_sync(0xffffffff, (before + until) * parts() > u);
      if (beyond) {
        const int at = __ffs(beyond) - 1, splits = __shfl_sync(0xffffffff, mine, at);
        const int inside = u - (before + __shfl_sync(0xffffffff, until, at) - splits) * parts();
        row = base + at, part = inside / splits, split = inside % splits;
        return;
      }
      before += __shfl_sync(0xffffffff, until, 31);
    }
  }

  // The element that word i of a lane's value begins with.
  __device__ __forceinline__ int dim_of(int i) const {
    if (i < VB * 4) return i / 4 * 64 + 8 * g + i % 4 * 2;
    return VB * 64 + 2 * VR * g + (i - VB * 4) * 2;
  }

  // Queries in units of log 2 as fragments, each as a rounded number and the rest.
  __device__ void stage() {
    for (int i = threadIdx.x; i < STEPS * 32; i += WARPS * 32) {
      const int s = i / 32, query = i % 32 / 4, l = i % 4;
      const int at = s < 2 * KB ? s / 2 * 32 + 8 * l + s % 2 * 4 : KB * 32 + 4 * l;
      float4 x = make_float4(0, 0, 0, 0);
      if (query < count)
        x = *(const float4 *)(p.qkv + ((int64_t)row * (p.heads.q + 2 * p.heads.kv) + head + query) * DIM + at);
      const float f = p.heads.scale * LOG2E;
      x.x *= f, x.y *= f, x.z *= f, x.w *= f;
      uint4 a;
      a.x = pack<T>(x.x, x.y), a.z = pack<T>(x.z, x.w);
      a.y = pack<T>(x.x - low<T>(a.x), x.y - high<T>(a.x)), a.w = pack<T>(x.z - low<T>(a.z), x.w - high<T>(a.z));
      sh.queries[i] = a;
    }
  }

  // The position that lane%16 looks up for this warp in a block. What is out of sight
  // becomes a position in sight: it weighs nothing, and what it reads is no garbage.
  __device__ __forceinline__ int position(int block) const {
    return min(max(block * BLOCK + warp * TILE + lane % TILE, cut.first), cut.last);
  }
  __device__ __forceinline__ int page(int block) const { return pages[position(block) >> shift]; }
  __device__ __forceinline__ int slot(int block, int page) const {
    return (page * p.heads.kv + kv << shift) + (position(block) & p.cache.size - 1);
  }

  __device__ __forceinline__ void load_keys(int slot) {
#pragma unroll
    for (int n = 0; n < 2; n++) {
      const uint8_t *at = p.cache.k + (int64_t)__shfl_sync(0xffffffff, slot, 8 * n + g) * (2 * DIM);
#pragma unroll
      for (int c = 0; c < KB; c++) {
        uint4 x = load16(at + 64 * c + 16 * t);
        k[n][4 * c] = x.x, k[n][4 * c + 1] = x.y, k[n][4 * c + 2] = x.z, k[n][4 * c + 3] = x.w;
      }
      if constexpr (KR) {
        uint2 x = load8(at + 64 * KB + 8 * t);
        k[n][4 * KB] = x.x, k[n][4 * KB + 1] = x.y;
      }
    }
  }

  __device__ __forceinline__ void load_values(int slot) {
#pragma unroll
    for (int n = 0; n < 4; n++) {
      const uint8_t *at = p.cache.v + (int64_t)__shfl_sync(0xffffffff, slot, n / 2 * 8 + 2 * t + n % 2) * (2 * DIM);
#pragma unroll
      for (int c = 0; c < VB; c++) {
        uint4 x = load16(at + 128 * c + 16 * g);
        v[n][4 * c] = x.x, v[n][4 * c + 1] = x.y, v[n][4 * c + 2] = x.z, v[n][4 * c + 3] = x.w;
      }
      if constexpr (VR == 2) {
        uint2 x = load8(at + 128 * VB + 8 * g);
        v[n][4 * VB] = x.x, v[n][4 * VB + 1] = x.y;
      } else if constexpr (VR == 1) {
        v[n][4 * VB] = load4(at + 128 * VB + 4 * g);
      }
    }
  }

  // s: query g at positions 2t, 2t+1, 8+2t, 9+2t of the tile.
  __device__ __forceinline__ void scores(float (&s)[4]) const {
    float c[2][4] = {};
#pragma unroll
    for (int i = 0; i < STEPS; i++) {
      const uint4 a = sh.queries[i * 32 + lane];
#pragma unroll
      for (int n = 0; n < 2; n++) mma<T>(c[n], a.x, a.y, a.z, a.w, k[n][2 * i], k[n][2 * i + 1]);
    }
#pragma unroll
    for (int n = 0; n < 2; n++) s[2 * n] = c[n][0] + c[n][2], s[2 * n + 1] = c[n][1] + c[n][3];
  }

  // Takes the tile that begins at a position, of which at least one is in sight.
  __device__ __forceinline__ void weigh(float (&s)[4], int begin, uint32_t (&w)[2]) {
    if (begin < cut.first || begin + TILE - 1 > cut.last) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int at = begin + i / 2 * 8 + 2 * t + i % 2;
        if (at < cut.first || at > cut.last) s[i] = -INFINITY;
      }
    }
    float most = fmaxf(fmaxf(s[0], s[1]), fmaxf(s[2], s[3]));
    most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 1));
    most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 2));
    if (__any_sync(0xffffffff, most > top)) {
      const float next = fmaxf(top, most), old = top == -INFINITY ? 0 : exp2_fast(top - next);
      const float a = __shfl_sync(0xffffffff, old, 8 * t), b = __shfl_sync(0xffffffff, old, 8 * t + 4);
      total *= old, top = next;
#pragma unroll
      for (int i = 0; i < PAIRS; i++) sum[i][0] *= a, sum[i][1] *= b, sum[i][2] *= a, sum[i][3] *= b;
    }
    const float base = top - lift<T>;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      w[i] = pack<T>(exp2_fast(s[2 * i] - base), exp2_fast(s[2 * i + 1] - base));
      total += low<T>(w[i]) + high<T>(w[i]);
    }
  }

  __device__ __forceinline__ void add_values(const uint32_t (&w)[2]) {
#pragma unroll
    for (int i = 0; i < PAIRS; i++)
      mma<T>(sum[i], __byte_perm(v[0][i], v[1][i], 0x5410), __byte_perm(v[0][i], v[1][i], 0x7632),
             __byte_perm(v[2][i], v[3][i], 0x5410), __byte_perm(v[2][i], v[3][i], 0x7632), w[0], w[1]);
  }

  __device__ __forceinline__ void clear() {
    top = -INFINITY, total = 0;
#pragma unroll
    for (int i = 0; i < PAIRS; i++) sum[i][0] = sum[i][1] = sum[i][2] = sum[i][3] = 0;
  }

  // Puts the warps' shares of a split together, in their order.
  __device__ void flush(int split) {
    total += __shfl_xor_sync(0xffffffff, total, 1);
    total += __shfl_xor_sync(0xffffffff, total, 2);
    if (t == 0) sh.tops[warp][g] = top;
    __syncthreads();
    float factor[3]; // of queries 2t, 2t+1, g
#pragma unroll
    for (int i = 0; i < 3; i++) {
      const int query = i < 2 ? 2 * t + i : g;
      float peak = sh.tops[0][query];
      for (int w = 1; w < WARPS; w++) peak = fmaxf(peak, sh.tops[w][query]);
      factor[i] = exp2_fast(sh.tops[warp][query] - peak);
      if (i == 2 && t == 0) {
        sh.totals[warp][g] = total * factor[2];
        if (warp == 0) sh.peak[g] = peak;
      }
    }
#pragma unroll
    for (int n = 0; n < 2; n++)
      if (2 * t + n < count)
#pragma unroll
        for (int i = 0; i < PAIRS; i++)
          *(float2 *)&sh.sums[warp][2 * t + n][dim_of(i)] = make_float2(sum[i][n] * factor[n], sum[i][n + 2] * factor[n]);
    __syncthreads();
    for (int i = threadIdx.x; i < count * DIM; i += WARPS * 32) {
      const int query = i / DIM, d = i % DIM;
      float y = 0, all = 0;
#pragma unroll
      for (int w = 0; w < WARPS; w++) y += sh.sums[w][query][d], all += sh.totals[w][query];
      const int64_t at = (int64_t)row * p.heads.q + head + query;
      if (cut.splits == 1) p.dst[at * DIM + d] = y / all;
      else {
        p.part[(at * p.most + split) * DIM + d] = y;
        if (d == 0) p.peaks[at * p.most + split] = make_float2(sh.peak[query], all);
      }
    }
    clear();
  }

  // Counts splits done, and tells every thread whether they were the last. The block's
  // writes come before the count, and what other blocks wrote is seen after it.
  __device__ bool finished(int done) {
    __syncthreads();
    if (threadIdx.x == 0) {
      uint32_t *ticket = p.tickets + row * parts() + part, before;
      asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(before) : "l"(ticket), "r"(done) : "memory");
      sh.last = before + done == cut.splits;
      if (sh.last) *ticket = 0;
    }
    __syncthreads();
    return sh.last;
  }

  // What each split's sums count for, by query.
  __device__ __forceinline__ void weigh_splits(int64_t at) {
    for (int query = warp; query < count; query += WARPS) {
      const float2 *peaks = p.peaks + (at + query) * p.most;
      float2 x[MOST / 32];
      float peak = -INFINITY, all = 0;
#pragma unroll
      for (int i = 0; i < MOST / 32; i++) {
        x[i] = lane + 32 * i < cut.splits ? __ldcg(peaks + lane + 32 * i) : make_float2(-INFINITY, 0);
        peak = fmaxf(peak, x[i].x);
      }
      peak = warp_max(peak);
#pragma unroll
      for (int i = 0; i < MOST / 32; i++) x[i].x = exp2_fast(x[i].x - peak), all += x[i].x * x[i].y;
      all = warp_sum(all);
#pragma unroll
      for (int i = 0; i < MOST / 32; i++) sh.weights[query][lane + 32 * i] = x[i].x / all;
    }
  }

  // The block that finishes last adds the splits up: each warp every fourth of them, all
  // loads at once, then the warps' sums in their order.
  __device__ void merge() {
    const int64_t at = (int64_t)row * p.heads.q + head;
    weigh_splits(at);
    __syncthreads();
    for (int i = lane; i < count * (DIM / 4); i += 32) {
      const int query = i / (DIM / 4), d = i % (DIM / 4) * 4;
      const float *part = p.part + (at + query) * p.most * DIM + d;
      float4 y = make_float4(0, 0, 0, 0);
#pragma unroll 8
      for (int s = warp; s < cut.splits; s += WARPS) {
        const float4 x = __ldcg((const float4 *)(part + s * DIM));
        const float w = sh.weights[query][s];
        y.x = fmaf(w, x.x, y.x), y.y = fmaf(w, x.y, y.y), y.z = fmaf(w, x.z, y.z), y.w = fmaf(w, x.w, y.w);
      }
      *(float4 *)&sh.sums[warp][query][d] = y;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < count * DIM; i += WARPS * 32) {
      float y = 0;
#pragma unroll
      for (int w = 0; w < WARPS; w++) y += sh.sums[w][i / DIM][i % DIM];
      p.dst[at * DIM + i] = y;
    }
  }

  // Takes splits of the row and part at hand, from the one at hand on.
  __device__ __forceinline__ void take(int splits) {
    int block = cut.block + split * cut.each;
    const int end = min(block + splits * cut.each, cut.block + cut.blocks);
    int ahead = page(block);
    stage(), clear();
    int at = slot(block, ahead);
    load_keys(at), load_values(at);
    ahead = page(block + 1);
    let_next_begin();
    __syncthreads(); // queries are staged
    for (int left = cut.each; block < end; block++) {
      const int begin = block * BLOCK + warp * TILE;
      const bool seen = begin <= cut.last && begin + TILE > cut.first, more = block + 1 < end;
      float s[4];
      uint32_t w[2];
      scores(s);
      at = slot(block + 1, ahead);
      ahead = page(block + 2);
      if (more) load_keys(at);
      if (seen) weigh(s, begin, w), add_values(w);
      if (more) load_values(at);
      if (--left == 0 || !more) flush(split++), left = cut.each;
    }
    if (cut.splits > 1 && finished(splits)) merge();
  }

  __device__ __forceinline__ void run() {
    wait_for_earlier();
    const int units = all_splits() * parts();
    int u = (int)((int64_t)units * blockIdx.x / gridDim.x);
    const int end = (int)((int64_t)units * (blockIdx.x + 1) / gridDim.x);
    if (u == end) return;
    for (find(u);;) {
      cut = cut_of(p, p.batch.positions[row]);
      pages = p.batch.pages + p.batch.tables[row];
      const int of = part % parts_of_head() * QUERIES;
      kv = part / parts_of_head(), head = kv * group() + of, count = min((int)QUERIES, group() - of);
      const int splits = min(cut.splits - split, end - u);
      take(splits);
      if ((u += splits) == end) return;
      split = 0;
      if (++part == parts()) part = 0, row++;
    }
  }
};

#define DECODE(T, DIM)                                                                                             \
  extern "C" __global__ void __launch_bounds__(128, DIM > 128 ? 2 : DIM > 96 ? 3 : DIM > 64 ? 4 : 5)                              \
      attend_decode_##T##_##DIM(const __grid_constant__ DecodeParams p) {                                          \
    __shared__ Decode<T, DIM>::Shared sh;                                                                          \
    Decode<T, DIM>(p, sh).run();                                                                                   \
  }
ATTEND_DIMS(DECODE, F16) ATTEND_DIMS(DECODE, BF16)
