// Attention of the rows of the decode phase: dst = softmax(q·kᵀ·scale)·v over the paged
// cache, split over positions, the splits put together in the same launch.
//
// Shapes: qkv [n × (q+2·kv)·dim] F32, dst [n × q·dim] F32 or in operand order, the cache F16 or BF16, its pages a
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
// tables) is read ahead of the wait, so no kernel of the same step may write that. L2 is asked
// for keys and values that early, too: what of them is not written yet is no matter there.
//
// Measured on an H200, bf16, launched in a row in one graph, plain and overlapping, as it was
// before L2 was asked for anything and with every split counted:
//   32 heads of 128, one each: context 300, 1 row 9.1 and 7.9 µs, 32 rows 56.5 and 55.0 µs (2.9 TB/s);
//     context 4096, 1 row 26.6 µs (2.5 TB/s), 8 rows 151 µs, 32 rows 536 µs (4.0 TB/s; earlier runs, on
//     cards and versions that were not told apart, 502 to 512)
//   32 heads of 128 on 8: 9.0 and 8.0, 20.4 and 18.9 µs; 12.8 and 12.2, 51.3, 162 µs (3.3 TB/s)
//   32 heads of 64 on 4: 8.1 and 7.1, 11.8 and 10.9 µs; 10.7 and 9.7, 19.9, 53.8 µs (2.5 TB/s)
// Where that went, overlapping, 32 heads of 128, context 300, 1, 8 and 32 rows: 7.9, 16.8 and
// 54.8 µs; without count and merge 5.6, 14.0 and 46.6; warps' sums not joined either, 5.2, 13.1
// and 42.1. With L2 asked for the first two blocks of each part and nothing else changed: 7.0,
// 15.7 and 50.6; context 4096, 27.5, 141 and 510 where it was 26.4, 150 and 535.
// Tried: cp.async through shared memory for what goes to registers (slower: 3.1 TB/s at 32 rows
// of 4096, where this has 4 and more); a barrier that does not wait between the splits (no gain).
// L2 asked for every block two ahead: 549 µs at 32 rows of 4096. The next part's keys and values
// loaded while one is put together: 17.5 and 55.3 µs at 8 and 32 rows of 300 (no gain); with one
// split for up to 6 blocks 16.6 and 49.5, but 9.6 for 1 row.
#include "attend_decode_sums.cuh"

template <int T, int DIM> struct Decode : DecodeSums<T, DIM> {
  typedef DecodeSums<T, DIM> Sums;
  static constexpr int KB = DIM / 32, KR = DIM % 32 / 16; // 16-byte loads of a key, then one of 8
  using Sums::STEPS, Sums::VB, Sums::VR, Sums::PAIRS;
  using Sums::p, Sums::cut, Sums::warp, Sums::lane, Sums::g, Sums::t, Sums::sh, Sums::sum, Sums::top, Sums::total;
  using Sums::row, Sums::split, Sums::head, Sums::kv, Sums::count, Sums::pages;
  using Sums::page, Sums::slot, Sums::tile, Sums::next_tile, Sums::fill, Sums::begin, Sums::advance;
  using Sums::clear, Sums::flush, Sums::finished, Sums::merge;

  uint32_t k[2][KB * 4 + KR * 2], v[4][PAIRS];

  __device__ Decode(const DecodeParams &p, typename Sums::Shared &sh) : Sums(p, sh) {}

  // Queries in units of log 2 as fragments, each as a rounded number and the rest. All are
  // asked for before the first is used.
  __device__ __forceinline__ void stage() {
    constexpr int EACH = (STEPS + WARPS - 1) / WARPS;
    float4 x[EACH];
#pragma unroll
    for (int j = 0; j < EACH; j++) {
      const int s = j * WARPS + warp, at = s < 2 * KB ? s / 2 * 32 + 8 * t + s % 2 * 4 : KB * 32 + 4 * t;
      const float *q = p.qkv + ((int64_t)row * (p.heads.q + 2 * p.heads.kv) + head + min(g, count - 1)) * DIM;
      x[j] = *(const float4 *)(q + (s < STEPS ? at : 0));
    }
#pragma unroll
    for (int j = 0; j < EACH; j++) {
      const int s = j * WARPS + warp;
      const float f = g < count ? p.heads.scale * LOG2E : 0;
      const float a = x[j].x * f, b = x[j].y * f, c = x[j].z * f, d = x[j].w * f;
      uint4 y;
      y.x = pack<T>(a, b), y.z = pack<T>(c, d);
      y.y = pack<T>(a - low<T>(y.x), b - high<T>(y.x)), y.w = pack<T>(c - low<T>(y.z), d - high<T>(y.z));
      if (s < STEPS) sh.queries[s * 32 + lane] = y;
    }
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
    __syncthreads(); // queries are staged
    for (int left = cut.each; block < end; block++) {
      if (block == when) ask(coming);
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
      if (--left == 0 || !more) flush(), split++, left = cut.each;
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
