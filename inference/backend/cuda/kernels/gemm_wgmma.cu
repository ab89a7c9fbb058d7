// The product of a prompt on sm_90a (gemm.cuh has formula and layouts). Some warps copy
// weights and activations, as they lie in memory, into a ring in shared memory. From there
// weights are read into registers, which are A of wgmma, for that is the order they are
// stored in; activations are B.
//
// A block has GROUPS warpgroups that compute, 64 rows × N tokens each; blocks are persistent.
// Blocks of a cluster have different rows and the same tokens: each copies a share of the
// activations into the ring of all.
//
// Measured on H200s, 2048 tokens, TFLOP/s: 12288×4096 726-749, 22016×4096 724-738 (with SwiGLU
// 705-718), 4096×11008 added 746-768, 4096×4096 715-737, added 663-679. cuBLAS, on another of
// them: 756, 712, 775, 740. The limit is the power of the card: it runs at 1.6 to 1.7 of its
// 1.98 GHz then. 512 tokens: 600-690. 64: weights at 2.0 (4096 rows) to 3.3 TB/s.
#include "gemm.cuh"
#include "hopper.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// Sizes of a kernel: N tokens and 64·GROUPS rows of a tile, DEPTH blocks of 32 k of both in a
// stage. Many small stages keep more on its way, few large ones cost less to pass on: large
// tiles, which take long, want the former.
template <int GROUPS_, int N_, int STAGES_, int CLUSTER_, int DEPTH_> struct Shape {
  enum { GROUPS = GROUPS_, N = N_, STAGES = STAGES_, CLUSTER = CLUSTER_, DEPTH = DEPTH_, TILES = 2 * DEPTH, HALVES = N == 256 };
  enum { STRIPS = 4 * GROUPS, STRIP = TILES * 512, WEIGHTS = STRIPS * STRIP, TOKENS = N * 64, STAGE = WEIGHTS + DEPTH * TOKENS };
  // Warps that copy. Only whole warpgroups can hand registers over, and only they must.
  enum { COPIERS = GROUPS > 1 ? 4 : 2, OWN_STRIPS = STRIPS / COPIERS };
};

// Shared memory of a block, from a multiple of 1024: the ring, then its barriers.
template <class S> struct Ring {
  uint32_t base;
  int stage = 0, parity = 0;
  __device__ uint32_t weights() const { return base + stage * S::STAGE; }
  __device__ uint32_t tokens(int block) const { return weights() + S::WEIGHTS + block * S::TOKENS; }
  __device__ uint32_t full(int s) const { return base + S::STAGES * S::STAGE + 16 * s; }
  __device__ uint32_t empty(int s) const { return full(s) + 8; }
  __device__ int last() const { return stage == 0 ? S::STAGES - 1 : stage - 1; }
  __device__ void next() {
    if (++stage == S::STAGES) stage = 0, parity ^= 1;
  }
};

// The tiles of a block: those of its cluster in turn, by row tiles of the whole cluster. Where
// the last turn would have work for half of the clusters at most, its tiles are halved.
template <class S> struct Walk {
  int row_tiles, whole, tiles, tile, step;
  __device__ explicit Walk(const GemmParams &p) {
    row_tiles = (p.row_tiles + S::CLUSTER - 1) / S::CLUSTER;
    whole = tiles = row_tiles * p.token_tiles, tile = blockIdx.x / S::CLUSTER, step = gridDim.x / S::CLUSTER;
    const int last = tiles % step;
    if (S::HALVES && 2 * last <= step) whole -= last, tiles += last;
  }
  __device__ bool half() const { return S::HALVES && tile >= whole; }
  // The part, the tile's first strip in it, and its first group of tokens.
  __device__ const Part &at(const GemmParams &p, int rank, int *strip, int *group) const {
    int row, token;
    tile_at(half() ? whole + (tile - whole) / 2 : tile, row_tiles, p.token_tiles, &row, &token);
    *group = token * (S::N / 8) + (half() ? (tile - whole) % 2 * (S::N / 16) : 0);
    row = row * S::CLUSTER + rank;
    const int part = part_of(p, row);
    *strip = (row - p.tile[part]) * S::STRIPS;
    return p.part[part];
  }
};

// A stage's part of a strip. Where the strip ends inside, its last tile comes again: it meets
// zeros of x, and what lies in the ring might be no number.
template <class S> __device__ __forceinline__ void copy_strip(uint32_t to, const uint4 *w, int block, int stride, uint32_t full) {
  const int tiles = min((int)S::TILES, stride - 2 * block);
  if (tiles > 0) bulk_copy(to, w + block * 64, tiles * 512, full);
#pragma unroll 1
  for (int i = max(tiles, 0); i < S::TILES; i++) bulk_copy(to + i * 512, w + (stride - 1) * 32, 512, full);
}

// What a copying warp does for a tile: its strips and, the first, the block's share of the
// activations. A copy takes tens of cycles to issue, hence several warps.
template <class S> __device__ __forceinline__ void copy_tile(const GemmParams &p, Ring<S> &ring, int warp, int rank, const Walk<S> &walk) {
  int strip, group;
  const Part &part = walk.at(p, rank, &strip, &group);
  const uint4 *w[S::OWN_STRIPS];
#pragma unroll
  for (int i = 0; i < S::OWN_STRIPS; i++) // rows beyond the end multiply by what is there and are not stored
    w[i] = part.w + (int64_t)min(strip + warp + S::COPIERS * i, part.strips - 1) * p.stride * 32;
  const int width = S::N / 8 / (walk.half() ? 2 : 1), share = width / S::CLUSTER, first = rank * share;
  const int there = max(0, min(width, p.groups - group)); // the last tile may be short, its second half empty
  const int own = min(share, there - first) * GROUP_BYTES;
  const uint8_t *x = p.x + (int64_t)(group + first) * GROUP_BYTES;
  for (int block = 0; block < p.blocks; block += S::DEPTH, ring.next()) {
    const uint32_t full = ring.full(ring.stage);
    barrier_wait(ring.empty(ring.stage), ring.parity ^ 1);
    if (warp == 0) {
      barrier_expect(full, S::WEIGHTS + S::DEPTH * there * GROUP_BYTES);
#pragma unroll
      for (int i = 0; i < S::DEPTH; i++, x += (int64_t)p.groups * GROUP_BYTES) {
        if (S::CLUSTER == 1) bulk_copy(ring.tokens(i), x, own, full);
        else if (own > 0) bulk_copy(ring.tokens(i) + first * GROUP_BYTES, x, own, full, (1 << S::CLUSTER) - 1);
      }
    }
#pragma unroll
    for (int i = 0; i < S::OWN_STRIPS; i++)
      copy_strip<S>(ring.weights() + (warp + S::COPIERS * i) * S::STRIP, w[i], block, p.stride, full);
  }
}

template <class S> __device__ __forceinline__ void release(const Ring<S> &ring) {
  if (threadIdx.x % 32 < S::CLUSTER) barrier_arrive(ring.empty(ring.last()), threadIdx.x % 32);
}

// Puts the products of a stage on their way and waits for those of the stage before it: that
// stage and its registers are free then.
template <class S, int N>
__device__ __forceinline__ void multiply_stage(Ring<S> &ring, uint32_t own, uint4 (&a)[S::TILES], float (&sum)[N], bool first) {
  barrier_wait(ring.full(ring.stage), ring.parity);
#pragma unroll
  for (int i = 0; i < S::TILES; i++) a[i] = load_shared(ring.weights() + own + i * 512);
  wgmma_fence();
#pragma unroll
  for (int i = 0; i < S::TILES; i++) wgmma(sum, a[i], matrix_descriptor(ring.tokens(i / 2)) + 2 * (i % 2));
  wgmma_commit();
  wgmma_wait<1>();
  if (!first) release(ring);
  ring.next();
}

// Sums of a tile, N a thread. Two sets of registers take turns; an exit between the two would
// make the compiler serialize all products.
template <class S, int N> __device__ __forceinline__ void multiply(const GemmParams &p, Ring<S> &ring, float (&sum)[N]) {
  const uint32_t own = threadIdx.x / 32 * S::STRIP + threadIdx.x % 32 * 16;
  uint4 a[2][S::TILES];
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] = 0;
  for (int block = 0; block + S::DEPTH < p.blocks; block += 2 * S::DEPTH) {
    multiply_stage(ring, own, a[0], sum, block == 0);
    multiply_stage(ring, own, a[1], sum, false);
  }
  if ((p.blocks / S::DEPTH) % 2) multiply_stage(ring, own, a[0], sum, p.blocks == S::DEPTH);
  wgmma_wait<0>();
#pragma unroll
  for (int i = 0; i < N; i++) asm volatile("" : "+f"(sum[i])::"memory"); // no use of a sum moves up
  release(ring);
}

template <class S, int TOKENS>
__device__ __forceinline__ void compute_tile(const GemmParams &p, Ring<S> &ring, int rank, const Walk<S> &walk) {
  float sum[TOKENS / 2];
  int strip, group;
  multiply(p, ring, sum);
  const Part &part = walk.at(p, rank, &strip, &group);
  finish<TOKENS>(p, part, strip + threadIdx.x / 32, group * 8, sum);
}

template <class S> __device__ __forceinline__ void compute(const GemmParams &p, Ring<S> ring, int rank) {
  Walk<S> walk(p);
  for (; walk.tile < min(walk.whole, walk.tiles); walk.tile += walk.step) compute_tile<S, S::N>(p, ring, rank, walk);
  if constexpr (S::HALVES)
    if (walk.tile < walk.tiles) compute_tile<S, S::N / 2>(p, ring, rank, walk);
}

template <class S> __device__ __forceinline__ void gemm(const GemmParams &p) {
  extern __shared__ uint8_t memory[];
  Ring<S> ring;
  ring.base = (shared_address(memory) + 1023) & ~1023;
  const int rank = S::CLUSTER == 1 ? 0 : cluster_rank();
  if (threadIdx.x == 0) {
    for (int s = 0; s < S::STAGES; s++) barrier_init(ring.full(s), 1), barrier_init(ring.empty(s), S::STRIPS * S::CLUSTER);
    barrier_init_done();
  }
  if (S::CLUSTER == 1) __syncthreads();
  else cluster_sync();
  grid_wait();
  if (threadIdx.x < 128 * S::GROUPS) {
    if (S::GROUPS > 1) registers_raise<216>();
    compute(p, ring, rank);
  } else {
    if (S::GROUPS > 1) registers_lower<72>();
    const int warp = __shfl_sync(0xffffffff, threadIdx.x / 32 - 4 * S::GROUPS, 0);
    if (elected())
      for (Walk<S> walk(p); walk.tile < walk.tiles; walk.tile += walk.step) copy_tile(p, ring, warp, rank, walk);
    __syncwarp();
    grid_done(); // no more is read that a next kernel could need the room of
  }
  if (S::CLUSTER > 1) cluster_sync(); // the others may still copy into this block and arrive here
}

#define BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#define GEMM(...) { gemm<Shape<__VA_ARGS__>>(p); }
#else
#define BOUNDS(threads, blocks) __launch_bounds__(32) // gemm.go sees by this that there is no code
#define GEMM(...) {}
#endif

extern "C" {
__global__ void BOUNDS(384, 1) gemm_wgmma_128x256(const __grid_constant__ GemmParams p) GEMM(2, 256, 9, 2, 1)
__global__ void BOUNDS(384, 1) gemm_wgmma_128x128(const __grid_constant__ GemmParams p) GEMM(2, 128, 6, 2, 2)
__global__ void BOUNDS(192, 2) gemm_wgmma_64x128(const __grid_constant__ GemmParams p) GEMM(1, 128, 4, 1, 2)
__global__ void BOUNDS(192, 2) gemm_wgmma_64x64(const __grid_constant__ GemmParams p) GEMM(1, 64, 6, 1, 2)
}
