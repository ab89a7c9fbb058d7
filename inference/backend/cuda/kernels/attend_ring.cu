// The kernels of attend_decode.cu on Hopper: keys and values pass through shared memory, filled by bulk
// copies. The same splits, products and sums, so the same bits.
//
// Launch: as attend_decode.cu, with the blocks and shared memory of ringShape in attend_ring.go. COUNT bounds
// the query heads of a key head.
//
// Each warp has room for one tile. It takes the keys to registers, and at once has those of the next
// tile copied there, be it of another split, head or row; then the values. So memory goes on while sums
// of a part are put together, counted and merged. Nobody else fills or reads that room, so there is no
// barrier for when it is free. No more than what is in sight of a tile is copied. Values of positions
// out of sight are read as those of the nearest in sight, for what lies there is another tile's, or
// nobody's.
//
// Rows of a tile lie 2·DIM bytes apart, in the same banks. Of a key's pieces of 16 bytes, half of the
// lanes take the second of two first, so that they come without a conflict; a value's come with four lanes
// a bank.
//
// Measured as attend_decode.cu, overlapping, with three blocks a multiprocessor: 32 heads of 128, one each, context 300, 8 and 32 rows 13.5 and 41.2 us
// (3.8 TB/s); context 4096, 130 and 484 us (4.44 TB/s). 32 heads of 128 on 8: 8.0 and 15.5; 40.7 and 137. Where there are
// fewer blocks' worth of them, attend_cluster.cu is faster.
//
// Tried: two tiles of a warp under way (49.7 us where one had 45.8, not overlapping), six of four warps alone
// (78 us). With one query head of a key head four blocks a multiprocessor instead of three: steps of Llama-2-7B with 32 rows
// 0.4 % faster, with 8 rows the same. Shares that end where parts do, so that no part's sums meet in memory: 16 rows 0.9 % faster, 32 as
// fast, 24 1.2 % slower, for there is less to share out. L2 asked for the second tile of each warp before the kernel in front has
// ended: as fast.
#include "attend_ring.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define RING(T, DIM, COUNT, BLOCKS) \
  extern "C" __global__ void __launch_bounds__(128, BLOCKS) attend_ring_##T##_##DIM##_##COUNT(const __grid_constant__ DecodeParams p) { \
    extern __shared__ __align__(128) uint8_t memory[]; \
    DecodeRing<T, DIM, COUNT>(p, memory).run(); \
  }
#define RINGS(T) RING(T, 128, 1, 4) RING(T, 128, 4, 3) RING(T, 128, 8, 3) RING(T, 64, 1, 4) RING(T, 64, 4, 4) RING(T, 64, 8, 4)
RINGS(F16) RINGS(BF16)
#endif
