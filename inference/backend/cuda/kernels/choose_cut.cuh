// What top-k and top-p keep of a row (choose.cu).
#pragma once
#include "choose_logits.cuh"

// Where to cut: what comes before has so many ids, or this weight.
struct Goal {
  bool weights;
  uint64_t count;
  double weight;
  __device__ __forceinline__ bool reached(uint64_t sum) const { return sum && (weights ? (double)sum >= weight : sum >= count); }
};

// What they keep is what comes at a place or before it, in the order of likelihood. Nothing is sorted but what is as far
// from the most likely one as that place.
struct Cuts : Logits {
  using Logits::Logits;

  __device__ __forceinline__ int bin_of(float l) const {
    const float distance = (float)top.score - l;
    return distance < 32 ? (int)(distance * 64) : BINS - 1;
  }
  __device__ __forceinline__ uint64_t value(const Goal &goal, float l) const { return goal.weights ? weight(__dsub_rn(l, top.score)) : 1; }

  // The last of those that come at `from` or before it and are kept, in the order of likelihood, for a goal that they reach. A
  // goal of weights is this share of theirs.
  __device__ uint64_t cut(Goal goal, float share, uint64_t from) {
    for (int i = threadIdx.x; i < PIECES * BINS; i += THREADS) room.bins[0][i] = 0;
    __syncthreads();
    each([&](int id, float l) {
      if (order(l, id) < from) return;
      const uint64_t v = value(goal, l);
#pragma unroll
      for (int i = 0; i < PIECES; i++) {
        const uint32_t piece = (uint32_t)(v >> PIECE * i) & ((1 << PIECE) - 1);
        if (piece) atomicAdd(&room.bins[i][bin_of(l)], piece);
      }
    });
    __syncthreads();
    uint64_t own[2] = {};
#pragma unroll
    for (int j = 0; j < 2; j++)
      for (int i = 0; i < PIECES; i++) own[j] += (uint64_t)room.bins[i][2 * threadIdx.x + j] << PIECE * i;
    __syncthreads();
    room.list[2 * threadIdx.x] = own[0], room.list[2 * threadIdx.x + 1] = own[1];
    all_blocks();
    if (rank == 0) find_bin(goal, share);
    all_blocks();
    goal.weight = room.weight;
    return within(goal, from);
  }

  // Tells all blocks the bin in which their sums reach the goal, and what the bins before have reached.
  __device__ __forceinline__ void find_bin(Goal goal, float share) {
    uint64_t own[2] = {}, all;
    for (int b = 0; b < p.blocks; b++) {
      const ulonglong2 two = *(const ulonglong2 *)&of(b).list[2 * threadIdx.x];
      own[0] += two.x, own[1] += two.y;
    }
    const uint64_t sum = scan(own[0] + own[1], all), half = sum - own[1], before = half - own[0];
    goal.weight = __dmul_rn(share, (double)all);
    room.listed = 0;
    if (goal.reached(before) || !goal.reached(sum)) return;
    const bool first = goal.reached(half);
    for (int b = 0; b < p.blocks; b++) {
      Room &other = of(b);
      other.bin = 2 * threadIdx.x + !first, other.before = first ? before : half, other.weight = goal.weight;
    }
  }

  // The same among those of the bin that was found.
  __device__ __forceinline__ uint64_t within(const Goal &goal, uint64_t from) {
    const int bin = room.bin;
    Room &first = of(0);
    each([&](int id, float l) {
      const uint64_t place = order(l, id);
      if (place < from || bin_of(l) != bin) return;
      const int i = atomicAdd(&first.listed, 1);
      if (i < LIST) first.list[i] = place;
    });
    all_blocks();
    const int n = first.listed;
    if (n > LIST) return bisected(goal, bin, from);
    if (rank == 0) sorted(goal, n);
    all_blocks();
    return room.place;
  }

  // The logit that a place in the order has.
  static __device__ __forceinline__ float logit(uint64_t place) {
    const uint32_t key = (uint32_t)(place >> 32);
    return __uint_as_float(key & 0x80000000 ? key ^ 0x80000000 : ~key);
  }

  // Sorts the n places in the list, the first of the order first, adds up, and tells all blocks the place.
  __device__ __forceinline__ void sorted(const Goal &goal, int n) {
    int size = 2;
    while (size < n) size *= 2;
    for (int i = n + threadIdx.x; i < size; i += THREADS) room.list[i] = 0;
    __syncthreads();
    for (int run = 2; run <= size; run *= 2)
      for (int step = run / 2; step; step /= 2) {
        const int i = 2 * threadIdx.x - (threadIdx.x & (step - 1)), j = i + step;
        if (j < size) {
          const uint64_t a = room.list[i], b = room.list[j];
          if ((a < b) == !(i & run)) room.list[i] = b, room.list[j] = a;
        }
        __syncthreads();
      }
    uint64_t own[2] = {}, all;
    const int at = 2 * threadIdx.x;
    for (int j = 0; j < 2; j++)
      if (at + j < n) own[j] = value(goal, logit(room.list[at + j]));
    const uint64_t sum = room.before + scan(own[0] + own[1], all), half = sum - own[1];
    if (!goal.reached(half - own[0]) && goal.reached(sum))
      for (int b = 0; b < p.blocks; b++) of(b).place = room.list[at + !goal.reached(half)];
  }

  // The same for more places than the list has room for, which are much alike: bit by bit.
  __device__ __noinline__ uint64_t bisected(const Goal &goal, int bin, uint64_t from) {
    uint64_t place = 0;
    int turn = 0;
    for (uint64_t bit = 1ull << 63; bit; bit >>= 1, turn ^= 1) {
      uint64_t sum = 0, all;
      each([&](int id, float l) {
        const uint64_t at = order(l, id);
        if (at >= from && at >= (place | bit) && bin_of(l) == bin) sum += value(goal, l);
      });
      scan(sum, all);
      if (threadIdx.x == 0) room.halves[turn] = all;
      all_blocks();
      all = room.before;
      for (int b = 0; b < p.blocks; b++) all += of(b).halves[turn];
      if (goal.reached(all)) place |= bit;
    }
    all_blocks(); // before the list becomes bins again
    return place;
  }
};
