// Attention of the rows of the prefill phase: dst = softmax(q·kᵀ·scale)·v, causal, over the
// paged cache.
//
// Shapes: qkv [n × (q+2·kv)·dim] and dst [n × q·dim] F32, the cache F16 or BF16, its pages a
// power of two of positions. A block computes one query head of up to 64 rows of one sequence.
// Launch: (q, tiles) blocks of 128, shared memory as attend.go counts it.
//
// Keys and values come in tiles of 64 positions that begin at multiples of 64 of the sequence,
// so a row meets the same tiles in the same order wherever its prompt was cut; a tile out of
// its sight changes no bit of it. Two tiles are in shared memory, one of them on its way
// (cp.async). Rows there are an odd number of 16-byte pieces apart, so that ldmatrix meets
// no bank twice. A warp has 16 rows. Queries, in units of log 2, and weights are rounded to
// the cache's format; the weights' sum is one more column of the product with the values, so
// it counts them as they were rounded.
//
// Measured on an H200, bf16, 32 heads of 128, causal work counted: 233 TFLOP/s at 2048 rows, 276 at
// 8192; heads of 64: 212 and 267. A warp of 16 rows reads 32 KB of shared memory a tile, more than it
// multiplies in that time: 32 rows a warp would halve that.
#include "attend_prefill.cuh"

enum { WARPS = 4 };

__device__ __forceinline__ void matrices(uint32_t (&r)[4], uint32_t at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
}
__device__ __forceinline__ void transposed(uint32_t (&r)[4], uint32_t at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
}
template <int T, int DIM> struct Prefill : PrefillRows<T, DIM> {
  using Rows = PrefillRows<T, DIM>;
  using Rows::STEPS, Rows::PIECES, Rows::p, Rows::warp, Rows::lane;
  static constexpr int STRIDE = (PIECES | 1) * 16;
  static constexpr bool HELD = DIM <= 128; // queries stay in registers

  struct Shared {
    uint8_t k[2][TILE * STRIDE], v[2][TILE * STRIDE];
    int32_t slots[2][TILE];
    uint4 queries[HELD ? 1 : WARPS * STEPS * 32];
  };

  Shared &sh;
  uint32_t q[HELD ? STEPS : 1][4];

  __device__ Prefill(const PrefillParams &p, Shared &sh) : Rows(p), sh(sh) {}

  __device__ __forceinline__ void stage() {
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
      if constexpr (HELD) this->query(s, q[s]);
      else {
        uint32_t a[4];
        this->query(s, a);
        sh.queries[(warp * STEPS + s) * 32 + lane] = make_uint4(a[0], a[1], a[2], a[3]);
      }
    }
  }

  __device__ __forceinline__ void look_up(int tile) {
    if (threadIdx.x < TILE) sh.slots[tile % 2][threadIdx.x] = this->slot(tile, threadIdx.x);
  }

  __device__ __forceinline__ void fetch(int tile) {
    const uint32_t k = (uint32_t)__cvta_generic_to_shared(sh.k[tile % 2]), v = (uint32_t)__cvta_generic_to_shared(sh.v[tile % 2]);
#pragma unroll
    for (int i = 0; i < TILE * PIECES / (WARPS * 32); i++) {
      const int piece = i * WARPS * 32 + threadIdx.x, r = piece / PIECES, c = piece % PIECES, slot = sh.slots[tile % 2][r];
      const int64_t from = (int64_t)max(slot, 0) * (2 * DIM) + 16 * c;
      copy16(k + r * STRIDE + 16 * c, p.cache.k + from, slot >= 0);
      copy16(v + r * STRIDE + 16 * c, p.cache.v + from, slot >= 0);
    }
    commit();
  }

  // s[n]: rows g and g+8 at positions 8n+2t and the next of the tile.
  __device__ __forceinline__ void scores(float (&s)[TILE / 8][4], int tile) const {
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(sh.k[tile % 2]) + (lane % 8 + lane / 16 * 8) * STRIDE + lane / 8 % 2 * 16;
#pragma unroll
    for (int n = 0; n < TILE / 8; n++) s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0;
#pragma unroll
    for (int i = 0; i < STEPS; i++) {
      uint32_t a[4];
      if constexpr (HELD) a[0] = q[i][0], a[1] = q[i][1], a[2] = q[i][2], a[3] = q[i][3];
      else {
        const uint4 x = sh.queries[(warp * STEPS + i) * 32 + lane];
        a[0] = x.x, a[1] = x.y, a[2] = x.z, a[3] = x.w;
      }
#pragma unroll
      for (int n = 0; n < TILE / 16; n++) {
        uint32_t b[4];
        matrices(b, at + 16 * n * STRIDE + 32 * i);
        mma<T>(s[2 * n], a[0], a[1], a[2], a[3], b[0], b[1]);
        mma<T>(s[2 * n + 1], a[0], a[1], a[2], a[3], b[2], b[3]);
      }
    }
  }

  __device__ __forceinline__ void add_values(const uint32_t (&w)[TILE / 16][4], int tile) {
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(sh.v[tile % 2]) + lane % 16 * STRIDE + lane / 16 * 16;
#pragma unroll
    for (int n = 0; n < TILE / 16; n++) {
#pragma unroll
      for (int i = 0; i < STEPS; i++) {
        uint32_t b[4];
        transposed(b, at + 16 * n * STRIDE + 32 * i);
        mma<T>(this->sum[2 * i], w[n][0], w[n][1], w[n][2], w[n][3], b[0], b[1]);
        mma<T>(this->sum[2 * i + 1], w[n][0], w[n][1], w[n][2], w[n][3], b[2], b[3]);
      }
    }
  }

  __device__ void run() {
    const int end = this->last / TILE;
    int tile = this->first / TILE;
    look_up(tile), look_up(tile + 1);
    __syncthreads();
    fetch(tile);
    let_next_begin();
    stage();
    for (; tile <= end; tile++) {
      asm volatile("cp.async.wait_all;" ::: "memory");
      __syncthreads(); // this tile is here, and the one before is done with
      if (tile < end) {
        fetch(tile + 1);
        look_up(tile + 2);
      }
      if (16 * warp >= this->rows || tile * TILE > this->begin + 15) continue; // nothing in sight of this warp
      float s[TILE / 8][4];
      uint32_t w[TILE / 16][4];
      scores(s, tile), this->mask(s, tile), this->weigh(s, w), this->add_weights(w), add_values(w, tile);
    }
    this->put();
  }
};

#define PREFILL(T, DIM)                                                                                       \
  extern "C" __global__ void __launch_bounds__(128, DIM > 128 ? 1 : DIM > 64 ? 2 : 3)                         \
      attend_prefill_##T##_##DIM(const __grid_constant__ PrefillParams p) {                                   \
    extern __shared__ __align__(16) uint8_t room[];                                                           \
    wait_for_earlier();                                                                                       \
    Prefill<T, DIM>(p, *(Prefill<T, DIM>::Shared *)room).run();                                               \
  }
ATTEND_DIMS(PREFILL, F16) ATTEND_DIMS(PREFILL, BF16)
