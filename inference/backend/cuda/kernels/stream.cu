// Projections of 2 to 32 decode rows with bf16 weights in fragment order: the weights are
// streamed once, whatever the number of rows, and the activations beside them. Results
// have the bits of project.cu: 16 warps own a slice of k each, in the same order.
//
// A block owns a contiguous range of strips and goes over k for STRIPS of them at a time, with
// their sums in registers. Weights come through a ring in shared memory, from before the
// kernel in front has ended: that lets this one begin when it has begun itself, so that a block starts where one has
// ended, while others still multiply. (Where it did so only after it had asked for its last weights, the multiprocessors of
// early blocks stood still for 2 to 4 us: steps of 8 and 32 rows of Llama-2-7B took 3.1 and 1.1 % longer, Llama-3-8B 2.5 and
// 0.6, TinyLlama 1.8 and 1.) Activations, as fragments (fragments.cuh), are copied by the lanes that multiply them, SLOTS_X
// chunks ahead, once each time.
//
// The norm's factors of up to 8 rows are found beside the products by three warps that have nothing else to do: steps of
// 8 rows are 0.3 to 0.4 % faster so. (They have 64 registers, and who multiplies 104 then: 32 rows 0.4 to 1.4 % slower.)
//
// Measured on an H200 that reads 4.53 TB/s, Llama-2-7B shape, the four projections of a layer one
// after the other: 102 us for 8 rows and 115 for 32, 4.0 and 3.5 TB/s of weights. By itself, with a
// stream_pack each: qkv 28.7 and 32.6, gate and up 46.5 and 51.1, down 30.7 and 32.3, o 13.1 and
// 13.8. TinyLlama: 33.6 and 41.4. What is lost, in cycles of o of TinyLlama with 8 rows, all of whose weights are there
// when the kernel in front ends: 2300 until the first activations come, for all blocks read the same ones and L2 gives
// no more than 4 TB/s of them; 1500 for the products, 1350 for what becomes of them, one dependent instruction
// after the other. 32 rows read four times 256 KB of
// activations a block beside 1.4 MB of weights. With three stages of weights under way instead of
// four, steps of 32 rows are 0.5 to 2 % faster, of 8 rows 2 % slower; with six 2 % slower at 32. Rings of 12 and 3 instead of 11
// and 4 for 8 rows: Llama-2-7B 0.3 and Llama-3-8B 0.4 % faster; with five under way 0.3 and 0.6, TinyLlama the same; more are no
// better, and 16 rows of TinyLlama 1 to 2 % slower with five or six.
//
// Tried: activations by bulk copies of a warp of its own, told by barriers: as fast for 8 rows and for Llama-2-7B, TinyLlama
// with 32 rows 1.7 % faster. Rings of 10 and 6 or 9 and 8 instead of 11 and 4, 8 rows: the same; of 12 and 2 as with 12 and 3 or 0.2 % slower. The norm's factors by the two
// warps that have nothing else to do: the results of TinyLlama's qkv wait for them 2400 cycles. All of a kernel's end run once
// before, without its stores, or its parameters read, so that caches have both: the end takes as long.
// Clusters of two whose blocks fetch activations for each other: 1 to 3 % slower.
// Clusters of 2, 4 or 8 that share out k as those of quant_cluster.cu do, with the activations of all
// rows in shared memory: steps of Llama-2-7B 3 to 10 % slower for 8 and 32 rows, TinyLlama 11 to 21 %.
// L2 asked for the stages behind a full ring while the kernel in front ends: 7B the same for 8 rows, for 32
// 0 to 1.5 % faster; for the first stages of the projection behind, where there is nothing left to fetch: 7B the
// same or slower, TinyLlama 1 to 3 % faster. So what memory does meanwhile is not what is waited for.
// Strips by ticket as in project.cu, told to the consumers turn by turn: 3 to 6 % slower.
// Two blocks a multiprocessor, each with half of the warps, registers and ring, so that those of the kernel behind have their
// first weights when one ends, 8 rows: steps of Llama-2-7B 4 to 5 % slower, TinyLlama 0 to 2 %; 9 and 5 % with spilled registers.
// Four strips of 32 rows at a time (3 % slower at Llama-3-8B, 5 % where registers spilled), five of 24 (1 %); a ring of activations with three
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
  uint64_t full[S::SLOTS], empty[S::SLOTS];
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

__device__ __forceinline__ int first_strip(const ProjectParams &p, uint32_t block) { return p.strips * block / gridDim.x; }
template <class S> __device__ __forceinline__ Strips strips_of(const ProjectParams &p) {
  const int first = first_strip(p, blockIdx.x), end = first_strip(p, blockIdx.x + 1);
  const int most = (p.strips + gridDim.x - 1) / gridDim.x;
  return {first, end - first, (most + S::STRIPS - 1) / S::STRIPS};
}

// Memory stands still until the first stage is asked for, so that is before it is known what comes next.
template <class S> __device__ __forceinline__ void fetch_weights(const StreamParams &q, StreamRoom<S> &room, unsigned char *ring) {
  const uint64_t policy = evict_first();
  fetch(ring, strip_at(q.p, first_strip(q.p, blockIdx.x)), STAGE, &room.full[0], policy);
  let_next_start();
  const Strips mine = strips_of<S>(q.p);
  Turn<S::SLOTS> at, landed;
  int fetched = 0;
  for (int turn = 0; turn < mine.turns; turn++) {
    const int begin = mine.begin(turn), end = mine.begin(turn + 1);
    for (int c = 0; c < q.chunks; c++)
      for (int s = begin; s < end; s++, at.next()) {
        if (++fetched == 1) continue; // it is under way
        if (fetched > S::SLOTS) barrier_wait(&room.empty[at.slot], at.parity ^ 1);
        if (fetched > S::FLIGHT) barrier_wait(&room.full[landed.slot], landed.parity), landed.next();
        fetch(ring + at.slot * STAGE, (const uint8_t *)strip_at(q.p, s) + (int64_t)c * STAGE, STAGE, &room.full[at.slot], policy);
      }
  }
}

// What a warp takes of the activations: fragments of its slice of every chunk, once each turn. They pass through
// shared memory, SLOTS_X chunks at once, where each lane has room of its own for its 16 bytes of a group: so there is
// nobody to wait for but the copy itself.
template <class S> struct Activations {
  const uint8_t *x; // the lane's, of chunk 0
  uint32_t ring;    // the lane's room
  int chunks, left, chunk = 0;
  int slot = 0, asked = 0; // slots of what is taken next and of what is asked for next

  __device__ __forceinline__ Activations(const StreamParams &q, const Strips &mine, uint32_t ring)
      : x((const uint8_t *)q.p.x + q.p.k0 / CHUNK * S::BYTES_X + (threadIdx.x >> 5) * S::GROUPS * FRAGMENT_BYTES + (threadIdx.x & 31) * 16),
        ring(ring + (threadIdx.x >> 5) * S::GROUPS * FRAGMENT_BYTES + (threadIdx.x & 31) * 16), chunks(q.chunks), left(mine.turns * q.chunks) {}

  __device__ __forceinline__ void ask(uint32_t zero) {
    if (left > 0) {
      const uint8_t *from = x + chunk * S::BYTES_X;
#pragma unroll
      for (int n = 0; n < S::GROUPS; n++)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(ring + asked * S::BYTES_X + n * FRAGMENT_BYTES + zero), "l"(from + n * FRAGMENT_BYTES) : "memory");
      if (++chunk == chunks) chunk = 0;
      if (++asked == S::SLOTS_X) asked = 0;
      left--;
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  __device__ __forceinline__ void begin() {
#pragma unroll
    for (int i = 0; i < S::SLOTS_X; i++) ask(0);
  }
  // Takes the next chunk's; ask_behind must follow, for their room is free when they have been loaded.
  __device__ __forceinline__ void take(uint4 (&b)[S::GROUPS]) {
    asm volatile("cp.async.wait_group %0;" ::"n"(S::SLOTS_X - 1) : "memory");
#pragma unroll
    for (int n = 0; n < S::GROUPS; n++) b[n] = load_shared(ring + slot * S::BYTES_X + n * FRAGMENT_BYTES);
    if (++slot == S::SLOTS_X) slot = 0;
  }
  __device__ __forceinline__ void ask_behind(const uint4 (&b)[S::GROUPS]) {
    uint32_t loaded = 0;
#pragma unroll
    for (int n = 0; n < S::GROUPS; n++) loaded |= b[n].x;
    ask(once_loaded(loaded));
  }
};

// What the consumers of a block share.
template <class S> struct Consumer {
  StreamRoom<S> &room;
  uint32_t ring;
  int arrive; // lanes that arrive for a warp
  Turn<S::SLOTS> at;

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

// The warps' sums of a strip go into a table, [group][half][warp][lane]: of rows 2t, then of rows 2t+1.
enum { HALF = WARPS * 32, GROUP = 2 * HALF };
template <class S> __device__ __forceinline__ void tabulate(float2 *table, const float (&sums)[S::GROUPS][4]) {
#pragma unroll
  for (int n = 0; n < S::GROUPS; n++) {
    table[n * GROUP + threadIdx.x] = make_float2(sums[n][0], sums[n][2]);
    table[n * GROUP + HALF + threadIdx.x] = make_float2(sums[n][1], sums[n][3]);
  }
}

// The sum over the warps, in their order.
__device__ __forceinline__ float2 total(const float2 *half) {
  half += threadIdx.x & 31;
  float2 a = half[0];
#pragma unroll
  for (int i = 1; i < WARPS; i++) {
    const float2 b = half[i * 32];
    a.x += b.x, a.y += b.y;
  }
  return a;
}

// Which of a turn's strips a warp finishes: of a strip and a group of 8 rows all or, where there are warps enough,
// every second row.
enum Half { FIRST, SECOND, BOTH };
template <class S> struct Own {
  int strip, group;
  Half half;
  bool any;
  __device__ __forceinline__ Own(int n) {
    const int w = threadIdx.x >> 5;
    const bool halves = 2 * n * S::GROUPS <= WARPS;
    const int unit = halves ? w / 2 : w;
    strip = unit / S::GROUPS, group = unit % S::GROUPS, half = halves ? (Half)(w % 2) : BOTH, any = strip < n;
  }
};

// The warp's totals out of the table of its strip, of rows 2t, 2t+1 or both of its group.
template <class S> struct Totals {
  float2 of[2];
  Totals() = default;
  __device__ __forceinline__ Totals(const Own<S> &own, const float2 *table) {
    table += own.group * GROUP;
    of[0] = of[1] = total(table + (own.half == SECOND ? HALF : 0));
    if (own.half == BOTH) of[1] = total(table + HALF);
  }
};

// What becomes of a warp's totals.
template <class S> __device__ __forceinline__ void finish_own(const StreamParams &q, const StreamRoom<S> &room, const Meeting &e, const Own<S> &own, const Totals<S> &totals) {
#pragma unroll 1
  for (int j = own.half == SECOND; j <= (own.half != FIRST); j++) {
    const float2 a = j ? totals.of[1] : totals.of[0];
    const int m = 8 * own.group + 2 * (threadIdx.x & 3) + j;
    Meeting of = e;
    if (j) of.a[0] = e.a[1], of.b[0] = e.b[1];
    float square = 0;
    if (m < q.p.m) square = finish<true>(q.p, room.places, of, 0, m, a.x * room.factors[m], a.y * room.factors[m]);
    if (q.p.left.dst) leave_square(q.p, e, m, square);
  }
}

// What becomes of the sums of n strips: through room for one, one after the other. Who has none
// left to add up goes on, and the ring goes on filling up.
template <class S> __device__ __forceinline__ void close(const StreamParams &q, const StreamRoom<S> &room, float2 *table, const Meeting &e, const Own<S> &own, int n, const float (&sums)[S::STRIPS][S::GROUPS][4]) {
  Totals<S> totals;
  for (int strip = 0; strip < n; strip++) {
#pragma unroll
    for (int r = 0; r < S::STRIPS; r++)
      if (r == strip) tabulate<S>(table, sums[r]);
    all_warps();
    if (own.strip == strip) totals = Totals<S>(own, table);
    all_warps();
  }
  if (own.any) finish_own<S>(q, room, e, own, totals);
}

// The same of the last strips, all at once: the ring is free then.
template <class S> __device__ __forceinline__ void close_last(const StreamParams &q, const StreamRoom<S> &room, float2 *ring, const Meeting &e, const Own<S> &own, int n, const float (&sums)[S::STRIPS][S::GROUPS][4]) {
  static_assert(S::STRIPS * S::GROUPS <= WARPS && S::STRIPS * S::GROUPS * WARPS * 512 <= S::SLOTS * STAGE, "");
  all_warps();
#pragma unroll
  for (int r = 0; r < S::STRIPS; r++) {
    if (r >= n) break;
    tabulate<S>(ring + r * S::GROUPS * GROUP, sums[r]);
  }
  all_warps();
  if (own.any) finish_own<S>(q, room, e, own, Totals<S>(own, ring + own.strip * S::GROUPS * GROUP));
}

// Zeros behind a result that is left as fragments, for the product that reads it.
__device__ __forceinline__ void fill_up(const StreamParams &q) {
  if (blockIdx.x != 0) return;
  if (q.p.epilogue == SWIGLU && q.p.packed_dst == FRAGMENTS)
    for (int k = q.p.part[0].span + threadIdx.x; k < q.end; k += WARPS * 32)
      for (int m = 0; m < q.p.m; m++) *(uint16_t *)((uint8_t *)q.p.dst + fragment_at(q.p.ldd, m / 8, m % 8, k)) = 0;
  if (q.p.left.dst)
    for (int k = q.p.part[0].rows + threadIdx.x; k < q.p.left.end; k += WARPS * 32)
      for (int m = 0; m < q.p.m; m++) leave(left_at(q.p.left, m, k), 0);
}

// The norm's factors of all rows, by so many warps, of which this is one.
template <class S, int OF, int ROWS> __device__ __forceinline__ void factors_of(const StreamParams &q, StreamRoom<S> &room, int warp) {
  const int i = warp * 32 + (threadIdx.x & 31);
  if (q.p.squares) find_factors<OF, ROWS, 8>(q.p, room.factors, warp);
  else if (i < q.p.m) room.factors[i] = 1;
}
// Where others find them, who multiplies waits when it has multiplied.
enum { OTHERS = 3 };
__device__ __forceinline__ void factors_found() { asm volatile("bar.arrive 2, 608;" ::: "memory"); }
__device__ __forceinline__ void wait_for_factors() { asm volatile("bar.sync 2, 608;" ::: "memory"); }

template <class S> __device__ __forceinline__ void consume(const StreamParams &q, StreamRoom<S> &room, const Strips &mine, unsigned char *ring) {
  const int w = threadIdx.x >> 5;
  Activations<S> x(q, mine, shared_address(ring) + S::SLOTS * STAGE);
  if (w == WARPS - 1) find_row(q.p, room.places, threadIdx.x & 31); // what the batch says is older than the step
  wait_for_previous();
  x.begin();
  if (!S::OTHERS_FIND) factors_of<S, WARPS, (S::GROUPS > 2 ? 2 : 1)>(q, room, w);
  fill_up(q);
  if (q.p.epilogue == ROPE) all_warps();
  float2 *table = (float2 *)(ring + S::SLOTS * STAGE + S::SLOTS_X * S::BYTES_X);
  Consumer<S> c = {room, shared_address(ring), q.p.arrive};
  for (int turn = 0; turn < mine.turns; turn++) {
    const int first = mine.begin(turn), n = mine.begin(turn + 1) - first;
    const Own<S> own(n);
    Meeting e;
    if (own.any) e = meet<true>(q.p, room.places, first + own.strip, own.group * 8);
    float sums[S::STRIPS][S::GROUPS][4] = {};
    for (int i = 0; i < q.chunks; i++) {
      uint4 b[S::GROUPS];
      x.take(b);
#pragma unroll
      for (int r = 0; r < S::STRIPS; r++) {
        if (r >= n) break;
        c.multiply(sums[r], b);
      }
      x.ask_behind(b);
    }
    if (S::OTHERS_FIND && turn == 0) wait_for_factors();
    if (turn + 1 < mine.turns) close<S>(q, room, table, e, own, n, sums);
    else close_last<S>(q, room, (float2 *)ring, e, own, n, sums);
  }
}

template <class S> __device__ __forceinline__ void stream(const StreamParams &q) {
  extern __shared__ __align__(1024) unsigned char ring[];
  __shared__ StreamRoom<S> room;
  const int w = threadIdx.x >> 5;
  if (w == WARPS) { // it waits for nobody
    if (elected()) {
#pragma unroll
      for (int i = 0; i < S::SLOTS; i++) barrier_init(shared_address(&room.full[i]), 1), barrier_init(shared_address(&room.empty[i]), WARPS * q.p.arrive);
      barrier_init_done();
    }
    __syncwarp();
    barriers_made<640>();
    registers_lower<32>();
    if (elected()) fetch_weights<S>(q, room, ring);
    return;
  }
  wait_for_barriers<640>();
  if (w > WARPS) {
    registers_lower<S::OTHERS_FIND ? 64 : 32>();
    if (S::OTHERS_FIND) {
      wait_for_previous();
      factors_of<S, OTHERS, 4>(q, room, w - WARPS - 1);
      factors_found();
    }
    return;
  }
  registers_raise<S::OTHERS_FIND ? 104 : 112>(); // 640 threads have 96 registers each; together no more after this
  consume<S>(q, room, strips_of<S>(q.p), ring);
}
#define BOUNDS __launch_bounds__(640, 1)
#else
template <class S> __device__ __forceinline__ void stream(const StreamParams &) {}
#define BOUNDS __launch_bounds__(32) // stream.go sees by this that there is no code
#endif

// Grid: a block a multiprocessor, 640 threads, the bytes of shared memory of stream.go.
#define STREAM(GROUPS, STRIPS, SLOTS, SLOTS_X) \
  extern "C" __global__ void BOUNDS stream_##GROUPS(const __grid_constant__ StreamParams q) { stream<StreamShape<GROUPS, STRIPS, SLOTS, SLOTS_X>>(q); }
STREAM(1, 11, 12, 3) STREAM(2, 6, 10, 3) STREAM(3, 4, 8, 3) STREAM(4, 3, 8, 2)
