// Projections of up to 8 decode rows, as far as they find room (quant_cluster.cu is for more), with
// quantised weights, which are multiplied as they are: by activations of 16 bits (quant_take.cuh) in
// integers, whose sums over the k that have one scale are scaled in float32 (quant.cuh has the
// order they lie in).
//
//   dst[m][r] = sum_groups d[r][group] s[m][group] (sum_k q[r][k] x[m][k]) - minimum[r][group] s[m][group] sum_k x[m][k]
//
// What comes before and after is part of it, as for bf16 (project.cu), and so are the ring, its
// producer and the slices of k of 16 warps.
#include "project_finish.cuh"
#include "quant_multiply.cuh"

// Fetches the records of a block's strips.
template <class Q> __device__ __forceinline__ void produce(const QuantParams &q, Room &room, unsigned char *ring, int stages, int s0, int n) {
#if __CUDA_ARCH__ >= 900
  const uint64_t policy = evict_first();
  int stage = 0, round = 0;
  for (int s = 0; s < n; s++) {
    const unsigned char *from = record_at(q, s0 + s, Q::BYTES);
    for (int c = 0; c < q.chunks; c += Q::STAGE) {
      if (round > 0) barrier_wait(&room.empty[stage], (round & 1) ^ 1);
      fetch(ring + stage * (Q::STAGE * Q::BYTES), from + (int64_t)c * Q::BYTES, min((int)Q::STAGE, q.chunks - c) * Q::BYTES, &room.full[stage], policy);
      if (++stage == stages) stage = 0, round++;
    }
  }
  let_next_start();
#endif
}

// Sums of strips on their way from the warps that multiply to the one that finishes: two places,
// which are taken in turn.
struct Places {
  uint64_t full[2], empty[2];

  __device__ __forceinline__ void init(int arrive) {
#if __CUDA_ARCH__ >= 900
    for (int i = 0; i < 2; i++) barrier_init(&full[i], WARPS * arrive), barrier_init(&empty[i], arrive);
#endif
  }
  // Strip s of the block has a place that is free. Without such barriers, all meet when it is full:
  // by then the strip before is finished.
  __device__ __forceinline__ void wait_empty(int s) {
#if __CUDA_ARCH__ >= 900
    if (s > 1) barrier_wait(&empty[s & 1], (s / 2 & 1) ^ 1);
#endif
  }
  __device__ __forceinline__ void fill(int s, int arrive) {
#if __CUDA_ARCH__ >= 900
    __syncwarp();
    if ((threadIdx.x & 31) < arrive) barrier_arrive(shared(&full[s & 1]));
#else
    all_meet();
#endif
  }
  __device__ __forceinline__ void wait_full(int s) {
#if __CUDA_ARCH__ >= 900
    barrier_wait(&full[s & 1], s / 2 & 1);
#else
    all_meet();
#endif
  }
  __device__ __forceinline__ void release(int s, int arrive) {
#if __CUDA_ARCH__ >= 900
    __syncwarp();
    if ((threadIdx.x & 31) < arrive) barrier_arrive(shared(&empty[s & 1]));
#endif
  }
  static __device__ __forceinline__ void all_meet() { asm volatile("bar.sync 2, 544;" ::: "memory"); }
};

// What becomes of the strips of a block, by one warp.
__device__ __forceinline__ void finish_strips(const ProjectParams &p, Room &room, Places &places, int s0, int n) {
  wait_for_previous();
  find_row(p, room.places, threadIdx.x & 31);
  __syncwarp();
  const int m = (threadIdx.x & 3) * 2;
  float first = 1, second = 1;
  for (int s = 0; s < n; s++) {
    const Meeting e = meet<true>(p, room.places, s0 + s, 0);
    places.wait_full(s);
    if (s == 0) first = factor(p, room, min(m, p.m - 1)), second = factor(p, room, min(m + 1, p.m - 1));
    close_scaled<true>(p, room, s & 1, e, first, second);
    places.release(s, p.arrive);
  }
}

enum { THREADS = 32 * (WARPS + 2) };

// What the warps of a block share beside activations and ring.
struct Shared {
  Room room;
  Places places;
};

// Multiplies strips s0 to s0+n-1 with activations that are there. ROWS: 1, or up to 4 or 8.
template <class Q, int ROWS> __device__ __forceinline__ void multiply_all(const QuantParams &q, Shared &shared, Records<Q> &records, const Taken &x, int s0, int n) {
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5, t = lane % 4;
  Row<Q, false> row(x);
#pragma unroll 1
  for (int s = 0; s < n; s++) {
#if __CUDA_ARCH__ < 900
    records.begin_at(at_of<Q>(record_at(q, s0 + s, Q::BYTES), w, lane));
#endif
    float4(&to)[32] = shared.room.sums[s & 1][w];
    if constexpr (ROWS == 1) {
      const float sum = multiply_one(records, row);
      shared.places.wait_empty(s);
      if (t < 2) ((float2 *)&to[lane - t])[t] = make_float2(sum, 0);
    } else {
      const float4 sums = multiply_many<Q, ROWS / 4>(records, x);
      shared.places.wait_empty(s);
      to[lane] = sums;
    }
    shared.places.fill(s, q.p.arrive);
  }
}

template <class Q, bool ONE> __device__ __forceinline__ void multiply_strips(const QuantParams &q, Shared &shared, unsigned char *memory, int stages, int s0, int n) {
  const ProjectParams &p = q.p;
  const Taken x(memory, ONE ? (q.chunks + 3) / 4 * 4 : q.chunks, ONE ? 1 : p.m);
  take_quant<Q, ONE>(p, x, shared.room);
  if (p.norm) {
    all_warps();
    write_norm(p, [&](int m) { return factor(p, shared.room, m); });
  }
  Records<Q> records = {::shared(shared.room.full), ::shared(shared.room.empty) - ::shared(shared.room.full), {}, {}, {0, 0}, stages, q.chunks, p.arrive};
  records.begin_at(at_of<Q>(memory + q.x_bytes, threadIdx.x >> 5, threadIdx.x & 31));
  if constexpr (ONE) multiply_all<Q, 1>(q, shared, records, x, s0, n);
  else if (p.m <= 4) multiply_all<Q, 4>(q, shared, records, x, s0, n);
  else multiply_all<Q, 8>(q, shared, records, x, s0, n);
}

template <class Q, bool ONE> __device__ __forceinline__ void project(const QuantParams &q, const Run *run, Shared &shared, unsigned char *memory) {
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
  const uint32_t block = blockIdx.x - run->block, blocks = run[1].block - run->block, strips = run[1].strip - run->strip;
  const int first = strips * block / blocks, n = (int)(strips * (block + 1) / blocks) - first, s0 = run->strip + first;
#if __CUDA_ARCH__ >= 900
  if (w == WARPS) {
    if (lane == 0) make_ring(shared.room.full, shared.room.empty, WARPS * q.p.arrive), shared.places.init(q.p.arrive), ring_made();
    __syncwarp();
    barriers_made<THREADS>();
  } else {
    wait_for_barriers<THREADS>();
  }
#endif
  if (w == WARPS) {
    if (lane == 0) produce<Q>(q, shared.room, memory + q.x_bytes, run->stages, s0, n);
  } else if (w > WARPS) {
    finish_strips(q.p, shared.room, shared.places, s0, n);
  } else {
    multiply_strips<Q, ONE>(q, shared, memory, run->stages, s0, n);
  }
}

// Blocks are shared out among the runs of one format.
template <bool ONE> __device__ __forceinline__ void project_runs(const QuantParams &q) {
  extern __shared__ __align__(128) unsigned char memory[];
  __shared__ Shared shared;
  int i = 0;
  while (i + 1 < q.runs && (int)blockIdx.x >= q.run[i + 1].block) i++;
  switch (q.run[i].format) {
#define CASE(T) case T: return project<Quant<T>, ONE>(q, &q.run[i], shared, memory);
    CASE(Q8_0) CASE(Q4_0) CASE(Q4_K) CASE(Q6_K)
#undef CASE
  }
}

// Grid: one block a multiprocessor; 576 threads; x_bytes and the ring of shared memory. One row, and up to 8.
extern "C" __global__ void __launch_bounds__(THREADS, 1) quant_one(const __grid_constant__ QuantParams q) { project_runs<true>(q); }
extern "C" __global__ void __launch_bounds__(THREADS, 1) quant_many(const __grid_constant__ QuantParams q) { project_runs<false>(q); }
