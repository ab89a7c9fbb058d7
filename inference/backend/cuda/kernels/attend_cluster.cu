// The kernels of attend_ring.cu for few rows: a cluster of blocks has a part of a row, and hands the sums of its
// splits round through shared memory. The same splits, products and sums, so the same bits.
//
// Launch: a cluster of `ranks` blocks, 2, 4 or 8, for each row and part, with the shared memory of
// clusterShared in attend_cluster.go.
//
// Every block has some of the splits, and puts all of them together for some elements of each query head: what
// counts for those is sent to it as it is found (st.async), and its barrier counts the bytes.
//
// Measured as attend_decode.cu, beside attend_ring.cu in the same run, context 300 and 1024. 32 heads of 64 on 4: 1 row,
// clusters of 8, 3.7 us (6.7) and 3.7 (7.4); 8 rows, clusters of 4 and 8, 4.6 (7.3) and 5.8 (9.0); 32 rows,
// clusters of 2, 7.9 (8.9) and 14.6 (17.2). 32 heads of 128 on 8: 1 row 4.4 (6.8) and 4.6 (7.9); 8 rows, clusters of 4,
// 7.2 (8.2) and 12.4 (17.2). 32 heads of 128, one each: 1 row, clusters of 4 and 8, 5.0 (6.4) and 6.7 (8.6). At context
// 4096 a block of few clusters has eight splits one after the other: 32 heads of 64 on 4, 1 row, 11.8 (8.2).
// Where 3.7 us go, in cycles after the wait: queries 580, a tile 1700, another 1140, sums of a split 1150, what others
// send 210, putting together 800. By cluster barriers and loads from the other blocks instead of st.async, the
// last two took 3800.
//
// Tried: two or four tiles of a warp under way (0 to 0.4 us faster where blocks have a multiprocessor each, up to
// twice as slow where they share one).
#include "attend_gather.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
template <int T, int DIM, int COUNT> struct DecodeCluster : DecodeGather<T, DIM, COUNT> {
  typedef DecodeGather<T, DIM, COUNT> Gather;
  using Gather::p, Gather::cut, Gather::warp, Gather::g, Gather::count, Gather::split, Gather::pairs, Gather::shift;
  using Gather::open, Gather::fill, Gather::take, Gather::merge, Gather::peak_at, Gather::sum_at;

  const int rank = blockIdx.x % p.ranks;
  uint64_t *const come; // counts what this block is sent

  __device__ __forceinline__ DecodeCluster(const DecodeParams &p, uint8_t *memory)
      : Gather(p, memory, memory + Gather::BYTES + 16, p.ranks), come((uint64_t *)(memory + Gather::BYTES)) {}

  // This block's share, which may be no split: the row and part are its all the same.
  __device__ __forceinline__ int begin() { return p.share ? Gather::read_share(true) : Gather::find_share_of(blockIdx.x / p.ranks, rank); }

  // Hands the sums of a split to the blocks that put them together.
  struct Sent {
    const DecodeCluster &of;
    __device__ __forceinline__ void put(const float2 *at, int rank, float2 v) const {
      store_told(address_in(shared_address(at), rank), v, address_in(shared_address(of.come), rank));
    }
    __device__ __forceinline__ void pair(int query, int d, float2 y) const {
      put(of.sum_at(of.split, query, d / 2 & of.pairs - 1), d / 2 >> of.shift, y);
    }
    __device__ __forceinline__ void peak(int query, float2 v) const {
      if (of.warp == 0 && of.g < of.p.ranks) put(of.peak_at(of.split, query), of.g, v);
    }
  };

  __device__ __forceinline__ void run() {
    const int splits = begin();
    if (threadIdx.x == 0) {
      barrier_init(come, 1);
      barrier_init_done();
      barrier_expect(shared_address(come), 8 * cut.splits * count * (pairs + 1));
    }
    asm volatile("barrier.cluster.arrive.release;" ::: "memory");
    if (splits > 0) open(splits);
    else wait_for_earlier();
    let_next_begin();
    fill();
    asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); // all have begun: their memory is there
    if (splits > 0) take(splits, Sent{*this});
    if (cut.splits == 1) return;
    barrier_wait(come, 0);
    merge(rank, warp, WARPS);
  }
};

#define CLUSTER(T, DIM, COUNT, BLOCKS) \
  extern "C" __global__ void __launch_bounds__(128, BLOCKS) attend_cluster_##T##_##DIM##_##COUNT(const __grid_constant__ DecodeParams p) { \
    extern __shared__ __align__(128) uint8_t memory[]; \
    DecodeCluster<T, DIM, COUNT>(p, memory).run(); \
  }
#define CLUSTERS(T) CLUSTER(T, 128, 1, 3) CLUSTER(T, 128, 4, 3) CLUSTER(T, 128, 8, 3) CLUSTER(T, 64, 1, 4) CLUSTER(T, 64, 4, 4) CLUSTER(T, 64, 8, 4)
CLUSTERS(F16) CLUSTERS(BF16)
#endif
