// Projections of 2 to 32 decode rows with bf16 weights in fragment order: the weights are
// streamed once, whatever the number of rows, and the activations beside them. Results
// have the bits of project.cu: 16 warps own a slice of k each, in the same order.
//
// A block owns a contiguous range of strips and goes over k for STRIPS of them at a time, with
// their sums in registers. Weights come through a ring in shared memory, from before the
// kernel in front has ended; activations, in operand order (stream_pack.cu), through
// another, once each time.
//
// Measured on an H200 that reads 4.5 TB/s, Llama-2-7B shape, the four projections of a layer one
// after the other: 106 us for 8 rows and 119 for 32, 3.8 and 3.4 TB/s of weights. By itself, with a
// stream_pack each: qkv 28.9 and 32.6, gate and up 46.7 and 52.4, down 29.0 and 30.2, o 11.4 and
// 14.7. What is lost: some 3 us between the end of the kernel in front and the first activations,
// and 6 to 11 us from the first block's end to the last one's. 32 rows read four times 256 KB of
// activations a block beside 1.4 MB of weights. With three stages of weights under way instead of
// four, steps of 32 rows are 0.5 to 2 % faster, of 8 rows 2 % slower; with six 2 % slower at 32.
//
// Tried: clusters of two whose blocks fetch activations for each other: 1 to 3 % slower.
// Clusters of 2, 4 or 8 that share out k as those of quant_cluster.cu do, with the activations of all
// rows in shared memory: steps of Llama-2-7B 3 to 10 % slower for 8 and 32 rows, TinyLlama 11 to 21 %.
// L2 asked for the stages behind a full ring while the kernel in front ends: 7B the same for 8 rows, for 32
// 0 to 1.5 % faster; for the first stages of the projection behind, where there is nothing left to fetch: 7B the
// same or slower, TinyLlama 1 to 3 % faster. So what memory does meanwhile is not what is waited for.
// Strips by ticket as in project.cu, told to the consumers turn by turn: 3 to 6 % slower.
// Four strips of 32 rows at a time (5 % slower: registers spill); a ring of activations with three
// places and six of weights (2.5 % slower).
// All of a step in one launch, whose blocks wait for each other by counters in memory while the
// ring is filled with the weights to come: projections 98, 103 and 121 us a layer for 1, 8 and
// 32 rows. While memory is busy a fence takes 2 us and the other blocks' news one or two more,
// which the ring's 5.6 us just cover; but attention in there, with no more than 96 registers,
// took 27 and 87 us where its own kernel took 16 and 51.
// Chains of 2 to 8 rows (chain.cuh; words without a name, in two sets that launches use in turn): steps
// of Llama-2-7B as fast as these kernels, Llama-3-8B 0.7 and TinyLlama 2 % faster. With attention as
// their first part, its 16 warps four teams: 1 to 10 % slower, for it took 12 to 16 us.
#include "hopper.cuh"
#include "ring.cuh"
#include "stream.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
template <class S> struct StreamRoom {
  uint64_t full[S::SLOTS], empty[S::SLOTS], full_x[S::SLOTS_X], empty_x[S::SLOTS_X];
  Place places[MOST_ROWS];
  float factors[MOST_ROWS];
};

// Where one is in a ring.
template <int N> struct Turn {
  int slot = 0;
  uint32_t parity = 0;
  __device__ __forceinline__ void next() {
    if (++slot == N) slot = 0, parity ^= 1;
  }
};

// A block's strips, R or fewer at a time: as many times in each block.
struct Strips {
  int first, n, turns;
  __device__ __forceinline__ int begin(int turn) const { return first + n * turn / turns; }
};

template <class S> __device__ __forceinline__ Strips strips_of(const ProjectParams &p) {
  const int first = (int)((int64_t)p.strips * blockIdx.x / gridDim.x), end = (int)((int64_t)p.strips * (blockIdx.x + 1) / gridDim.x);
  const int most = (p.strips + gridDim.x - 1) / gridDim.x;
  return {first, end - first, (most + S::STRIPS - 1) / S::STRIPS};
}

template <class S> __device__ __forceinline__ void fetch_weights(const StreamParams &q, StreamRoom<S> &room, const Strips &mine, unsigned char *ring) {
  const uint64_t policy = evict_first();
  Turn<S::SLOTS> at, landed;
  int fetched = 0;
  for (int turn = 0; turn < mine.turns; turn++) {
    const int begin = mine.begin(turn), end = mine.begin(turn + 1);
    for (int c = 0; c < q.chunks; c++)
      for (int s = begin; s < end; s++, at.next()) {
        barrier_wait(&room.empty[at.slot], at.parity ^ 1); // passes at once the first time round
        if (++fetched > S::FLIGHT) barrier_wait(&room.full[landed.slot], landed.parity), landed.next();
        fetch(ring + at.slot * STAGE, (const uint8_t *)strip_at(q.p, s) + (int64_t)c * STAGE, STAGE, &room.full[at.slot], policy);
      }
  }
  let_next_start();
}

template <class S> __device__ __forceinline__ void fetch_activations(const StreamParams &q, StreamRoom<S> &room, const Strips &mine, uint32_t ring) {
  const uint8_t *x = (const uint8_t *)q.p.x + (int64_t)(q.p.k0 / CHUNK) * S::BYTES_X;
  Turn<S::SLOTS_X> at;
  for (int turn = 0; turn < mine.turns; turn++)
    for (int c = 0; c < q.chunks; c++, at.next()) {
      const uint32_t full = shared_address(&room.full_x[at.slot]);
      barrier_wait(shared_address(&room.empty_x[at.slot]), at.parity ^ 1);
      barrier_expect(full, S::BYTES_X);
      bulk_copy(ring + at.slot * S::BYTES_X, x + (int64_t)c * S::BYTES_X, S::BYTES_X, full);
    }
}

// The fragments of both of the warp's tiles, of 8 rows: operands of mma.
__device__ __forceinline__ uint4 load_fragments(uint32_t at) {
  uint4 v;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(at) : "memory");
  return v;
}

// What the consumers of a block share.
template <class S> struct Consumer {
  StreamRoom<S> &room;
  uint32_t ring, ring_x;
  int arrive; // lanes that arrive for a warp
  Turn<S::SLOTS> at;
  Turn<S::SLOTS_X> at_x;

  __device__ __forceinline__ void take_activations(uint4 (&b)[S::GROUPS]) {
    const int lane = threadIdx.x & 31, w = threadIdx.x >> 5, row = lane & 7, chunk = lane >> 3;
    barrier_wait(shared_address(&room.full_x[at_x.slot]), at_x.parity);
    const uint32_t from = ring_x + at_x.slot * S::BYTES_X + w * S::GROUPS * 512 + row * 64 + (chunk ^ row / 2) * 16;
#pragma unroll
    for (int n = 0; n < S::GROUPS; n++) b[n] = load_fragments(from + n * 512);
    uint32_t loaded = 0;
#pragma unroll
    for (int n = 0; n < S::GROUPS; n++) loaded |= b[n].x;
    __syncwarp();
    if (lane < arrive) barrier_arrive(shared_address(&room.empty_x[at_x.slot]) + once_loaded(loaded));
    at_x.next();
  }

  // sums += the warp's two tiles of a strip times its activations.
  __device__ __forceinline__ void multiply(float (&sums)[S::GROUPS][4], const uint4 (&b)[S::GROUPS]) {
    const int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
    barrier_wait(shared_address(&room.full[at.slot]), at.parity);
    const uint32_t from = ring + at.slot * STAGE + (w * PER * 32 + lane) * 16;
    const uint4 first = load_shared(from), second = load_shared(from + 512);
#pragma unroll
    for (int n = 0; n < S::GROUPS; n++) mma(sums[n], first, b[n].x, b[n].y);
#pragma unroll
    for (int n = 0; n < S::GROUPS; n++) mma(sums[n], second, b[n].z, b[n].w);
    __syncwarp();
    if (lane < arrive) barrier_arrive(shared_address(&room.empty[at.slot]) + once_loaded(first.x | second.x));
    at.next();
  }
};

// The warps' sums of a strip go into a table, [group][warp][lane].
template <class S> __device__ __forceinline__ void tabulate(float4 *table, const float (&sums)[S::GROUPS][4]) {
#pragma unroll
  for (int n = 0; n < S::GROUPS; n++) table[n * WARPS * 32 + threadIdx.x] = make_float4(sums[n][0], sums[n][1], sums[n][2], sums[n][3]);
}

// The sum over the warps, in their order, of a group of 8 rows.
__device__ __forceinline__ float4 total(const float4 *table, int group) {
  table += group * WARPS * 32 + (threadIdx.x & 31);
  float4 a = table[0];
#pragma unroll
  for (int i = 1; i < WARPS; i++) {
    const float4 b = table[i * 32];
    a.x += b.x, a.y += b.y, a.z += b.z, a.w += b.w;
  }
  return a;
}

template <class S> __device__ __forceinline__ void finish_group(const StreamParams &q, const StreamRoom<S> &room, const Meeting &e, int group, float4 a) {
  const int m = 8 * group + 2 * (threadIdx.x & 3);
  float square[2] = {};
  if (m < q.p.m) square[0] = finish<true>(q.p, room.places, e, 0, m, a.x * room.factors[m], a.z * room.factors[m]);
  if (m + 1 < q.p.m) square[1] = finish<true>(q.p, room.places, e, 1, m + 1, a.y * room.factors[m + 1], a.w * room.factors[m + 1]);
  if (q.p.left.dst) leave_squares(q.p, e, m, square[0], square[1]);
}

// What becomes of the sums of n strips: one after the other, through room for one, each
// with a warp for every 8 rows, while the ring goes on filling up.
template <class S> __device__ __forceinline__ void close(const StreamParams &q, const StreamRoom<S> &room, float4 *table, int first, int n, const float (&sums)[S::STRIPS][S::GROUPS][4]) {
  for (int strip = 0; strip < n; strip++) {
#pragma unroll
    for (int r = 0; r < S::STRIPS; r++)
      if (r == strip) tabulate<S>(table, sums[r]);
    const int group = ((threadIdx.x >> 5) - strip * S::GROUPS) & (WARPS - 1);
    const bool mine = group < S::GROUPS;
    Meeting e;
    float4 a;
    if (mine) e = meet<true>(q.p, room.places, first + strip, 8 * group);
    all_warps();
    if (mine) a = total(table, group);
    all_warps();
    if (mine) finish_group<S>(q, room, e, group, a);
  }
}

// The same of the last strips, all at once: the ring is free then. What they meet was loaded
// before they were multiplied.
template <class S> __device__ __forceinline__ void close_last(const StreamParams &q, const StreamRoom<S> &room, float4 *ring, const Meeting &e, int n, const float (&sums)[S::STRIPS][S::GROUPS][4]) {
  static_assert(S::STRIPS * S::GROUPS <= WARPS && S::STRIPS * S::GROUPS * WARPS * 512 <= S::SLOTS * STAGE, "");
  const int w = threadIdx.x >> 5, strip = w / S::GROUPS, group = w % S::GROUPS;
  all_warps();
#pragma unroll
  for (int r = 0; r < S::STRIPS; r++)
    if (r < n) tabulate<S>(ring + r * S::GROUPS * WARPS * 32, sums[r]);
  all_warps();
  if (strip < n) finish_group<S>(q, room, e, group, total(ring + strip * S::GROUPS * WARPS * 32, group));
}

// Zeros behind a result in operand order, for the product that reads it.
__device__ __forceinline__ void fill_up(const StreamParams &q) {
  if (blockIdx.x != 0) return;
  if (q.p.epilogue == SWIGLU && q.p.packed_dst == OPERAND)
    for (int k = q.p.part[0].span + threadIdx.x; k < q.end; k += WARPS * 32)
      for (int m = 0; m < q.p.m; m++) *(uint16_t *)((uint8_t *)q.p.dst + packed_at(q.p.ldd, m / 8, m % 8, k)) = 0;
  if (q.p.left.dst)
    for (int k = q.p.part[0].rows + threadIdx.x; k < q.p.left.end; k += WARPS * 32)
      for (int m = 0; m < q.p.m; m++) leave(q.p.left, m, k, 0);
}


// The norm's factors of up to 8 rows are found by two warps while the others multiply; of more
// rows by all, who have their loads under way at once.
enum { FACTOR_WARPS = 2 };
__device__ __forceinline__ void factors_found() { asm volatile("bar.arrive 2, 576;" ::: "memory"); }
__device__ __forceinline__ void wait_for_factors() { asm volatile("bar.sync 2, 576;" ::: "memory"); }

template <class S> __device__ __forceinline__ void consume(const StreamParams &q, StreamRoom<S> &room, const Strips &mine, unsigned char *ring) {
  wait_for_previous();
  find_rows(q.p, room.places);
  if (!q.p.squares && threadIdx.x < q.p.m) room.factors[threadIdx.x] = 1;
  if (S::GROUPS > 1 && q.p.squares) find_factors<WARPS, 1>(q.p, room.factors, threadIdx.x >> 5);
  fill_up(q);
  all_warps();
  float4 *table = (float4 *)(ring + S::SLOTS * STAGE + S::SLOTS_X * S::BYTES_X);
  Consumer<S> c = {room, shared_address(ring), shared_address(ring) + S::SLOTS * STAGE, q.p.arrive};
  for (int turn = 0; turn < mine.turns; turn++) {
    const int first = mine.begin(turn), n = mine.begin(turn + 1) - first;
    const bool last = turn + 1 == mine.turns;
    Meeting e;
    if (last && (int)(threadIdx.x >> 5) / S::GROUPS < n) e = meet<true>(q.p, room.places, first + (threadIdx.x >> 5) / S::GROUPS, (threadIdx.x >> 5) % S::GROUPS * 8);
    float sums[S::STRIPS][S::GROUPS][4] = {};
    for (int i = 0; i < q.chunks; i++) {
      uint4 b[S::GROUPS];
      c.take_activations(b);
#pragma unroll
      for (int r = 0; r < S::STRIPS; r++)
        if (r < n) c.multiply(sums[r], b);
    }
    if (S::GROUPS == 1 && turn == 0 && q.p.squares) wait_for_factors();
    if (!last) close<S>(q, room, table, first, n, sums);
    else close_last<S>(q, room, (float4 *)ring, e, n, sums);
  }
}

template <class S> __device__ __forceinline__ void stream(const StreamParams &q) {
  extern __shared__ __align__(1024) unsigned char ring[];
  __shared__ StreamRoom<S> room;
  const int w = threadIdx.x >> 5;
  const Strips mine = strips_of<S>(q.p);
  if (threadIdx.x == 0) {
    for (int i = 0; i < S::SLOTS; i++) barrier_init(shared_address(&room.full[i]), 1), barrier_init(shared_address(&room.empty[i]), WARPS * q.p.arrive);
    for (int i = 0; i < S::SLOTS_X; i++) barrier_init(shared_address(&room.full_x[i]), 1), barrier_init(shared_address(&room.empty_x[i]), WARPS * q.p.arrive);
    barrier_init_done();
  }
  __syncthreads();
  if (w < WARPS) { // 640 threads have 96 registers each; together no more after this
    registers_raise<112>();
    consume<S>(q, room, mine, ring);
    return;
  }
  registers_lower<32>();
  if (w == WARPS && elected()) {
    fetch_weights<S>(q, room, mine, ring);
  } else if (w == WARPS + 1 && elected()) {
    wait_for_previous();
    fetch_activations<S>(q, room, mine, shared_address(ring) + S::SLOTS * STAGE);
  } else if (S::GROUPS == 1 && w > WARPS + 1 && q.p.squares) {
    wait_for_previous();
    find_factors<FACTOR_WARPS, 4>(q.p, room.factors, w - WARPS - 2);
    factors_found();
  }
}
#define BOUNDS __launch_bounds__(640, 1)
#else
template <class S> __device__ __forceinline__ void stream(const StreamParams &) {}
#define BOUNDS __launch_bounds__(32) // stream.go sees by this that there is no code
#endif

// Grid: a block a multiprocessor, 640 threads, the bytes of shared memory of stream.go.
#define STREAM(GROUPS, STRIPS, SLOTS, SLOTS_X) \
  extern "C" __global__ void BOUNDS stream_##GROUPS(const __grid_constant__ StreamParams q) { stream<StreamShape<GROUPS, STRIPS, SLOTS, SLOTS_X>>(q); }
STREAM(1, 11, 11, 4) STREAM(2, 6, 10, 3) STREAM(3, 4, 8, 3) STREAM(4, 3, 8, 2)
