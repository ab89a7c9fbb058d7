// Attention of the rows of the decode phase: dst = softmax(q·kᵀ·scale)·v over the paged
// cache, split over positions, the splits put together in the same launch.
//
// Shapes: qkv [n × (q+2·kv)·dim] F32, dst [n × q·dim] F32 or bf16 as fragments (fragments.cuh), the cache F16 or BF16, its pages a
// power of two of positions. Up to 8 query heads of a key head share a block.
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
//
// It may be launched to overlap with the kernel before it: what the batch says (positions, page
// tables) is read ahead of the wait, so no kernel of the same step may write that. The blocks' shares
// are read there, too: attend_share.cu has ended before the step's other kernels begin. L2 is asked
// for keys and values that early, too: what of them is not written yet is no matter there.
//
// Measured on an H200, bf16, launched in a row in one graph, overlapping (attend_ring.cu has what Hopper runs
// instead for heads of 64 and 128): 32 heads of 128, one each, context 300, 1, 8 and 32 rows 7.0, 15.5 and
// 49.9 us; context 4096, 27.4, 140 and 507 us. 32 heads of 128 on 8: 7.3, 9.2, 17.3; 12.6, 48.2, 159. 32
// heads of 64 on 4: 7.1, 7.8, 10.1; 8.5, 18.1, 50.6.
// Where that goes, 32 heads of 128, context 300, an earlier version with 7.9, 16.8 and 54.8 us: without count
// and merge 5.6, 14.0 and 46.6; warps' sums not joined either, 5.2, 13.1 and 42.1.
// Tried: cp.async through shared memory for what goes to registers (slower: 3.1 TB/s at 32 rows
// of 4096, where this has 4 and more); a barrier that does not wait between the splits (no gain).
// L2 asked for every block two ahead: 549 us at 32 rows of 4096. The next part's keys and values
// loaded while one is put together: 17.5 and 55.3 us at 8 and 32 rows of 300 (no gain); with one
// split for up to 6 blocks 16.6 and 49.5, but 9.6 for 1 row.
#include "attend_decode_tile.cuh"

template <int T, int DIM> struct Decode : DecodeTile<T, DIM> {
  typedef DecodeTile<T, DIM> Tiles;
  using Tiles::KB, Tiles::KR, Tiles::VB, Tiles::VR, Tiles::k, Tiles::v;
  using Tiles::p, Tiles::cut, Tiles::warp, Tiles::lane, Tiles::g, Tiles::t, Tiles::split, Tiles::kv, Tiles::pages;
  using Tiles::page, Tiles::slot, Tiles::tile, Tiles::next_tile, Tiles::fill, Tiles::begin, Tiles::advance;
  using Tiles::stage, Tiles::scores, Tiles::weigh, Tiles::add_values, Tiles::clear, Tiles::flush, Tiles::finished, Tiles::merge;

  __device__ Decode(const DecodeParams &p, typename Tiles::Shared &sh) : Tiles(p, sh) {}

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

  __device__ __forceinline__ void ask(const Tile &x) const {
    const int64_t at = (int64_t)x.slot * (2 * DIM);
    if (x.count) prefetch(p.cache.k + at, x.count * (2 * DIM)), prefetch(p.cache.v + at, x.count * (2 * DIM));
  }

  // Takes splits of the row and part at hand, from the one at hand on; behind them come so
  // many others of this block. Loads pause between parts, so what the next one begins with is
  // asked for as this one ends, and what the first one begins with before the wait.
  __device__ __forceinline__ void take(int splits, int others, bool first) {
    int block = cut.block + split * cut.each;
    const int end = min(block + splits * cut.each, cut.block + cut.blocks);
    int ahead = page(block);
    const int next = page(block + 1);
    int at = slot(block, ahead);
    if (first && lane < min((int)AHEAD, end - block)) ask(tile(cut, pages, kv, block + lane));
    wait_for_earlier();
    if (first) fill();
    load_keys(at), load_values(at);
    ahead = next;
    let_next_begin();
    const Tile coming = next_tile(others);
    const int when = max(block, end - AHEAD + lane);
    stage(), clear();
    this->meet(); // queries are staged
    for (int left = cut.each; block < end; block++) {
      if (block == when) ask(coming);
      const int begin = block * BLOCK + warp * TILE;
      const bool seen = begin <= cut.last && begin + TILE > cut.first, more = block + 1 < end;
      float s[4];
      uint32_t w[2];
      scores(s, k);
      at = slot(block + 1, ahead);
      ahead = page(block + 2);
      if (more) load_keys(at);
      if (seen) weigh(s, begin, w), add_values(w);
      if (more) load_values(at);
      if (--left == 0 || !more) flush(typename Tiles::Kept{*this}), split++, left = cut.each;
    }
    if (cut.splits > 1 && finished(splits)) merge();
  }

  __device__ __forceinline__ void run() {
    int left = begin();
    if (left == 0) wait_for_earlier(), fill(); // whoever follows counts on every block's wait
    for (bool first = true; left > 0; first = false) {
      const int splits = min(cut.splits - split, left);
      left -= splits;
      take(splits, left, first);
      if (left > 0) advance();
    }
  }
};

#define DECODE(T, DIM)                                                                                             \
  extern "C" __global__ void __launch_bounds__(128, DIM > 128 ? 2 : DIM > 80 ? 3 : DIM > 64 ? 4 : 5)               \
      attend_decode_##T##_##DIM(const __grid_constant__ DecodeParams p) {                                          \
    __shared__ Decode<T, DIM>::Shared sh;                                                                          \
    Decode<T, DIM>(p, sh).run();                                                                                   \
  }
ATTEND_DIMS(DECODE, F16) ATTEND_DIMS(DECODE, BF16)
