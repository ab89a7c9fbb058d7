// Projections of up to 8 decode rows with bf16 weights in fragment order: the weights are
// streamed once through the matrix unit, 16 rows by 16 k a step, whatever the number of
// activation rows. dst[m][r] = sum_k bf16(x[m][k]) W[r][k], float32 sums; what comes after
// is part of it: the factors of RMSNorm of x; SwiGLU, rotation with the store of keys and
// values, or the addition to the residual stream, which is left for the projection behind
// times the weights of the norm between.
//
// A block owns a contiguous range of strips, and where there are many takes more of them
// by ticket when it is through with those: multiprocessors do not get the same share of
// the memory's bandwidth, and the slowest would have all others wait. One lane fetches
// their tiles into a ring in shared memory, from before the kernel in front has ended; 16
// warps own a slice of k each, with its activations in registers, and add up their sums of
// a strip in the order of the warps. So a result depends on its two rows only.
//
// Measured on an H200 that reads 4.5 TB/s, Llama-2-7B shape, one row, the four projections of a
// layer one after the other: 101 us (4.0 TB/s). Without tickets qkv takes 4 % more, gate and up
// 4 %; with the whole ring on its way at once (FLIGHT in ring.cuh) all of it 3.5 %.
//
// With P = 2 the warps go over k in two halves, for which the sums of the block's at most
// two strips are kept: long rows, whose activations would not fit in registers. Such a
// kernel stores or adds, nothing else: it has no registers left.
#include "hopper.cuh"
#include "project_finish.cuh"
#include "project_take.cuh"
#include "ring.cuh"

// c += the warp's tiles of a strip times its activations.
template <int TH> __device__ __forceinline__ void multiply(const ProjectParams &p, Room &room, const unsigned char *ring, Cursor &at, const uint4 *from, const uint32_t (&xb)[TH][2], float (&c)[4]) {
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
#pragma unroll
  for (int i = 0; i < TH / PER; i++) {
#if __CUDA_ARCH__ >= 900
    barrier_wait(&room.full[at.stage], at.parity);
    const uint4 *tile = (const uint4 *)(ring + at.stage * STAGE);
#else
    const uint4 *tile = from + i * (STAGE / 16);
#endif
    uint32_t loaded = 0;
#pragma unroll
    for (int j = 0; j < PER; j++) {
      const uint4 a = tile[(w * PER + j) * 32 + lane];
      mma(c, a, xb[i * PER + j][0], xb[i * PER + j][1]);
      loaded |= a.x;
    }
#if __CUDA_ARCH__ >= 900
    __syncwarp();
    if (lane < p.arrive) barrier_arrive(shared(&room.empty[at.stage]) + once_loaded(loaded));
    if (++at.stage == STAGES) at.stage = 0, at.parity ^= 1;
#endif
  }
}

// Who fetches the weights: one lane.
struct Producer {
  Room &room;
  unsigned char *ring;
  uint64_t policy;
  int stage = 0;
  bool full = false; // the ring has been filled once

  __device__ __forceinline__ Producer(Room &room, unsigned char *ring) : room(room), ring(ring) {
#if __CUDA_ARCH__ >= 900
    policy = evict_first();
#endif
  }
#if __CUDA_ARCH__ >= 900
  uint32_t parity = 1;
  // Waits for room, and for all but a few of the copies under way.
  __device__ __forceinline__ void wait() {
    if (full) barrier_wait(&room.empty[stage], parity);
    const int landed = stage - FLIGHT;
    if (full || landed >= 0) barrier_wait(&room.full[landed < 0 ? landed + STAGES : landed], landed < 0 ? parity : parity ^ 1);
  }
  __device__ __forceinline__ void next() {
    if (++stage == STAGES) stage = 0, full = true, parity ^= 1;
  }
  // Fetches so many stages from a strip, or a part of one.
  __device__ __forceinline__ void strip(const uint4 *from, int stages) {
    for (int c = 0; c < stages; c++, next()) {
      wait();
      fetch(ring + stage * STAGE, from + (int64_t)c * (STAGE / 16), STAGE, &room.full[stage], policy);
    }
  }
  __device__ __forceinline__ void end() {
    wait();
    barrier_arrive(shared(&room.full[stage]));
  }
#endif
};

// Fetches the block's own strips, pass by pass, in the order in which the warps take them.
template <int TH, int P> __device__ __forceinline__ void produce(const ProjectParams &p, Producer &producer, int s0, int n) {
#if __CUDA_ARCH__ >= 900
  for (int pass = 0; pass < P; pass++)
    for (int s = 0; s < n; s++) producer.strip(strip_at(p, s0 + s) + (int64_t)pass * TH * WARPS * 32, TH / PER);
#endif
}

// Then strips by ticket. The next ticket is drawn before the strip at hand is fetched.
template <int TH> __device__ __forceinline__ void produce_more(const ProjectParams &p, Room &room, Producer &producer, int n) {
#if __CUDA_ARCH__ >= 900
  const int first = p.own * gridDim.x;
  wait_for_previous(); // it may be what sets tickets to zero
  int next = first + (int)atomicAdd(p.tickets, 1);
  for (int s = n;; s++) {
    const int strip = next;
    room.jobs[s % JOBS] = strip < p.strips ? strip : -1;
    if (strip >= p.strips) break;
    next = first + (int)atomicAdd(p.tickets, 1);
    producer.strip(strip_at(p, strip), TH / PER);
  }
  producer.end();
#endif
}

// Strip number s of the block, -1 behind its last.
__device__ __forceinline__ int strip_of(const ProjectParams &p, Room &room, const Cursor &at, int s0, int n, int s) {
  if (s < n) return s0 + s;
  if (!p.tickets) return -1;
#if __CUDA_ARCH__ >= 900
  barrier_wait(&room.full[at.stage], at.parity);
#endif
  return room.jobs[s % JOBS];
}

// A warp finds the norm's factors while the others multiply their first strip.
__device__ __forceinline__ void factors_found() { asm volatile("bar.arrive 2, 544;" ::: "memory"); }
__device__ __forceinline__ void wait_for_factors() { asm volatile("bar.sync 2, 544;" ::: "memory"); }

// 640 threads have 96 registers each. The warps that multiply take some of those that the four
// others, one of which produces, do not need.
__device__ __forceinline__ void more_registers() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  registers_raise<112>();
#endif
}
__device__ __forceinline__ void fewer_registers() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  registers_lower<32>();
#endif
}

template <int TH, int P> __device__ __forceinline__ void project(const ProjectParams &p) {
  extern __shared__ __align__(128) unsigned char ring[];
  __shared__ Room room;
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
#if __CUDA_ARCH__ >= 900
  if (w == WARPS) {
    if (lane == 0) make_ring(room.full, room.empty, WARPS * p.arrive), ring_made();
    __syncwarp();
    barriers_made<640>();
  } else {
    wait_for_barriers<640>();
  }
#endif
  const int s0 = p.tickets ? p.own * blockIdx.x : p.strips * blockIdx.x / gridDim.x;
  const int n = p.tickets ? p.own : (int)(p.strips * (blockIdx.x + 1) / gridDim.x) - s0;
  if (w > WARPS) {
    fewer_registers();
    if (P == 1 && w == WARPS + 1 && p.squares) {
      wait_for_previous();
      find_factors<1, 4, 4>(p, room.factors, 0);
      factors_found();
    }
    return;
  }
  if (w == WARPS) {
    fewer_registers();
    if (lane != 0) return;
    Producer producer(room, ring);
    produce<TH, P>(p, producer, s0, n);
    if (P == 1 && p.tickets) produce_more<TH>(p, room, producer, n);
    let_next_start();
    return;
  }
  more_registers();
  wait_for_previous();
  find_rows(p, room.places);
  Cursor at = {};
  uint32_t xb[TH][2] = {};
  take<TH>(p, 0, xb);
  if (P == 1 && p.epilogue == ROPE) all_warps();
  if constexpr (P == 1) {
    int strip;
    for (int s = 0; (strip = strip_of(p, room, at, s0, n, s)) >= 0; s++) {
      float c[4] = {0, 0, 0, 0};
      multiply<TH>(p, room, ring, at, strip_at(p, strip), xb, c);
      room.sums[s & 1][w][lane] = make_float4(c[0], c[1], c[2], c[3]);
      Meeting e;
      if (w == s % WARPS) e = meet<true>(p, room.places, strip, 0);
      if (s == 0 && p.squares) wait_for_factors();
      all_warps();
      if (w == s % WARPS) close_strip<true>(p, room, s & 1, e);
    }
  } else {
    const int64_t half = (int64_t)TH * WARPS * 32;
    float c[4] = {0, 0, 0, 0}, d[4] = {0, 0, 0, 0};
    Meeting e;
    if (w < n) e = meet<false>(p, room.places, s0 + w, 0);
    multiply<TH>(p, room, ring, at, strip_at(p, s0), xb, c);
    if (n > 1) multiply<TH>(p, room, ring, at, strip_at(p, s0 + 1), xb, d);
    take<TH>(p, TH * WARPS, xb);
    multiply<TH>(p, room, ring, at, strip_at(p, s0) + half, xb, c);
    if (n > 1) multiply<TH>(p, room, ring, at, strip_at(p, s0 + 1) + half, xb, d);
    room.sums[0][w][lane] = make_float4(c[0], c[1], c[2], c[3]);
    room.sums[1][w][lane] = make_float4(d[0], d[1], d[2], d[3]);
    all_warps();
    if (w < n) close_strip<false>(p, room, w, e);
  }
}

// Grid: one block a multiprocessor; 640 threads; STAGES·STAGE bytes of shared memory.
// project_TH_P multiplies 256·TH·P k.
#define PROJECT(TH, P) \
  extern "C" __global__ void __launch_bounds__(640, 1) project_##TH##_##P(const __grid_constant__ ProjectParams p) { project<TH, P>(p); }
PROJECT(2, 1) PROJECT(4, 1) PROJECT(6, 1) PROJECT(8, 1) PROJECT(10, 1) PROJECT(12, 1)
PROJECT(14, 1) PROJECT(16, 1) PROJECT(18, 1) PROJECT(20, 1) PROJECT(22, 1) PROJECT(24, 1)
PROJECT(14, 2) PROJECT(16, 2) PROJECT(18, 2) PROJECT(20, 2) PROJECT(22, 2) PROJECT(24, 2) PROJECT(26, 2) PROJECT(28, 2)
