// What the blocks of a cluster share out (quant_cluster.cu), and how it comes to them.
#pragma once
#include "hopper.cuh"
#include "project_finish.cuh"
#include "quant_multiply.cuh"
#include "quant_part.cuh"
#include "quant_rows.cuh"

struct ClusterParams {
  QuantParams q;                 // blocks of its runs are clusters; x_bytes of a block
  const unsigned char *taken[4]; // activations of each run (quant_rows.cuh)
  const float *squares;          // of them [slice][32 rows], where there is a norm
  int32_t cluster, pad;          // blocks of a cluster
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
enum { MOST_STAGES = 12, MOST_BLOCKS = 8, FINISHERS = 3 };

struct ClusterRoom {
  Place places[MOST_ROWS];
  // taken: activations of a chain; summed: a strip of this block; free[b]: block b has read the sums of its strip.
  uint64_t full[MOST_STAGES], empty[MOST_STAGES], taken[4], summed, free[MOST_BLOCKS];
};

// What a block is in its cluster, and what the cluster has to do.
struct Job {
  int rank, blocks, s0, n; // strips s0 to s0+n-1, `blocks` of them at a time
  int stages;

  __device__ __forceinline__ int slices() const { return WARPS / blocks; }
  __device__ __forceinline__ int turns() const { return (n + blocks - 1) / blocks; }
  __device__ __forceinline__ int present(int turn) const { return min(blocks, n - turn * blocks); }
};

// Fetches the activations of a block's slices, in the order in which they are multiplied, with a lane for each chunk.
template <class Q, int GROUPS> __device__ __forceinline__ void fetch_rows(const ClusterParams &c, const unsigned char *from, ClusterRoom &room, unsigned char *to, const Job &job) {
  typedef RowBytes<Q> B;
  constexpr int PERIOD = Period<Q>::PERIOD, ROWS = 8 * GROUPS;
  const int lane = threadIdx.x & 31, chunks = c.q.chunks, slices = job.slices(), first = job.rank * slices;
  const uint32_t at = shared_address(to);
  for (int phase = 0; phase < PERIOD; phase++) {
    const uint32_t taken = shared_address(&room.taken[phase]);
    if (lane == 0) barrier_expect(taken, (chunks - phase + PERIOD - 1) / PERIOD * slices * ROWS * (B::X + B::SCALES + B::COMMON));
    __syncwarp();
    for (int i = phase + lane * PERIOD; i < chunks; i += 32 * PERIOD) {
      const int mine = i * slices * ROWS, all = (i * WARPS + first) * ROWS;
      bulk_copy(at + mine * B::X, from + all * B::X, slices * ROWS * B::X, taken);
      bulk_copy(at + chunks * slices * ROWS * B::X + mine * B::SCALES, from + chunks * WARPS * ROWS * B::X + all * B::SCALES, slices * ROWS * B::SCALES, taken);
      if (B::COMMON)
        bulk_copy(at + chunks * slices * ROWS * (B::X + B::SCALES) + mine * B::COMMON, from + chunks * WARPS * ROWS * (B::X + B::SCALES) + all * B::COMMON,
                  slices * ROWS * B::COMMON, taken);
    }
  }
}

// Fetches a block's parts of the cluster's strips, with a lane for each piece.
template <class Q> __device__ __forceinline__ void fetch_parts(const QuantParams &q, ClusterRoom &room, unsigned char *ring, const Job &job) {
  typedef Portion<Q> P;
  const int lane = threadIdx.x & 31, bytes = P::bytes(job.blocks), pieces = P::pieces(job.blocks), i = lane / pieces;
  const Piece piece = P::piece(lane % pieces, job.rank, job.blocks);
  const uint64_t policy = evict_first();
  Cursor at = {0, 0};
  for (int turn = 0; turn < job.turns(); turn++) {
    const int present = job.present(turn);
    const unsigned char *from = record_at(q, job.s0 + turn * job.blocks + min(i, present - 1), Q::BYTES) + piece.from;
    for (int phase = 0; phase < Period<Q>::PERIOD; phase++)
      for (int c = phase; c < q.chunks; c += Period<Q>::PERIOD, at.next(job.stages)) {
        barrier_wait(shared_address(&room.empty[at.stage]), at.parity ^ 1); // passes at once the first time round
        const uint32_t full = shared_address(&room.full[at.stage]);
        if (lane == 0) barrier_expect(full, present * bytes);
        __syncwarp();
        if (i < present) copy_by(shared_address(ring) + (at.stage * job.blocks + i) * bytes + piece.to, from + (int64_t)c * Q::BYTES, piece.bytes, full, policy);
      }
  }
  let_next_start();
}
#endif
