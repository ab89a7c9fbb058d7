// A row of logits whose token is to be chosen (choose.cu): as they are scaled and penalized, shared out by the blocks of
// a cluster, and what blocks find together.
#pragma once
#include "draw.cuh"

// How a row is chosen. Ids `seen` to `seen`+`count` of all that were seen are those of this row, and so is the token of row `fed`
// of the step, where that was not known yet (-1: it was).
struct ChooseRow {
  float temperature, penalty, top_p, min_p; // penalty 1: none
  int32_t top_k;                            // 0: all
  uint32_t seed[2], position[2];
  int32_t seen, count, fed;
};
struct ChooseParams {
  int32_t *dst, *host; // where the next step looks for the choices, and pinned memory
  const float *logits;
  int64_t vocab;
  const int32_t *seen, *tokens;
  int32_t blocks, pad; // of a row: they are a cluster
  ChooseRow row[64];
};

enum { THREADS = 1024, BINS = 2 * THREADS, LIST = 2 * THREADS, PIECES = 4, PIECE = 11 }; // a weight comes in pieces of so many bits, whose sums fit 32 of them

struct Room {
  union {
    uint32_t bins[PIECES][BINS];
    uint64_t list[LIST];
  };
  uint64_t sums[32], before, place, halves[2];
  double weight;
  double scores[32], best_score[2][8]; // of warps; of the row's blocks in each of two races
  int ids[32], best_id[2][8];          // of them; -1: some logit is no number
  int bin, listed;
};

// The place of the same object in another block of the cluster.
template <class T> __device__ __forceinline__ T *in_block(T *p, int rank) {
#if __CUDA_ARCH__ >= 900
  asm("mapa.u64 %0, %0, %1;" : "+l"(p) : "r"(rank));
#endif
  return p;
}

// A row, of which blocks of a cluster have so many ids each.
struct Logits {
  const ChooseParams &p;
  const int rank = blockIdx.x % p.blocks, number = blockIdx.x / p.blocks; // of the block in its row, of the row
  const ChooseRow &row = p.row[number];
  Room &room;
  uint32_t *const seen;
  const float *x = p.logits + number * p.vocab;
  const bool cold = row.temperature < COLDEST, penalized = row.penalty != 1;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  Leader top;          // the most likely one
  bool entered = false; // the row's other blocks run: what is theirs may be touched

  __device__ __forceinline__ Logits(const ChooseParams &p, Room &room) : p(p), room(room), seen((uint32_t *)(&room + 1)) {
#if __CUDA_ARCH__ >= 900
    if (p.blocks > 1) asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory");
#endif
  }

  // Waits for the row's other blocks.
  __device__ __forceinline__ void all_blocks() const {
#if __CUDA_ARCH__ >= 900
    if (p.blocks > 1) {
      asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
      return;
    }
#endif
    __syncthreads();
  }
  // Waits until they run.
  __device__ __forceinline__ void enter() {
#if __CUDA_ARCH__ >= 900
    if (p.blocks > 1 && !entered) asm volatile("barrier.cluster.wait;" ::: "memory");
#endif
    entered = true;
  }
  __device__ __forceinline__ Room &of(int block) const { return p.blocks > 1 ? *in_block(&room, block) : room; }

  // Sets a bit for each id that was seen.
  __device__ __forceinline__ void mark() {
    if (!penalized) return;
    for (int i = threadIdx.x; i < (p.vocab + 31) / 32; i += THREADS) seen[i] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < row.count + (row.fed >= 0); i += THREADS) {
      const uint32_t id = i < row.count ? p.seen[row.seen + i] : p.tokens[row.fed];
      if (id < p.vocab) atomicOr(&seen[id / 32], 1u << id % 32);
    }
    __syncthreads();
  }

  __device__ __forceinline__ float scaled(int id, float l) const {
    if (!cold) l = __fdiv_rn(l, row.temperature);
    if (!penalized || !(seen[id / 32] >> id % 32 & 1)) return l;
    return l > 0 ? fminf(__fdiv_rn(l, row.penalty), fmaxf(l, 3.4028234663852886e38f)) : __fmul_rn(l, row.penalty);
  }

  // Calls f with four ids of the block's at a time, those of one draw of random words, and their logits; -Inf beyond
  // the last. All threads call it as often.
  template <class F> __device__ __forceinline__ void each_four(F f) const {
    for (int first = rank * 4 * THREADS; first < p.vocab; first += p.blocks * 4 * THREADS) {
      const int id = first + 4 * threadIdx.x;
      float l[4];
      if (p.vocab % 4 == 0 && id < p.vocab) {
        const float4 v = *(const float4 *)(x + id);
        l[0] = v.x, l[1] = v.y, l[2] = v.z, l[3] = v.w;
      } else {
#pragma unroll
        for (int j = 0; j < 4; j++) l[j] = id + j < p.vocab ? x[id + j] : -INFINITY;
      }
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (id + j < p.vocab) l[j] = scaled(id + j, l[j]);
      f(id, l);
    }
  }
  template <class F> __device__ __forceinline__ void each(F f) const {
    each_four([&](int id, const float (&l)[4]) {
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (id + j < p.vocab) f(id + j, l[j]);
    });
  }

  static __device__ __forceinline__ Leader of_warp(Leader best) {
#pragma unroll
    for (int o = 16; o; o >>= 1) {
      const double s = __shfl_xor_sync(0xffffffff, best.score, o);
      best.meet(s, __shfl_xor_sync(0xffffffff, best.id, o));
    }
    return best;
  }

  // The leader of all threads of the row in its first or second race; its id is -1 where any thread has met a bad logit.
  __device__ __forceinline__ Leader of_row(Leader best, bool bad, int race) {
    enter();
    best = of_warp(best);
    bad = __any_sync(0xffffffff, bad);
    if (lane == 0) room.scores[warp] = best.score, room.ids[warp] = bad ? -1 : best.id;
    __syncthreads();
    if (warp == 0) {
      bad = __any_sync(0xffffffff, room.ids[lane] < 0);
      best = of_warp({room.scores[lane], room.ids[lane]});
      if (lane < p.blocks) {
        Room &other = of(lane);
        other.best_score[race][rank] = best.score, other.best_id[race][rank] = bad ? -1 : best.id;
      }
    }
    all_blocks();
    best = {-INFINITY, NONE};
    for (int b = 0; b < p.blocks; b++) bad |= room.best_id[race][b] < 0, best.meet(room.best_score[race][b], room.best_id[race][b]);
    if (bad || best.id == NONE) best.id = -1;
    return best;
  }

  // The sum of v over this thread and those before it; all becomes that of all threads.
  __device__ __forceinline__ uint64_t scan(uint64_t v, uint64_t &all) const {
#pragma unroll
    for (int o = 1; o < 32; o *= 2) {
      const uint64_t before = __shfl_up_sync(0xffffffff, v, o);
      if (lane >= o) v += before;
    }
    __syncthreads(); // the last sums have been read
    if (lane == 31) room.sums[warp] = v;
    __syncthreads();
    uint64_t before = 0;
    all = 0;
    for (int w = 0; w < 32; w++) {
      if (w == warp) before = all;
      all += room.sums[w];
    }
    return before + v;
  }

  // The most likely one is `top`, of id -1 where there is none.
  __device__ __forceinline__ void find_top() {
    Leader best = {-INFINITY, NONE};
    bool bad = false;
    each([&](int id, float l) {
      if (l != l || l == INFINITY) bad = true;
      if (l > -INFINITY) best.meet(l, id);
    });
    top = of_row(best, bad, 0);
  }
};
