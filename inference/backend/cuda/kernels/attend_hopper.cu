// The kernel of attend_prefill.cu on Hopper's matrix unit (wgmma, sm_90a): the same tiles, rows
// and roundings, for heads of 64 and 128.
//
// Launch: (q, tiles) blocks of 128, or for wide tiles of up to 192 rows of 384.
// Three warpgroups on a multiprocessor keep the matrix unit busy while others take
// exponentials; in one block they share the keys and values, a third of the
// traffic of L2. Keys and values lie in shared memory in
// blocks of 64 positions × 64 elements, a position a row of 128 bytes whose eight 16-byte pieces
// are exchanged by the position's last three bits, as the unit expects it (128-byte swizzle);
// it reads keys along their elements and values across positions. Queries and weights
// come from registers.
//
// Measured on an H200, bf16, 32 heads of 128, causal work counted: 311 TFLOP/s at 2048 rows (111 µs),
// 419 at 8192; heads of 64: 288 and 365. Narrow tiles, heads of 128: 285 and 404 (at
// 8192, by count, 6.3 TB/s out of L2).
//
// Tried, wide tiles, 431 TFLOP/s at 8192 rows: scores of the next tile under way beside the products with the values, and what becomes
// of those scores found meanwhile, queries in shared memory (391; 413 with the copies of a tile asked for first); where
// matrices lie in registers of a warp, and sums multiplied only where a score is the highest so far (423); the tile with
// fewer rows first, where it takes least (2048 rows: 0 to 1 % faster).
#include "attend_prefill.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// The registers of a result, as operands and by number.
#define FOUR(d, i) "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])
#define OUT64(d) FOUR(d, 0), FOUR(d, 1), FOUR(d, 2), FOUR(d, 3), FOUR(d, 4), FOUR(d, 5), FOUR(d, 6), FOUR(d, 7)
#define OUT128(d) OUT64(d), FOUR(d, 8), FOUR(d, 9), FOUR(d, 10), FOUR(d, 11), FOUR(d, 12), FOUR(d, 13), FOUR(d, 14), FOUR(d, 15)
#define NAMES64 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15, " \
  "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define NAMES128 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15, " \
  "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31, " \
  "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47, " \
  "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define MULTIPLY(N, FORMAT, ADD, A0, A1, A2, A3, B, TRANS)                                                     \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %" ADD ", 0;\n"                                                  \
               "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." FORMAT "." FORMAT " {" NAMES##N "}, {%" A0      \
               ",%" A1 ",%" A2 ",%" A3 "}, %" B ", p, 1, 1, %" TRANS "; }"                                       \
               : OUT##N(d)                                                                                      \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add), "n"(TRANSPOSED))

// d (+)= A·B, A [64 × 16] in registers, B described. It runs on until it is waited for.
template <int T, int TRANSPOSED> __device__ __forceinline__ void multiply(float (&d)[8][4], const uint32_t (&a)[4], uint64_t b, bool add) {
  if constexpr (T == F16) MULTIPLY(64, "f16", "37", "32", "33", "34", "35", "36", "38");
  else MULTIPLY(64, "bf16", "37", "32", "33", "34", "35", "36", "38");
}
template <int T, int TRANSPOSED> __device__ __forceinline__ void multiply(float (&d)[16][4], const uint32_t (&a)[4], uint64_t b, bool add) {
  if constexpr (T == F16) MULTIPLY(128, "f16", "69", "64", "65", "66", "67", "68", "70");
  else MULTIPLY(128, "bf16", "69", "64", "65", "66", "67", "68", "70");
}
__device__ __forceinline__ void registers_ready() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void finish_products() {
  asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;" ::: "memory");
}

enum { GROUP = 8 * 128, SQUARE = TILE * 128 }; // bytes of 8 positions, and of 64, by 64 elements

// Where a matrix begins in shared memory: groups of 8 rows follow one another, the next 64
// elements come a SQUARE later; 128-byte swizzle.
__device__ __forceinline__ uint64_t described(uint32_t at) {
  return (uint64_t)(at >> 4 & 0x3fff) | (uint64_t)(SQUARE >> 4) << 16 | (uint64_t)(GROUP >> 4) << 32 | (uint64_t)1 << 62;
}

template <int T, int DIM, int GROUPS> struct Hopper : PrefillRows<T, DIM> {
  using Rows = PrefillRows<T, DIM>;
  using Rows::STEPS, Rows::PIECES;

  struct Shared {
    uint8_t k[2][DIM / 64 * SQUARE], v[2][DIM / 64 * SQUARE];
    int32_t slots[2][TILE];
  };

  Shared &sh;
  uint32_t q[STEPS][4];

  __device__ Hopper(const PrefillParams &p, Shared &sh) : Rows(p), sh(sh) {}

  __device__ __forceinline__ void look_up(int tile) {
    if (threadIdx.x < TILE) sh.slots[tile % 2][threadIdx.x] = this->slot(tile, threadIdx.x);
  }

  __device__ __forceinline__ void fetch(int tile) {
    const uint32_t k = (uint32_t)__cvta_generic_to_shared(sh.k[tile % 2]), v = (uint32_t)__cvta_generic_to_shared(sh.v[tile % 2]);
    constexpr int STEP = GROUPS * 128 / PIECES;
    const int c = threadIdx.x % PIECES, first = threadIdx.x / PIECES;
#pragma unroll
    for (int i = 0; i < (TILE + STEP - 1) / STEP; i++) {
      const int r = i * STEP + first;
      if (TILE % STEP && r >= TILE) break;
      const int slot = sh.slots[tile % 2][r];
      const int64_t from = (int64_t)max(slot, 0) * (2 * DIM) + 16 * c;
      const uint32_t to = c / 8 * SQUARE + r * 128 + ((c ^ r) % 8) * 16;
      copy16(k + to, this->p.cache.k + from, slot >= 0);
      copy16(v + to, this->p.cache.v + from, slot >= 0);
    }
    commit();
  }

  __device__ __forceinline__ void scores(float (&s)[TILE / 8][4], int tile) const {
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(sh.k[tile % 2]);
    registers_ready();
#pragma unroll
    for (int i = 0; i < STEPS; i++) multiply<T, 0>(s, q[i], described(at + i / 4 * SQUARE + i % 4 * 32), i > 0);
    finish_products();
  }

  __device__ __forceinline__ void add_values(const uint32_t (&w)[TILE / 16][4], int tile) {
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(sh.v[tile % 2]);
    registers_ready();
#pragma unroll
    for (int i = 0; i < TILE / 16; i++) multiply<T, 1>(this->sum, w[i], described(at + i * 2 * GROUP), true);
    finish_products();
  }

  __device__ void run() {
    const int end = this->last / TILE;
    int tile = this->first / TILE;
    // The last position that a row of this warpgroup sees: none where it has no rows.
    const int group = threadIdx.x / 128 * 64, seen = group < this->rows ? this->last - max(this->rows - group - 64, 0) : -1;
    look_up(tile), look_up(tile + 1);
    __syncthreads();
    fetch(tile);
    let_next_begin();
#pragma unroll
    for (int i = 0; i < STEPS; i++) this->query(i, q[i]);
    for (; tile <= end; tile++) {
      asm volatile("cp.async.wait_all;\nfence.proxy.async.shared::cta;" ::: "memory"); // the unit reads what copies wrote
      __syncthreads(); // this tile is here, and the one before is done with
      if (tile < end) {
        fetch(tile + 1);
        look_up(tile + 2);
      }
      if (GROUPS > 1 && tile * TILE > seen) continue;
      float s[TILE / 8][4];
      uint32_t w[TILE / 16][4];
      scores(s, tile), this->mask(s, tile), this->weigh(s, w), this->add_weights(w), add_values(w, tile);
    }
    this->put();
  }
};

#define HOPPER(NAME, T, DIM, GROUPS, RESIDENT)                                                                \
  extern "C" __global__ void __launch_bounds__(128 * GROUPS, RESIDENT)                                        \
      attend_##NAME##_##T##_##DIM(const __grid_constant__ PrefillParams p) {                                  \
    extern __shared__ __align__(1024) uint8_t room[];                                                         \
    wait_for_earlier();                                                                                       \
    Hopper<T, DIM, GROUPS>(p, *(Hopper<T, DIM, GROUPS>::Shared *)room).run();                                 \
  }
HOPPER(hopper, F16, 64, 1, 4) HOPPER(hopper, BF16, 64, 1, 4)
HOPPER(hopper, F16, 128, 1, 3) HOPPER(hopper, BF16, 128, 1, 3)
HOPPER(wide, F16, 128, 3, 1) HOPPER(wide, BF16, 128, 3, 1)

#endif
