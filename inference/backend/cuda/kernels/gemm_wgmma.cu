// The product of a prompt on sm_90a (gemm.cuh has formula and layouts). Weights go from L2
// straight into registers, which are A of wgmma; activations come by bulk copies through a
// ring in shared memory, where they are B.
//
// A block has GROUPS warpgroups that compute, 64 rows × N tokens each, and one warp that
// copies; blocks are persistent. Blocks of a cluster have different rows and the same
// tokens: each copies a share of them into the ring of all.
#include "gemm.cuh"
#include "hopper.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// Shared memory of a block, from a multiple of 1024: the ring, then its barriers.
template <int N, int STAGES> struct Ring {
  enum { STAGE = N * 128 };
  uint32_t base;
  int stage = 0, parity = 0;
  __device__ uint32_t data() const { return base + stage * STAGE; }
  __device__ uint32_t full(int s) const { return base + STAGES * STAGE + 16 * s; }
  __device__ uint32_t empty(int s) const { return full(s) + 8; }
  __device__ void next() {
    if (++stage == STAGES) stage = 0, parity ^= 1;
  }
};

template <int N, int STAGES, int CLUSTER> __device__ __forceinline__ void produce(const GemmParams &p, Ring<N, STAGES> ring, int share) {
  constexpr int GROUPS_OF_8 = N / 8, OWN = GROUPS_OF_8 / CLUSTER;
  const int row_tiles = (p.row_tiles + CLUSTER - 1) / CLUSTER;
  for (int tile = blockIdx.x / CLUSTER; tile < row_tiles * p.token_tiles; tile += gridDim.x / CLUSTER) {
    int row, token;
    tile_at(tile, row_tiles, p.token_tiles, &row, &token);
    const int there = min(GROUPS_OF_8, p.groups - token * GROUPS_OF_8); // the last tile may be short
    const int first = share * OWN, own = min(OWN, there - first);
    const uint8_t *x = p.x + (int64_t)(token * GROUPS_OF_8 + first) * GROUP_BYTES;
    for (int block = 0; block < p.blocks; block++, ring.next(), x += (int64_t)p.groups * GROUP_BYTES) {
      const uint32_t full = ring.full(ring.stage);
      barrier_wait(ring.empty(ring.stage), ring.parity ^ 1);
      barrier_expect(full, there * GROUP_BYTES);
      if (own <= 0) continue;
      if (CLUSTER == 1) bulk_copy(ring.data(), x, own * GROUP_BYTES, full);
      else bulk_copy(ring.data() + first * GROUP_BYTES, x, own * GROUP_BYTES, full, (1 << CLUSTER) - 1);
    }
  }
}

// Four tiles of a strip: 64 k. Where the strip ends inside, its last tile comes again: it
// meets zeros of x. (Predicates here cost moves in the inner loop.)
__device__ __forceinline__ void load_block(uint4 (&a)[4], const uint4 *w, int block, int stride) {
#pragma unroll
  for (int i = 0; i < 4; i++) a[i] = load_weights(w + min(4 * block + i, stride - 1) * 32);
}

template <int N, int STAGES, int CLUSTER> __device__ __forceinline__ void release(const Ring<N, STAGES> &ring, int stage) {
  const int lane = threadIdx.x % 32;
  if (lane < CLUSTER) barrier_arrive(ring.empty(stage), lane);
}

// Sums of a tile. On entry a holds the first DEPTH-1 blocks of weights.
template <int N, int STAGES, int CLUSTER, int DEPTH>
__device__ __forceinline__ void multiply(const GemmParams &p, Ring<N, STAGES> &ring, const uint4 *w, uint4 (&a)[DEPTH][4], float (&sum)[N / 2]) {
#pragma unroll
  for (int i = 0; i < N / 2; i++) sum[i] = 0;
  for (int first = 0; first < p.blocks; first += DEPTH) {
#pragma unroll
    for (int u = 0; u < DEPTH; u++) {
      if (first + u >= p.blocks) break;
      barrier_wait(ring.full(ring.stage), ring.parity);
      const uint64_t b = matrix_descriptor(ring.data());
      wgmma_fence();
#pragma unroll
      for (int i = 0; i < 4; i++) wgmma(sum, a[u][i], b + 2 * i);
      wgmma_commit();
      wgmma_wait<1>(); // the block before this one is done with its stage and its weights
      if (first + u > 0) release<N, STAGES, CLUSTER>(ring, ring.stage == 0 ? STAGES - 1 : ring.stage - 1);
      load_block(a[(u + DEPTH - 1) % DEPTH], w, first + u + DEPTH - 1, p.stride);
      ring.next();
    }
  }
  wgmma_wait<0>();
#pragma unroll
  for (int i = 0; i < N / 2; i++) asm volatile("" : "+f"(sum[i])::"memory"); // no use of a sum moves up
  release<N, STAGES, CLUSTER>(ring, ring.stage == 0 ? STAGES - 1 : ring.stage - 1);
}

// What a warp works on next: a strip of a part and a token tile.
struct Work {
  const GemmPart *part;
  const uint4 *w;
  int strip, token;
};

template <int GROUPS, int CLUSTER> __device__ __forceinline__ Work work_at(const GemmParams &p, int tile, int row_tiles, int rank) {
  Work k;
  int row;
  tile_at(tile, row_tiles, p.token_tiles, &row, &k.token);
  row = row * CLUSTER + rank;
  k.part = &part_of(p, row);
  k.strip = (row - k.part->tile) * 4 * GROUPS + threadIdx.x / 32;
  // Rows beyond the end multiply by what is there and are not stored.
  k.w = k.part->w + (int64_t)min(k.strip, k.part->strips - 1) * p.stride * 32 + threadIdx.x % 32;
  return k;
}

template <int GROUPS, int N, int STAGES, int CLUSTER, int DEPTH>
__device__ __forceinline__ void consume(const GemmParams &p, Ring<N, STAGES> ring, int rank) {
  const int row_tiles = (p.row_tiles + CLUSTER - 1) / CLUSTER, tiles = row_tiles * p.token_tiles, step = gridDim.x / CLUSTER;
  float sum[N / 2];
  uint4 a[DEPTH][4];
  int tile = blockIdx.x / CLUSTER;
  if (tile >= tiles) return;
  Work k = work_at<GROUPS, CLUSTER>(p, tile, row_tiles, rank);
#pragma unroll
  for (int u = 0; u < DEPTH - 1; u++) load_block(a[u], k.w, u, p.stride);
  for (;;) {
    multiply<N, STAGES, CLUSTER, DEPTH>(p, ring, k.w, a, sum);
    const Work done = k;
    tile += step;
    if (tile < tiles) { // its weights are on their way while sums are stored
      k = work_at<GROUPS, CLUSTER>(p, tile, row_tiles, rank);
#pragma unroll
      for (int u = 0; u < DEPTH - 1; u++) load_block(a[u], k.w, u, p.stride);
    }
    finish<N>(p, *done.part, done.strip, done.token * N, sum);
    if (tile >= tiles) return;
  }
}

template <int GROUPS, int N, int STAGES, int CLUSTER, int DEPTH> __device__ __forceinline__ void gemm(const GemmParams &p) {
  extern __shared__ uint8_t memory[];
  Ring<N, STAGES> ring;
  ring.base = (shared_address(memory) + 1023) & ~1023;
  const int rank = CLUSTER == 1 ? 0 : cluster_rank();
  if (threadIdx.x == 0) {
    for (int s = 0; s < STAGES; s++) barrier_init(ring.full(s), 1), barrier_init(ring.empty(s), 4 * GROUPS * CLUSTER);
    barrier_init_done();
  }
  if (CLUSTER == 1) __syncthreads();
  else cluster_sync();
  if (threadIdx.x < 128 * GROUPS) {
    if (GROUPS > 1) registers_raise<240>();
    consume<GROUPS, N, STAGES, CLUSTER, DEPTH>(p, ring, rank);
  } else {
    if (GROUPS > 1) registers_lower<24>();
    if (threadIdx.x == 128 * GROUPS) produce<N, STAGES, CLUSTER>(p, ring, rank);
    __syncwarp();
  }
  if (CLUSTER > 1) cluster_sync(); // the others may still copy into this block and arrive here
}

#define BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#define GEMM(...) { gemm<__VA_ARGS__>(p); }
#else
#define BOUNDS(threads, blocks) __launch_bounds__(32) // gemm.go sees by this that there is no code
#define GEMM(...) {}
#endif

extern "C" {
__global__ void BOUNDS(384, 1) gemm_wgmma_256(const __grid_constant__ GemmParams p) GEMM(2, 256, 6, 2, 3)
__global__ void BOUNDS(160, 1) gemm_wgmma_128(const __grid_constant__ GemmParams p) GEMM(1, 128, 4, 1, 4)
__global__ void BOUNDS(160, 1) gemm_wgmma_64(const __grid_constant__ GemmParams p) GEMM(1, 64, 6, 1, 6)
}
