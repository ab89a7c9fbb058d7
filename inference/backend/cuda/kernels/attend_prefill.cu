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
#include "attend.cuh"

enum { WARPS = 4, ROWS = WARPS * 16, TILE = 64 };

struct PrefillParams {
  float *dst;
  const float *qkv;
  BatchParams batch;
  CacheParams cache;
  HeadsParams heads;
  const int32_t *tiles; // [tiles × 2] first row, rows
};

__device__ __forceinline__ void matrices(uint32_t (&r)[4], uint32_t at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
}
__device__ __forceinline__ void transposed(uint32_t (&r)[4], uint32_t at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
}
// 16 bytes to shared memory, zeros where there is nothing to read.
__device__ __forceinline__ void copy16(uint32_t to, const uint8_t *from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
}

template <int T, int DIM> struct Prefill {
  static constexpr int STEPS = DIM / 16, PIECES = DIM / 8, STRIDE = (PIECES | 1) * 16;
  static constexpr bool HELD = DIM <= 128; // queries stay in registers

  struct Shared {
    uint8_t k[2][TILE * STRIDE], v[2][TILE * STRIDE];
    int32_t slots[2][TILE]; // rows of the cache, −1 out of sight
    uint4 queries[HELD ? 1 : WARPS * STEPS * 32];
  };

  const PrefillParams &p;
  Shared &sh;
  const int head = blockIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  int row, rows;   // of the block: the first, how many
  int first, last; // positions in sight of any of them
  int begin;       // position of the warp's first row
  int kv, shift;
  const int32_t *pages;

  uint32_t q[HELD ? STEPS : 1][4];
  float sum[DIM / 8][4], total[4]; // rows g and g+8
  float top[2];

  __device__ Prefill(const PrefillParams &p, Shared &sh) : p(p), sh(sh) {
    row = p.tiles[2 * blockIdx.y], rows = p.tiles[2 * blockIdx.y + 1];
    const int position = p.batch.positions[row];
    last = position + rows - 1, begin = position + 16 * warp;
    first = p.heads.window > 0 ? max(0, position - p.heads.window + 1) : 0;
    kv = head / (p.heads.q / p.heads.kv), shift = 31 - __clz(p.cache.size);
    pages = p.batch.pages + p.batch.tables[row];
  }

  __device__ __forceinline__ void query(int s, uint32_t (&a)[4]) const {
    const float f = p.heads.scale * LOG2E;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int r = 16 * warp + g + i % 2 * 8;
      float2 x = make_float2(0, 0);
      if (r < rows)
        x = *(const float2 *)(p.qkv + ((int64_t)(row + r) * (p.heads.q + 2 * p.heads.kv) + head) * DIM + 16 * s + 2 * t + i / 2 * 8);
      a[i] = pack<T>(x.x * f, x.y * f);
    }
  }

  __device__ __forceinline__ void stage() {
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
      if constexpr (HELD) query(s, q[s]);
      else {
        uint32_t a[4];
        query(s, a);
        sh.queries[(warp * STEPS + s) * 32 + lane] = make_uint4(a[0], a[1], a[2], a[3]);
      }
    }
  }

  // Where the positions of a tile lie.
  __device__ __forceinline__ void look_up(int tile) {
    if (threadIdx.x >= TILE) return;
    const int at = tile * TILE + threadIdx.x;
    int slot = -1;
    if (at >= first && at <= last) slot = (pages[at >> shift] * p.heads.kv + kv << shift) + (at & p.cache.size - 1);
    sh.slots[tile % 2][threadIdx.x] = slot;
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
    asm volatile("cp.async.commit_group;" ::: "memory");
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

  __device__ __forceinline__ void mask(float (&s)[TILE / 8][4], int tile) const {
    const int from = tile * TILE;
    if (from + TILE - 1 <= begin && (p.heads.window == 0 || from > begin + 15 - p.heads.window)) return;
#pragma unroll
    for (int n = 0; n < TILE / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int at = from + 8 * n + 2 * t + i % 2, me = begin + g + i / 2 * 8;
        if (at > me || p.heads.window > 0 && at <= me - p.heads.window) s[n][i] = -INFINITY;
      }
  }

  // Scores become weights, as fragments for the product with the values.
  __device__ __forceinline__ void weigh(float (&s)[TILE / 8][4], uint32_t (&w)[TILE / 16][4]) {
    float base[2], old[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
      float most = top[r];
#pragma unroll
      for (int n = 0; n < TILE / 8; n++) most = fmaxf(most, fmaxf(s[n][2 * r], s[n][2 * r + 1]));
      most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 1));
      most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 2));
      const float safe = most == -INFINITY ? 0 : most; // nothing in sight yet
      old[r] = exp2_fast(top[r] - safe), base[r] = safe - lift<T>, top[r] = most;
    }
#pragma unroll
    for (int i = 0; i < DIM / 8; i++) sum[i][0] *= old[0], sum[i][1] *= old[0], sum[i][2] *= old[1], sum[i][3] *= old[1];
    total[0] *= old[0], total[1] *= old[0], total[2] *= old[1], total[3] *= old[1];
#pragma unroll
    for (int n = 0; n < TILE / 8; n++)
#pragma unroll
      for (int r = 0; r < 2; r++)
        w[n / 2][n % 2 * 2 + r] = pack<T>(exp2_fast(s[n][2 * r] - base[r]), exp2_fast(s[n][2 * r + 1] - base[r]));
  }

  __device__ __forceinline__ void add_values(const uint32_t (&w)[TILE / 16][4], int tile) {
    const uint32_t at = (uint32_t)__cvta_generic_to_shared(sh.v[tile % 2]) + lane % 16 * STRIDE + lane / 16 * 16;
#pragma unroll
    for (int n = 0; n < TILE / 16; n++) {
      mma<T>(total, w[n][0], w[n][1], w[n][2], w[n][3], two_ones<T>, two_ones<T>);
#pragma unroll
      for (int i = 0; i < STEPS; i++) {
        uint32_t b[4];
        transposed(b, at + 16 * n * STRIDE + 32 * i);
        mma<T>(sum[2 * i], w[n][0], w[n][1], w[n][2], w[n][3], b[0], b[1]);
        mma<T>(sum[2 * i + 1], w[n][0], w[n][1], w[n][2], w[n][3], b[2], b[3]);
      }
    }
  }

  __device__ __forceinline__ void put() const {
#pragma unroll
    for (int r = 0; r < 2; r++) {
      const int at = 16 * warp + g + 8 * r;
      if (at >= rows) continue;
      float *y = p.dst + ((int64_t)(row + at) * p.heads.q + head) * DIM + 2 * t;
      const float inverse = 1 / total[2 * r];
#pragma unroll
      for (int i = 0; i < DIM / 8; i++) *(float2 *)(y + 8 * i) = make_float2(sum[i][2 * r] * inverse, sum[i][2 * r + 1] * inverse);
    }
  }

  __device__ void run() {
    const int end = last / TILE;
    int tile = first / TILE;
    look_up(tile), look_up(tile + 1);
    __syncthreads();
    fetch(tile);
    let_next_begin();
    stage();
    top[0] = top[1] = -INFINITY;
#pragma unroll
    for (int i = 0; i < DIM / 8; i++) sum[i][0] = sum[i][1] = sum[i][2] = sum[i][3] = 0;
    total[0] = total[1] = total[2] = total[3] = 0;
    for (; tile <= end; tile++) {
      asm volatile("cp.async.wait_all;" ::: "memory");
      __syncthreads(); // this tile is here, and the one before is done with
      if (tile < end) {
        fetch(tile + 1);
        look_up(tile + 2);
      }
      if (16 * warp >= rows || tile * TILE > begin + 15) continue; // nothing in sight of this warp
      float s[TILE / 8][4];
      uint32_t w[TILE / 16][4];
      scores(s, tile), mask(s, tile), weigh(s, w), add_values(w, tile);
    }
    put();
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
