// The choice of a token, as package sample has it: temperature, penalty of what was seen, top-k, top-p, min-p, then the
// largest of x + gumbel(id) of what is kept, the lowest id on ties. -1 where a logit is NaN or +Inf, or none is above -Inf.
//
// What top-k and top-p keep is what comes, in the order of likelihood, before a place where a count or a sum of
// weights is reached. It is found without sorting: a histogram by the distance from the largest logit
// says between which distances the place lies, and only the ids there are sorted. Weights are integers, so their sums
// do not depend on the order.
//
// Blocks of a cluster share out the ids of a row; what they find comes together in the shared memory of the first, or
// of each.
//
// Grid: a cluster for each row, of blocks of 1024; shared memory: Room, and a bit for each id where a row is penalized.
//
// Measured on an H200, a step of nothing else, of which launch, copy and wait are some 20 us: 32000 ids, 1 and 8 rows,
// greedy 25 us, drawn from all 33, top-p 0.9 57 to 68, with top-k 50 75, with a penalty of 500 ids, too, 80; 128256 ids 24, 41, 84 to 117,
// 108 and 123. By one block a row 25, 50, 115 to 142, 135, 156 and 41, 107, 348 to 425, 390, 435. Sums pulled by all blocks from each
// other, instead of by the first alone: top-p 79.
#include "choose_cut.cuh"

struct Choice : Cuts {
  using Cuts::Cuts;

  // The largest of x + gumbel(id) of those that come at `last` or before it and are not below floor.
  __device__ __forceinline__ Leader race(uint64_t last, double floor) {
    Leader best = {-INFINITY, NONE};
    bool bad = false;
    double bar = -INFINITY; // the best of the warp: who cannot reach it needs no logarithm
    each_four([&](int id, const float (&l)[4]) {
      float most = -INFINITY;
      bool in[4];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        if (l[j] != l[j] || l[j] == INFINITY) bad = true;
        in[j] = l[j] > -INFINITY && l[j] >= floor && order(l[j], id + j) >= last;
        if (in[j]) most = fmaxf(most, l[j]);
      }
      if (most > -INFINITY && most + 33 * 0.6931471805599454 >= bar) {
        const uint4 words = philox(id / 4, row.seed, row.position);
        const uint32_t w[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
        for (int j = 0; j < 4; j++)
          if (in[j] && l[j] + bound(w[j]) >= fmax(bar, best.score)) best.meet(__dadd_rn((double)l[j], gumbel(w[j])), id + j);
      }
      bar = best.score;
#pragma unroll
      for (int o = 16; o; o >>= 1) bar = fmax(bar, __shfl_xor_sync(0xffffffff, bar, o));
    });
    return of_row(best, bad, 1);
  }

  // The id that is chosen, or -1.
  __device__ __forceinline__ int choose() {
    mark();
    const bool few = row.top_k > 0 && row.top_k < p.vocab;
    uint64_t last = 0;
    double floor = -INFINITY;
    if (cold || few || row.top_p < 1 || row.min_p > 0) {
      find_top();
      if (cold || top.id < 0) return top.id;
      if (row.min_p > 0) floor = __dadd_rn(top.score, ln(row.min_p));
    }
    if (few) last = cut({false, (uint64_t)row.top_k, 0}, 0, last);
    if (row.top_p < 1) last = cut({true, 0, 0}, row.top_p, last);
    return race(last, floor).id;
  }
};

static_assert(sizeof(Room) == 33648, "chooseRoom in choose.go");

extern "C" __global__ void __launch_bounds__(THREADS) choose(const __grid_constant__ ChooseParams p) {
  extern __shared__ __align__(16) uint8_t memory[];
  wait_for_previous();
  Choice choice(p, *(Room *)memory);
  const int id = choice.choose();
  if (choice.rank == 0 && threadIdx.x == 0) p.dst[choice.number] = p.host[choice.number] = id;
  choice.all_blocks(); // others read what is here
}
