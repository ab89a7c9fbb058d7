// Where a block of the decode phase is: which splits of which rows it takes, and where in the
// cache their positions lie. All of it follows from what the batch says, so it may be read
// before the kernels in front have ended.
#pragma once
#include "attend.cuh"
#include "fragments.cuh"

enum { WARPS = 4, TILE = 16, BLOCK = WARPS * TILE }; // positions of a warp and of a block at a time
#ifndef TEAMS
#define TEAMS 1 // of a block: WARPS each
#endif
enum { QUERIES = 8, MOST = 64 };                     // query heads of a block, splits of a row
enum { AHEAD = 2 };                                  // blocks of a part that are asked for early
enum { STREAM_ROWS = 32 };                           // rows whose fragments lie together: streamRows

// A team's share of all splits: so many, from that one of that row and part on, and where the row is.
struct DecodeShare {
  int32_t row, part, split, n;
  int32_t position, table, pad[2];
  int32_t pages[WARPS]; // of the first tile of each warp
};

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
  int32_t least;     // log2 of the blocks of BLOCK positions that a split has at least
  int32_t n;         // rows
  int32_t group;     // query heads of a key head
  int32_t shares;    // blocks that share a key head: ceil(group/8)
  int32_t shift;     // log2 of the positions of a page
  int32_t tiles;     // of 16 k of dst in bf16, as fragments; 0: dst is F32
  int32_t from, all; // of fragments: the first row's place, and the rows that lie there in all
  int32_t around;    // blocks so far apart share a multiprocessor
  int32_t ranks;     // teams that have a part of a row (attend_cluster.cu, attend_teams.cu); 0: all share all splits
  const DecodeShare *share; // of each team, found once for all layers (attend_share.cu); null: each finds its own
};

// One row's positions cut into splits.
struct Cut {
  int first, last; // positions in sight
  int block;       // the block that holds the first
  int blocks, splits, each;
};

// ⌊a/b⌋ for a below 2²⁰: the quotient's error is below half of 1/b.
__device__ __forceinline__ int quotient(int a, int b) { return (int)__fdividef(a + 0.5f, b); }

__device__ __forceinline__ Cut cut_of(const DecodeParams &p, int position) {
  Cut c;
  c.last = position;
  c.first = p.heads.window > 0 ? max(0, c.last - p.heads.window + 1) : 0;
  c.block = c.first / BLOCK;
  c.blocks = c.last / BLOCK - c.block + 1;
  const int splits = min(p.most, (c.blocks - 1 >> p.least) + 1);
  c.each = quotient(c.blocks + splits - 1, splits);
  c.splits = quotient(c.blocks + c.each - 1, c.each);
  return c;
}

// Loads that leave L1 to what is read twice.
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

// Asks for memory to be brought into L2.
__device__ __forceinline__ void prefetch(const uint8_t *p, uint32_t bytes) {
#if __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(p), "r"(bytes) : "memory");
#endif
}

// A warp's part of a block: where it begins in the cache, and how many positions are in
// sight from there on, 0 where none is.
struct Tile {
  int slot, count;
};

struct DecodePlace {
  const DecodeParams &p;
  // Four warps are a team, which takes splits one after the other: a block, or a part of one (attend_teams.cu).
  const int team = TEAMS == 1 ? 0 : threadIdx.x / (WARPS * 32), warp = threadIdx.x / 32 % WARPS, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int worker = blockIdx.x * TEAMS + team;
  int row, part, split; // parts of a row are its key heads, 8 queries at most
  int head, kv, count;  // first query head, key head, query heads
  Cut cut;
  const int32_t *pages; // of the row's sequence

  __device__ DecodePlace(const DecodeParams &p) : p(p) {}

  __device__ __forceinline__ int parts() const { return p.heads.kv * p.shares; }
  __device__ __forceinline__ int splits_of(int row) const { return row < p.n ? cut_of(p, p.batch.positions[row]).splits : 0; }

  // Splits of all rows, of one part; mine are those of row `lane`.
  __device__ __forceinline__ int all_splits(int mine) const {
    for (int r = lane + 32; r < p.n; r += 32) mine += splits_of(r);
    return __reduce_add_sync(0xffffffff, mine);
  }

  // Waits for the team's warps.
  __device__ __forceinline__ void meet() const {
    if (TEAMS == 1) __syncthreads();
    else asm volatile("bar.sync %0, %1;" ::"r"(team + 1), "n"(WARPS * 32) : "memory");
  }

  // Goes to split u in the order of rows, their parts and their splits.
  __device__ __forceinline__ void find(int u, int mine) {
    for (int before = 0, base = 0;; base += 32, mine = splits_of(base + lane)) {
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
        row = base + at, part = quotient(inside, splits), split = inside - part * splits;
        return;
      }
      before += __shfl_sync(0xffffffff, until, 31);
    }
  }

  // Finds the share that block b of so many has of all splits, the first of them, and returns their
  // number. Blocks of a multiprocessor take what lies together: a row's splits differ in length, and a
  // multiprocessor that had the long ones of three rows would be late.
  __device__ __forceinline__ int find_share(uint32_t b, uint32_t blocks) {
    const int mine = splits_of(p.n == 1 ? 0 : lane); // one row: every lane knows it
    const uint32_t units = (p.n == 1 ? mine : all_splits(mine)) * parts();
    const uint32_t at = units < blocks ? b : b % p.around * (blocks / p.around) + b / p.around;
    const int u = units < blocks ? at : units * at / blocks, n = units < blocks ? at < units : units * (at + 1) / blocks - u;
    if (n == 0) return 0;
    if (p.n == 1) row = 0, part = quotient(u, mine), split = u - part * mine;
    else find(u, mine);
    settle();
    return n;
  }

  // The same of one of the teams that have the unit-th part of all rows; it may have none, and the row and part are
  // its all the same.
  __device__ __forceinline__ int find_share_of(int unit, int rank) {
    row = quotient(unit, parts()), part = unit - row * parts();
    settle();
    split = cut.splits * rank / p.ranks;
    return cut.splits * (rank + 1) / p.ranks - split;
  }

  // This team's share as it was found before. The row and part are known then; where there are no splits, whether
  // what follows from them is wanted.
  __device__ __forceinline__ int read_share(bool wanted) {
    const int4 share = __ldcg((const int4 *)&p.share[worker]);
    const int2 where = __ldcg((const int2 *)&p.share[worker].position);
    row = share.x, part = share.y, split = share.z;
    if (share.w > 0 || wanted) settle(where.x, where.y);
    return share.w;
  }

  // This team's share, as find_share.
  __device__ __forceinline__ int begin() { return p.share ? read_share(false) : find_share(blockIdx.x, gridDim.x); }

  // What follows from row and part.
  __device__ __forceinline__ void settle() { settle(p.batch.positions[row], p.batch.tables[row]); }
  __device__ __forceinline__ void settle(int position, int table) {
    cut = cut_of(p, position);
    pages = p.batch.pages + table;
    kv = quotient(part, p.shares);
    const int of = (part - kv * p.shares) * QUERIES;
    head = kv * p.group + of, count = min((int)QUERIES, p.group - of);
  }

  __device__ __forceinline__ void advance() {
    split = 0;
    if (++part == parts()) part = 0, row++;
    settle();
  }

  // page: of the tile, or -1 where that is to be looked up.
  __device__ __forceinline__ Tile tile(const Cut &c, const int32_t *pages, int kv, int block, int page = -1) const {
    const int begin = block * BLOCK + warp * TILE;
    if (p.cache.size < TILE || begin > c.last || begin + TILE <= c.first) return {0, 0};
    if (page < 0) page = pages[begin >> p.shift];
    return {(page * p.heads.kv + kv << p.shift) + (begin & p.cache.size - 1), min((int)TILE, c.last - begin + 1)};
  }

  // The tile of block `lane` of the part that comes next, of which so many splits are this
  // block's: lanes below AHEAD have one.
  __device__ __forceinline__ Tile next_tile(int splits) const {
    if (lane >= AHEAD || splits <= 0) return {0, 0};
    int next = part + 1;
    Cut c = cut;
    const int32_t *table = pages;
    if (next == parts()) {
      next = 0;
      table = p.batch.pages + p.batch.tables[row + 1];
      c = cut_of(p, p.batch.positions[row + 1]);
    }
    if (lane >= min(min(splits, c.splits) * c.each, c.blocks)) return {0, 0};
    return tile(c, table, quotient(next, p.shares), c.block + lane);
  }

  // Writes elements d and d+1 of a query head.
  __device__ __forceinline__ void store(int row, int head, int d, float2 y) const {
    const int k = head * p.heads.dim + d;
    if (p.tiles == 0) {
      *(float2 *)(p.dst + (int64_t)row * p.heads.q * p.heads.dim + k) = y;
      return;
    }
    const int m = p.from + row, chunk = m / STREAM_ROWS, groups = (min((int)STREAM_ROWS, p.all - chunk * STREAM_ROWS) + 7) / 8;
    uint8_t *to = (uint8_t *)p.dst + (int64_t)chunk * STREAM_ROWS * p.tiles * 32;
    *(uint32_t *)(to + fragment_at(groups, m % STREAM_ROWS / 8, m % 8, k)) = pack<BF16>(y.x, y.y);
  }

  // Zeros from the end of a row to that of its last chunk of k.
  __device__ __forceinline__ void fill() const {
    for (int row = blockIdx.x; row < p.n; row += gridDim.x)
      for (int k = p.heads.q * p.heads.dim + 2 * threadIdx.x; k < p.tiles * 16; k += 2 * WARPS * 32) store(row, 0, k, make_float2(0, 0));
  }

  // The position that lane%16 looks up for this warp in a block. What is out of sight
  // becomes a position in sight: it weighs nothing, and what it reads is no garbage.
  __device__ __forceinline__ int position(int block) const {
    return min(max(block * BLOCK + warp * TILE + lane % TILE, cut.first), cut.last);
  }
  __device__ __forceinline__ int page(int block) const { return pages[position(block) >> p.shift]; }
  __device__ __forceinline__ int slot(int block, int page) const {
    return (page * p.heads.kv + kv << p.shift) + (position(block) & p.cache.size - 1);
  }
};
