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
  int32_t *dst;
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

// Where to cut: what comes before has so many ids, or this weight.
struct Goal {
  bool weights;
  uint64_t count;
  double weight;
  __device__ __forceinline__ bool reached(uint64_t sum) const { return sum && (weights ? (double)sum >= weight : sum >= count); }
};

struct Choice {
  const ChooseParams &p;
  const int rank = blockIdx.x % p.blocks, number = blockIdx.x / p.blocks; // of the block in its row, of the row
  const ChooseRow &row = p.row[number];
  Room &room;
  uint32_t *const seen;
  const float *x = p.logits + number * p.vocab;
  const bool cold = row.temperature < COLDEST, penalized = row.penalty != 1;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  Leader top; // the most likely one

  __device__ __forceinline__ Choice(const ChooseParams &p, Room &room) : p(p), room(room), seen((uint32_t *)(&room + 1)) {}

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
  __device__ __forceinline__ Room &of(int rank) const { return p.blocks > 1 ? *in_block(&room, rank) : room; }

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
  __device__ __forceinline__ Leader of_row(Leader best, bool bad, int race) const {
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

  // The largest of x + gumbel(id) of those that come at `last` or before it and are not below floor.
  __device__ __forceinline__ Leader race(uint64_t last, double floor) const {
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

static_assert(sizeof(Room) == 33648, "chooseRoom in choose.go");

extern "C" __global__ void __launch_bounds__(THREADS) choose(const __grid_constant__ ChooseParams p) {
  extern __shared__ __align__(16) uint8_t memory[];
  wait_for_previous();
  Choice choice(p, *(Room *)memory);
  const int id = choice.choose();
  if (choice.rank == 0 && threadIdx.x == 0) p.dst[choice.number] = id;
  choice.all_blocks(); // others read what is here
}
