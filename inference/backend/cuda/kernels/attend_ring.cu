// The kernel of attend_decode.cu where a key head has one query head, on Hopper: keys and values pass
// through a ring in shared memory, filled by bulk copies. The same splits, products and sums, so the
// same bits; which of the two is launched may depend on how many rows there are.
//
// Launch: as attend_decode.cu, with `depth` tiles of each warp in dynamic shared memory.
//
// A ring is a warp's own. It takes a tile to registers, and at once has the one copied there that comes
// `depth` tiles later, be it of another split, head or row: memory goes on while sums of a part are put
// together, counted and merged. Nobody else fills or reads it, so there is no barrier for free stages.
// No more than what is in sight of a tile is copied. Values of positions out of sight are read as those
// of the nearest in sight, for what lies there is another tile's, or nobody's.
//
// Rows of a tile lie 256 bytes apart, in the same banks. Of two neighbouring pieces of 16 bytes, or of two
// 64 bytes apart, half of the lanes take the second first: a key's pieces come without a conflict, a
// value's with two lanes a bank.
#include "attend_decode_tile.cuh"
#include "ring.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

enum { DEEPEST = 8, RING_AT = 6144 }; // tiles of a warp; where the ring begins in shared memory

__device__ __forceinline__ uint4 load_shared(uint32_t at) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(at));
  return v;
}

// Two pieces of 16 bytes, the second loaded first where told. Returns what depends on both.
__device__ __forceinline__ uint32_t load_two(uint32_t (&to)[8], uint32_t at, uint32_t step, bool second) {
  const uint4 x = load_shared(second ? at + step : at), y = load_shared(second ? at : at + step);
  to[0] = second ? y.x : x.x, to[1] = second ? y.y : x.y, to[2] = second ? y.z : x.z, to[3] = second ? y.w : x.w;
  to[4] = second ? x.x : y.x, to[5] = second ? x.y : y.y, to[6] = second ? x.z : y.z, to[7] = second ? x.w : y.w;
  return x.w | y.w;
}

template <int T, int DIM> struct DecodeRing : DecodeTile<T, DIM, 1, true> {
  typedef DecodeTile<T, DIM, 1, true> Tiles;
  static constexpr int ROW = 2 * DIM, HALF = TILE * ROW; // bytes of a key, and of a tile's keys
  static_assert(DIM == 128, "a value is two pieces of each lane");
  using Tiles::p, Tiles::cut, Tiles::warp, Tiles::lane, Tiles::g, Tiles::t, Tiles::k, Tiles::v;
  using Tiles::row, Tiles::part, Tiles::split, Tiles::pages, Tiles::parts, Tiles::tile, Tiles::fill, Tiles::begin, Tiles::advance;
  using Tiles::stage, Tiles::scores, Tiles::weigh, Tiles::add_values, Tiles::clear, Tiles::flush, Tiles::finished, Tiles::merge;

  struct Shared {
    typename Tiles::Shared sums;
    uint64_t full[WARPS][DEEPEST];
  };
  static_assert(sizeof(Shared) <= RING_AT, "the ring begins behind it");

  // Where the next tile is that has not been asked for, of a part of which the blocks up to `end`
  // are this block's, and so many splits behind it.
  struct Ahead {
    int row, part, block, end, left;
    Cut cut;
    const int32_t *pages;
  };

  uint64_t *const full; // by stage of this warp's ring
  uint8_t *const ring;
  Cursor at = {0, 0};
  Ahead ahead;

  __device__ DecodeRing(const DecodeParams &p, uint8_t *room)
      : Tiles(p, ((Shared *)room)->sums), full(((Shared *)room)->full[threadIdx.x / 32]),
        ring(room + RING_AT + threadIdx.x / 32 * p.depth * (2 * HALF)) {}

  __device__ __forceinline__ void enter(int split) {
    const Cut &c = ahead.cut;
    const int splits = min(c.splits - split, ahead.left);
    ahead.left -= splits, ahead.block = c.block + split * c.each;
    ahead.end = min(ahead.block + splits * c.each, c.block + c.blocks);
  }

  // The tile that comes next, of those in sight: of no positions where there is none.
  __device__ __forceinline__ Tile next() {
    while (true) {
      while (ahead.block < ahead.end) {
        const Tile x = tile(ahead.cut, ahead.pages, ahead.part, ahead.block++);
        if (x.count) return x;
      }
      if (ahead.left == 0) return {0, 0};
      if (++ahead.part == parts()) {
        ahead.part = 0, ahead.row++;
        ahead.pages = p.batch.pages + p.batch.tables[ahead.row];
        ahead.cut = cut_of(p, p.batch.positions[ahead.row]);
      }
      enter(0);
    }
  }

  __device__ __forceinline__ void copy(const Tile &x, int stage, uint32_t zero) {
    const int64_t from = (int64_t)x.slot * ROW;
    uint8_t *to = ring + stage * (2 * HALF) + zero;
    const uint64_t policy = evict_first();
    fetch(to, p.cache.k + from, x.count * ROW, full + stage, policy);
    fetch(to + HALF, p.cache.v + from, x.count * ROW, full + stage, policy);
  }

  // Asks for the first tiles, lane by lane: L2 for what is there before the wait, then the ring.
  __device__ __forceinline__ void open(int left) {
    ahead = {row, part, 0, 0, left, cut, pages};
    enter(split);
    Tile mine = {0, 0};
    for (int i = 0; i < p.depth; i++) {
      const Tile x = next();
      if (lane == i) mine = x;
    }
    const int64_t from = (int64_t)mine.slot * ROW;
    if (mine.count) prefetch(p.cache.k + from, mine.count * ROW), prefetch(p.cache.v + from, mine.count * ROW);
    wait_for_earlier();
    if (mine.count) copy(mine, lane, 0);
    __syncwarp();
    let_next_begin();
    fill();
  }

  __device__ __forceinline__ uint32_t load_keys(uint32_t from) {
    uint32_t loaded = 0;
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
      for (int c = 0; c < DIM / 64; c++)
        loaded |= load_two(*(uint32_t(*)[8])&k[n][8 * c], from + (8 * n + g) * ROW + 128 * c + 16 * t, 64, g % 2);
    return loaded;
  }

  // Those of positions [first, last] of the tile.
  __device__ __forceinline__ uint32_t load_values(uint32_t from, int first, int last) {
    uint32_t loaded = 0;
#pragma unroll
    for (int n = 0; n < 4; n++)
      loaded |= load_two(v[n], from + min(max(n / 2 * 8 + 2 * t + n % 2, first), last) * ROW + 32 * g, 16, t % 2);
    return loaded;
  }

  __device__ __forceinline__ void take_tile(int begin) {
    const Tile x = next();
    const uint32_t from = shared(ring) + at.stage * (2 * HALF);
    barrier_wait(full + at.stage, at.parity);
    uint32_t loaded = load_keys(from);
    loaded |= load_values(from + HALF, max(cut.first - begin, 0), min(cut.last - begin, TILE - 1));
    // Zero, as grids are one block deep, which a compiler cannot know: what all lanes have loaded has
    // come before another copy may go there.
    const uint32_t zero = __any_sync(0xffffffff, loaded & (gridDim.z - 1));
    if (lane == 0 && x.count) copy(x, at.stage, zero);
    if (++at.stage == p.depth) at.stage = 0, at.parity ^= 1;
    float s[4];
    uint32_t w[2];
    scores(s), weigh(s, begin, w), add_values(w);
  }

  // Takes splits of the row and part at hand, from the one at hand on.
  __device__ __forceinline__ void take(int splits) {
    int block = cut.block + split * cut.each;
    const int end = min(block + splits * cut.each, cut.block + cut.blocks);
    stage(), clear();
    __syncthreads(); // queries are staged
    for (int left = cut.each; block < end; block++) {
      const int begin = block * BLOCK + warp * TILE;
      if (begin <= cut.last && begin + TILE > cut.first) take_tile(begin);
      if (--left == 0 || block + 1 == end) flush(), split++, left = cut.each;
    }
    if (cut.splits > 1 && finished(splits)) merge();
  }

  __device__ __forceinline__ void run() {
    if (lane < p.depth) barrier_init(full + lane, 2); // keys and values
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncwarp();
    int left = begin();
    if (left == 0) wait_for_earlier(), fill(); // whoever follows counts on every block's wait
    else open(left);
    while (left > 0) {
      const int splits = min(cut.splits - split, left);
      left -= splits;
      take(splits);
      if (left > 0) advance();
    }
  }
};

#define RING(T, DIM)                                                                                           \
  extern "C" __global__ void __launch_bounds__(128, 3) attend_ring_##T##_##DIM(const __grid_constant__ DecodeParams p) { \
    extern __shared__ __align__(128) uint8_t room[];                                                           \
    DecodeRing<T, DIM>(p, room).run();                                                                         \
  }
RING(F16, 128) RING(BF16, 128)

#endif
