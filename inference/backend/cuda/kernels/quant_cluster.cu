// Projections of up to 32 decode rows with quantised weights, which are read once, whatever the
// number of rows. Results have the bits of quant.cu: 16 slices of k, in the same order.
//
// Blocks of a cluster share out the slices: a block has the activations of its slices in shared
// memory, for all rows (quant_rows.cu has made integers of them), and multiplies its part of every
// strip of the cluster. What its 16 warps do at a time are as many strips as the cluster has
// blocks. Sums of a slice go to the block that finishes the strip: stored into its shared memory,
// where a barrier counts the bytes.
//
// A sum has four chains, by the number of its group (quant_multiply.cuh). Here they follow each
// other, so that a warp has one in registers, and what is done of the others: records of a strip
// come in the order 0, 4, 8, ..., 1, 5, 9, ...
//
// Measured on an H200 that reads 4.5 TB/s, Llama-3-8B shape, 32 rows, with quant_rows before it: Q8_0
// qkv 22.5 us, o 16.1, gate and up 64, down 60, head 250; Q4_K_M 28, 18, 77, 74 and (Q6_K) 466: whole
// steps of 6.0 and 7.4 ms, where launches of quant.cu for 4 or 8 rows each came to 16. (Q6_K took its
// activations ahead then, too, for which registers did not suffice: 70 and 455 before.) What a
// block does in a turn of 8 records takes some 3.8 us, of which its warps issue instructions for half;
// weights come sooner than they are used. 15 clusters of 8 are resident, so that down (256
// strips) takes three turns, the last of them for two strips at most.
//
// With all barriers made by one lane, whose warp fetches before the blocks of the cluster have met: 5.95 and 7.2 ms (6.04 and 7.3
// in the same run).
//
// Tried: the next kernel let begin at the beginning (8 rows 0.7 % slower, 32 rows 0.7 to 1.5); activations made integers by
// each cluster itself (7 us a launch slower); two records a stage,
// or loaded before one is multiplied (0 to 12 % slower); one lane that fetches all pieces (the same);
// stages given back after the products (3 % slower); sums that begin at 3·2²² and so are floats,
// without a conversion (7 to 10 % slower: float additions, not conversions, are in the way).
#include "quant_cluster.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// N words, as many at once as they are aligned for.
template <int N> __device__ __forceinline__ void load_words(uint32_t (&to)[N], uint32_t at) {
  if constexpr (N % 4 == 0) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
      const uint4 v = load_shared(at + 4 * i);
      to[i] = v.x, to[i + 1] = v.y, to[i + 2] = v.z, to[i + 3] = v.w;
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("ld.shared.u32 %0, [%1];" : "=r"(to[i]) : "r"(at + 4 * i));
  }
}

// The warps that multiply.
template <class Q, int GROUPS> struct Multiplier {
  typedef RowBytes<Q> B;
  enum { HALVES = Period<Q>::HALVES, PERIOD = Period<Q>::PERIOD, SETS = 2 * GROUPS, ROWS = 8 * GROUPS, AHEAD = HALVES == 1 }; // AHEAD: registers suffice
  typedef float Sums[SETS][2]; // of four rows each: weight rows g and g+8 of activation row 4·set+t

  const Job &job;
  uint32_t full, to_empty, taken;
  typename Q::At part;
  int stage_bytes, chunks, arrive;
  uint32_t x, scales; // the lane's of the first chunk
  const float *common;
  uint4 own[GROUPS]; // of the record that comes
  Cursor at;

  __device__ __forceinline__ void take(int chunk) {
#pragma unroll
    for (int i = 0; i < GROUPS; i++) own[i] = load_shared(x + chunk * job.slices() * (ROWS * B::X) + i * 512);
  }
  // Adds what record `chunk` gives, and takes what `next` will need in its place.
  __device__ __forceinline__ void add(int chunk, int next, bool present, Sums (&sum)[HALVES]) {
    uint32_t scale[HALVES][GROUPS];
#pragma unroll
    for (int u = 0; u < HALVES; u++) load_words(scale[u], scales + chunk * job.slices() * (ROWS * B::SCALES) + u * ROWS * 2);
    const float *with = common + chunk * job.slices() * (ROWS * B::COMMON / 4);
    wait_at(full + 8 * at.stage, at.parity);
    const int record = at.stage * stage_bytes;
    const typename Q::Bits bits = Q::bits(part, record);
    typename Q::Raw raw;
    Q::load(part, record, raw);
    const uint32_t loaded = Q::any(bits) | Q::any(raw);
    __syncwarp();
    if ((threadIdx.x & 31) < arrive) barrier_arrive(full + 8 * at.stage + to_empty + once_loaded(loaded));
    at.next(job.stages);
    if (!present) return;
    const uint4 a = Q::registers(bits);
    const uint32_t from = x + next * job.slices() * (ROWS * B::X);
#pragma unroll
    for (int i = 0; i < GROUPS; i++) {
      const uint4 b = AHEAD ? own[i] : load_shared(x + chunk * job.slices() * (ROWS * B::X) + i * 512);
#pragma unroll
      for (int j = 0; j < 2; j++)
#pragma unroll
        for (int u = 0; u < HALVES; u++) {
          int c[4] = {};
          if constexpr (HALVES == 1) mma_int8<Q::SIGNED>(c, a, j ? b.z : b.x, j ? b.w : b.y);
          else mma_int8(c, u ? a.z : a.x, u ? a.w : a.y, u ? (j ? b.w : b.y) : (j ? b.z : b.x));
          const float2 s = make_float2(__uint_as_float(j ? scale[u][i] & 0xffff0000 : scale[u][i] << 16), B::COMMON ? with[u * ROWS + 2 * i + j] : 0);
          add_groups<Q>(sum[u][2 * i + j][0], sum[u][2 * i + j][1], raw, u, c, s);
        }
      if (AHEAD) own[i] = load_shared(from + i * 512);
    }
  }
  // The sums of a chain, or of two where a record has two.
  __device__ __forceinline__ void chain(int phase, bool present, Sums &out) {
    Sums sum[HALVES] = {};
    const int behind = phase + 1 < min((int)PERIOD, chunks) ? phase + 1 : 0; // the chain that comes next begins with it
    barrier_wait(taken + 8 * behind, 0);
#pragma unroll 1
    for (int chunk = phase; chunk < chunks; chunk += PERIOD) add(chunk, chunk + PERIOD < chunks ? chunk + PERIOD : behind, present, sum);
#pragma unroll
    for (int i = 0; i < SETS; i++)
#pragma unroll
      for (int h = 0; h < 2; h++) out[i][h] = HALVES == 1 ? sum[0][i][h] : sum[0][i][h] + sum[HALVES - 1][i][h];
  }
  static __device__ __forceinline__ void plus(Sums &a, const Sums &b) {
#pragma unroll
    for (int i = 0; i < SETS; i++) a[i][0] += b[i][0], a[i][1] += b[i][1];
  }
  // The sums of a strip: (0 + 1) + (2 + 3).
  __device__ __forceinline__ void strip(bool present, Sums &sum) {
    Sums next;
    chain(0, present, sum);
    chain(1, present, next);
    plus(sum, next);
    if constexpr (PERIOD == 4) {
      Sums last;
      chain(2, present, next);
      chain(3, present, last);
      plus(next, last);
      plus(sum, next);
    }
  }
};

// Where a lane's sums of a slice go: [slice][group][t][g] of rows g and g+8 for activation row t, then for row 4+t.
template <int GROUPS> __device__ __forceinline__ int sums_at(int slice, int group, int t, int g) { return ((slice * GROUPS + group) * 32 + t * 8 + g) * 16; }

// The norm's factor of a row.
__device__ __forceinline__ float factor(const ClusterParams &c, int m) {
  if (!c.q.p.gamma) return 1;
  float sum = 0;
#pragma unroll
  for (int w = 0; w < WARPS; w++) sum += c.squares[w * MOST_ROWS + m];
  return 1 / sqrtf(sum / c.q.p.k + c.q.p.eps);
}

// Stores the sums of a slice where block `to` of the cluster has its table, and tells that block. Where
// there is no other, compute-sanitizer takes stores of a cluster for errors.
template <int GROUPS> __device__ __forceinline__ void leave_sums(ClusterRoom &room, uint32_t table, int blocks, int to, int at, const float (&sum)[2 * GROUPS][2]) {
  const uint32_t summed = shared_address(&room.summed), there = address_in(table, to) + at, told = address_in(summed, to);
#pragma unroll
  for (int i = 0; i < GROUPS; i++) {
    const float4 v = make_float4(sum[2 * i][0], sum[2 * i][1], sum[2 * i + 1][0], sum[2 * i + 1][1]);
    blocks > 1 ? store_told(there + 512 * i, v, told) : store_shared(table + at + 512 * i, v);
  }
  if (blocks == 1) tell(summed, GROUPS * sizeof(float4));
}

template <class Q, int GROUPS> __device__ __forceinline__ void multiply_parts(const ClusterParams &c, ClusterRoom &room, unsigned char *memory, uint32_t table, unsigned char *ring, const Job &job) {
  const QuantParams &q = c.q;
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5, g = lane / 4, t = lane % 4, slices = job.slices();
  const Rows<Q> own(memory, q.chunks, 8 * GROUPS, slices, w % slices, job.rank * slices + w % slices);
  if (q.p.norm) {
    wait_for_previous();
    write_norm(q.p, [&](int m) { return factor(c, m); });
  }
  const int bytes = Portion<Q>::bytes(job.blocks), mine = w / slices; // the warp's strip of a turn: that of this block
  typedef Multiplier<Q, GROUPS> M;
  M m = {job, shared_address(room.full), (uint32_t)(shared_address(room.empty) - shared_address(room.full)), shared_address(room.taken),
         Portion<Q>::at(ring + mine * bytes, own.own, own.all, job.blocks, lane), bytes * job.blocks, q.chunks, q.p.arrive,
         shared_address(own.x) + own.own * M::ROWS * own.X + lane * 16, shared_address(own.scales) + own.own * M::ROWS * own.SCALES + t * M::SETS * 2,
         (const float *)(own.common + own.own * M::ROWS * own.COMMON) + t * M::SETS};
  barrier_wait(m.taken, 0);
  if (M::AHEAD) m.take(0);
#pragma unroll 1
  for (int turn = 0; turn < job.turns(); turn++) {
    const bool present = mine < job.present(turn);
    typename M::Sums sum;
    m.strip(present, sum);
    if (!present) continue;
    if (turn > 0) barrier_wait(shared_address(&room.free[mine]), (turn & 1) ^ 1);
    leave_sums<GROUPS>(room, table, job.blocks, mine, sums_at<GROUPS>(own.all, 0, t, g), sum);
  }
}

// A sum over the slices, in their order: of weight rows g and g+8 for activation rows 2t and 2t+1 of a group.
template <int GROUPS> __device__ __forceinline__ float4 total(const unsigned char *table, int group) {
  const int lane = threadIdx.x & 31, g = lane / 4, t = 2 * (lane % 4);
  const unsigned char *at = table + sums_at<GROUPS>(0, group, t % 4, g) + t / 4 * 8;
  float2 a = *(const float2 *)at, b = *(const float2 *)(at + 128);
#pragma unroll
  for (int w = 1; w < WARPS; w++) {
    const float2 c = *(const float2 *)(at + w * GROUPS * 512), d = *(const float2 *)(at + w * GROUPS * 512 + 128);
    a.x += c.x, a.y += c.y, b.x += d.x, b.y += d.y;
  }
  return make_float4(a.x, b.x, a.y, b.y);
}

// What becomes of the strips that this block finishes: each of the warps has every FINISHERS-th group of 8 rows.
template <int GROUPS> __device__ __forceinline__ void finish_parts(const ClusterParams &c, ClusterRoom &room, const unsigned char *table, const Job &job) {
  constexpr int ACTIVE = GROUPS < FINISHERS ? GROUPS : FINISHERS;
  const ProjectParams &p = c.q.p;
  const int lane = threadIdx.x & 31, w = (threadIdx.x >> 5) - WARPS - 1, t = lane & 3;
  if (w == 0 && lane == 0) barrier_expect(shared_address(&room.summed), WARPS * GROUPS * 512);
  if (w == 0) find_row(p, room.places, lane);
  asm volatile("bar.sync 3, 96;" ::: "memory");
  if (w >= ACTIVE) return;
  const float own = factor(c, min(lane, p.m - 1));
#pragma unroll 1
  for (int turn = 0; job.rank < job.present(turn); turn++) {
    const bool more = job.rank < job.present(turn + 1);
#pragma unroll 1
    for (int group = w; group < GROUPS; group += ACTIVE) {
      const int m = 8 * group + 2 * t;
      const Meeting e = meet<true>(p, room.places, job.s0 + turn * job.blocks + job.rank, 8 * group);
      barrier_wait(shared_address(&room.summed), turn & 1);
      if (more && group == 0 && lane == 0) barrier_expect(shared_address(&room.summed), WARPS * GROUPS * 512);
      const float4 a = total<GROUPS>(table, group);
      __syncwarp();
      if (more && group + ACTIVE >= GROUPS && lane < job.blocks) barrier_arrive(shared_address(&room.free[job.rank]) + once_loaded(__float_as_uint(a.x) | __float_as_uint(a.y)), lane);
      const float first = __shfl_sync(0xffffffff, own, m), second = __shfl_sync(0xffffffff, own, m + 1);
      if (m < p.m) finish<true>(p, room.places, e, 0, m, a.x * first, a.z * first);
      if (m + 1 < p.m) finish<true>(p, room.places, e, 1, m + 1, a.y * second, a.w * second);
    }
  }
}

template <class Q, int GROUPS> __device__ __forceinline__ void make_barriers(ClusterRoom &room, int arrive) {
  make_ring(room.full, room.empty, WARPS * arrive);
#pragma unroll
  for (int i = 0; i < Period<Q>::PERIOD; i++) barrier_init(shared_address(&room.taken[i]), 1);
#pragma unroll
  for (int i = 0; i < MOST_BLOCKS; i++) barrier_init(shared_address(&room.free[i]), GROUPS < FINISHERS ? GROUPS : FINISHERS);
  barrier_init(shared_address(&room.summed), 1);
  barrier_init_done();
}

template <class Q, int GROUPS> __device__ __forceinline__ void project(const ClusterParams &c, int i, ClusterRoom &room, unsigned char *memory) {
  const QuantParams &q = c.q;
  const Run *run = &q.run[i];
  const int w = threadIdx.x >> 5;
  const uint32_t cluster = blockIdx.x / c.cluster - run->block, clusters = run[1].block - run->block, strips = run[1].strip - run->strip;
  const int first = strips * cluster / clusters, end = strips * (cluster + 1) / clusters;
  const Job job = {(int)cluster_rank(), c.cluster, run->strip + first, end - first, run->stages};
  unsigned char *table = memory + q.x_bytes, *ring = table + WARPS * GROUPS * 512;
  if (w == WARPS) { // makes the barriers, and waits for nobody before it fetches
    if (elected()) make_barriers<Q, GROUPS>(room, q.p.arrive);
    __syncwarp();
    cluster_arrive();
    registers_lower<64>();
    const bool watched = q.p.arrive > 1; // under racecheck of compute-sanitizer nothing moves that has arrived and not waited
    if (watched) cluster_wait();
    fetch_parts<Q>(q, room, ring, job);
    if (!watched) cluster_wait();
    return;
  }
  cluster_sync();
  if (w < WARPS) { // 640 threads have 96 registers each; together no more after this
    registers_raise<104>();
    multiply_parts<Q, GROUPS>(c, room, memory, shared_address(table), ring, job);
    return;
  }
  registers_lower<64>();
  wait_for_previous();
  if (w == WARPS + FINISHERS) fetch_rows<Q, GROUPS>(c, c.taken[i], room, memory, job);
  finish_parts<GROUPS>(c, room, table, job);
}

template <int GROUPS> __device__ __forceinline__ void project_runs(const ClusterParams &c) {
  extern __shared__ __align__(128) unsigned char memory[];
  __shared__ ClusterRoom room;
  int i = 0;
  while (i + 1 < c.q.runs && (int)blockIdx.x / c.cluster >= c.q.run[i + 1].block) i++;
  switch (c.q.run[i].format) {
#define CASE(T) case T: return project<Quant<T>, GROUPS>(c, i, room, memory);
    CASE(Q8_0) CASE(Q4_0) CASE(Q4_K) CASE(Q6_K)
#undef CASE
  }
}
#define BOUNDS __launch_bounds__(640, 1)
#else
template <int GROUPS> __device__ __forceinline__ void project_runs(const ClusterParams &) {}
#define BOUNDS __launch_bounds__(32) // quant_cluster.go sees by this that there is no code
#endif

// Grid: clusters of up to 8 blocks, one a multiprocessor; 640 threads; the bytes of shared memory of quant_cluster.go. For up to
// 8·GROUPS rows.
#define CLUSTER(GROUPS) \
  extern "C" __global__ void BOUNDS quant_cluster_##GROUPS(const __grid_constant__ ClusterParams c) { project_runs<GROUPS>(c); }
CLUSTER(1) CLUSTER(2) CLUSTER(3) CLUSTER(4)
