// Tiles of keys and values that pass through shared memory, for attention of the decode phase on Hopper:
// attend_ring.cu, attend_cluster.cu.
#pragma once
#include "attend_decode_tile.cuh"
#include "ring.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
__device__ __forceinline__ uint4 load(uint32_t at) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(at));
  return v;
}

// Two pieces of 16 bytes, the second loaded first where told. Returns what depends on both.
__device__ __forceinline__ uint32_t load_two(uint32_t *to, uint32_t at, uint32_t step, bool second) {
  const uint4 x = load(second ? at + step : at), y = load(second ? at : at + step);
  to[0] = second ? y.x : x.x, to[1] = second ? y.y : x.y, to[2] = second ? y.z : x.z, to[3] = second ? y.w : x.w;
  to[4] = second ? x.x : y.x, to[5] = second ? x.y : y.y, to[6] = second ? x.z : y.z, to[7] = second ? x.w : y.w;
  return x.w | y.w;
}

template <int T, int DIM, int COUNT> struct DecodeRing : DecodeTile<T, DIM, COUNT, true> {
  typedef DecodeTile<T, DIM, COUNT, true> Tiles;
  static constexpr int ROW = 2 * DIM, HALF = TILE * ROW; // bytes of a key, and of a tile's keys
  static constexpr int PIECES = DIM / 64;                // of 16 bytes that a lane has of a value
  static_assert(DIM == 64 || DIM == 128, "whole pieces, one or two");
  using Tiles::p, Tiles::cut, Tiles::warp, Tiles::lane, Tiles::g, Tiles::t, Tiles::sh, Tiles::sum, Tiles::STEPS;
  using Tiles::row, Tiles::part, Tiles::split, Tiles::pages, Tiles::parts, Tiles::tile, Tiles::begin, Tiles::advance;
  using Tiles::stage, Tiles::scores, Tiles::weigh, Tiles::clear, Tiles::flush, Tiles::finished, Tiles::merge, Tiles::meet;

  struct Shared {
    typename Tiles::Shared sums;
    uint64_t full[WARPS][2]; // of keys, then of values
  };
  enum { TILES_AT = 2048 + COUNT * (4 * DIM + 256) + (COUNT > 1 ? 2 : 1) * ((COUNT + 1) / 2) * 32 * DIM }; // ringShape.shared
  static_assert(sizeof(Shared) <= TILES_AT, "tiles begin behind it");
  enum { BYTES = TILES_AT + WARPS * 2 * HALF }; // of a team

  // For lane 0, where the next tile is that has not been asked for, of a part of which the blocks up to `end`
  // are this block's, and so many splits behind it.
  struct Ahead {
    int row, part, block, end, left, page; // page: of that tile, looked up while the tile before is taken
    Cut cut;
    const int32_t *pages;
  };

  uint64_t *const full;
  uint8_t *const room; // of a tile's keys, then of its values
  uint32_t parity = 0;
  Ahead ahead;

  __device__ __forceinline__ DecodeRing(const DecodeParams &p, uint8_t *memory)
      : Tiles(p, ((Shared *)memory)->sums), full(((Shared *)memory)->full[warp]),
        room(memory + TILES_AT + warp * 2 * HALF) {
    if (lane == 0) barrier_init(full, 1), barrier_init(full + 1, 1);
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncwarp();
  }

  __device__ __forceinline__ void enter(int split) {
    const Cut &c = ahead.cut;
    const int splits = min(c.splits - split, ahead.left);
    ahead.left -= splits, ahead.block = c.block + split * c.each;
    ahead.end = min(ahead.block + splits * c.each, c.block + c.blocks);
  }
  __device__ __forceinline__ void look_up() { ahead.page = ahead.pages[min(ahead.block * BLOCK + warp * TILE, ahead.cut.last) >> p.shift]; }

  // For lane 0, the tile that comes next, of those in sight: of no positions where there is none.
  __device__ __forceinline__ Tile next() {
    if (lane != 0) return {0, 0};
    while (true) {
      while (ahead.block < ahead.end) {
        const Tile x = tile(ahead.cut, ahead.pages, quotient(ahead.part, p.shares), ahead.block++, ahead.page);
        if (ahead.block < ahead.end) look_up();
        if (x.count) return x;
      }
      if (ahead.left == 0) return {0, 0};
      if (++ahead.part == parts()) {
        ahead.part = 0, ahead.row++;
        ahead.pages = p.batch.pages + p.batch.tables[ahead.row];
        ahead.cut = cut_of(p, p.batch.positions[ahead.row]);
      }
      enter(0), look_up();
    }
  }

  // Copies the keys of a tile, or its values.
  __device__ __forceinline__ void copy(const Tile &x, bool values, uint32_t zero) {
    if (x.count == 0) return;
    fetch(room + (values ? HALF : 0) + zero, (values ? p.cache.v : p.cache.k) + (int64_t)x.slot * ROW, x.count * ROW, full + values, evict_first());
  }

  // Asks for the first tile: at once where its positions are older than the step, for steps do not
  // overlap, for L2 otherwise. After it the kernels in front have ended.
  __device__ __forceinline__ void open(int left) {
    Tile x = {0, 0};
    if (lane == 0) {
      ahead = {row, part, 0, 0, left, 0, cut, pages}, enter(split);
      if (p.share) ahead.page = __ldcg(&p.share[this->worker].pages[warp]);
      else look_up();
      x = next();
    }
    const bool older = (ahead.block - 1) * BLOCK + warp * TILE + x.count <= ahead.cut.last;
    const int64_t from = (int64_t)x.slot * ROW;
    if (older) copy(x, false, 0), copy(x, true, 0);
    else if (x.count) prefetch(p.cache.k + from, x.count * ROW), prefetch(p.cache.v + from, x.count * ROW);
    wait_for_earlier();
    if (!older) copy(x, false, 0), copy(x, true, 0);
    __syncwarp();
  }

  // Zero, but not before what all lanes have loaded has come: then another copy may go there. Grids
  // are one block deep, which a compiler cannot know.
  __device__ __forceinline__ uint32_t once_loaded_by_all(uint32_t loaded) const { return __any_sync(0xffffffff, loaded & (gridDim.z - 1)); }

  // Scores of the 16 keys that lie there. Returns what depends on all of them.
  __device__ __forceinline__ uint32_t score(float (&s)[4], uint32_t from) const {
    uint32_t key[2][DIM / 8], loaded = 0;
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
      for (int c = 0; c < DIM / 64; c++) loaded |= load_two(&key[n][8 * c], from + (8 * n + g) * ROW + 128 * c + 16 * t, 64, g % 2);
    scores(s, key);
    return loaded;
  }

  static __device__ __forceinline__ uint32_t word(const uint4 &v, int i) { return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w; }

  // Adds the values of positions [first, last] of the tile.
  __device__ __forceinline__ uint32_t add(const uint32_t (&w)[2], uint32_t from, int first, int last) {
    uint32_t loaded = 0;
#pragma unroll
    for (int piece = 0; piece < PIECES; piece++) {
      uint4 v[4];
#pragma unroll
      for (int n = 0; n < 4; n++)
        v[n] = load(from + min(max(n / 2 * 8 + 2 * t + n % 2, first), last) * ROW + 16 * (PIECES * g + piece)), loaded |= v[n].w;
#pragma unroll
      for (int i = 0; i < 4; i++)
        mma<T>(sum[4 * piece + i], __byte_perm(word(v[0], i), word(v[1], i), 0x5410), __byte_perm(word(v[0], i), word(v[1], i), 0x7632),
               __byte_perm(word(v[2], i), word(v[3], i), 0x5410), __byte_perm(word(v[2], i), word(v[3], i), 0x7632), w[0], w[1]);
    }
    return loaded;
  }

  __device__ __forceinline__ void take_tile(int begin) {
    const Tile x = next();
    const uint32_t from = shared(room);
    float s[4];
    uint32_t w[2];
    barrier_wait(full, parity);
    uint32_t loaded = score(s, from);
    copy(x, false, once_loaded_by_all(loaded));
    weigh(s, begin, w);
    barrier_wait(full + 1, parity);
    loaded = add(w, from + HALF, max(cut.first - begin, 0), min(cut.last - begin, TILE - 1));
    copy(x, true, once_loaded_by_all(loaded));
    parity ^= 1;
  }

  // Takes splits of the row and part at hand, from the one at hand on; keep takes their sums.
  template <class Keep> __device__ __forceinline__ void take(int splits, const Keep &keep) {
    int block = cut.block + split * cut.each;
    const int end = min(block + splits * cut.each, cut.block + cut.blocks);
    stage(), clear();
    meet(); // queries are staged
    for (int left = cut.each; block < end; block++) {
      const int begin = block * BLOCK + warp * TILE;
      if (begin <= cut.last && begin + TILE > cut.first) take_tile(begin);
      if (--left == 0 || block + 1 == end) flush(keep), split++, left = cut.each;
    }
  }

  __device__ __forceinline__ void run() {
    int left = begin();
    if (left > 0) open(left);
    else wait_for_earlier(); // whoever follows counts on every block's wait
    let_next_begin();
    this->fill();
    while (left > 0) {
      const int splits = min(cut.splits - split, left);
      left -= splits;
      take(splits, typename Tiles::Kept{*this});
      if (cut.splits > 1 && finished(splits)) merge();
      if (left > 0) advance();
    }
  }
};
#endif
