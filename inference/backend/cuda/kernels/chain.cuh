// A stretch of projections of one decode row in one launch: from what attention leaves to the
// queries, keys and values of the layer behind, or to the logits. One row is a matter of latency:
// between kernels memory stands still, from the last weights of one to the first of the next, for
// some 3 us. Here the lane that fetches goes on to the weights of the next projection, as far as
// the ring is long, while blocks hand each other what they have multiplied (exchange.cuh).
//
// A block owns contiguous strips of each projection, and the order of every sum is that of
// project.cu and quant.cu: so are the bits. 16 warps multiply, each its slice of k, and take just
// that of the activations; one fetches; three finish strips, for one takes 1 us for each.
//
// All blocks must run at once: there are no more than multiprocessors, each of which holds one.
//
// Measured on an H200 that reads 4.63 TB/s, `llorch-cuda bench`, context 16: Llama-2-7B 323 tok/s, Llama-3-8B 292, in Q8_0 513 and in
// Q4_K_M 713, TinyLlama 1672. (With one kernel for each projection, when chains were new, beside
// chains: Llama-2-7B 298 tok/s beside 311, Llama-3-8B 263 beside 279, in Q8_0 398 beside 464, in Q4_K_M 476 beside 642, TinyLlama
// 1200 beside 1462.)
//
// Where a layer in Q4_K_M goes, by time stamps of all blocks, when it took 43.6 us, 27.5 of them enough for its bytes: multiplying
// 23.9 (o 2.1, gate and up 13.6, down 5.9, qkv 2.3); from the last product of one projection to the first of the next 3.8 to 4.3 each of
// three times, of which it takes 0.5 to tell results, 0.5 to 1.2 more until all have heard them, and 0.8 for 4096 to 1.9 for 14336 elements to become
// integers; attention with its two kernel boundaries 5.6, in which no weights come. A strip of 4096 k takes 0.75 us while the ring
// is full and 1.06 when memory is waited for, 171 instructions of a warp. So memory stands still where a ring is full, and one more stage
// made Q4_K_M 1.6 % faster, Q8_0 1.3, TinyLlama 1.9 with more under way at the beginning.
//
// Llama-2-7B, whose layers are longer: 3152 us a step, of which the bytes need 2860. Without attention, without waiting for words or for
// kernels in front it takes 3107: it is the ends of launches that cost, some 5.5 us each from when the last weights are asked for to when the next
// launch's first ones come.
//
// All that a multiprocessor reads comes the same way, a line of 128 bytes in some four cycles, and what is told waits in line with the
// weights, 0.9 MB of them a layer in Q4_K_M. Words of four bytes instead of eight with the launch's name, 61 KB a layer instead of 121, whole lines
// at a look: Q4_K_M 2.5 % faster, Q8_0 1. Half a line costs as much as all of it: words told singly in lines of which a look took half cost 0.9 %.
//
// Tried: looking at all words at once until they come, which keeps others' from coming (6 % slower at
// TinyLlama); pausing between looks (no gain); two strips in turns, for more independent instructions
// (20 % slower: registers); stages twice as large (4 % slower in Q4_K_M); as many weights under way while
// warps wait as while they multiply (2 to 10 % slower: what is told waits in line with them), or as many as the ring holds while they
// multiply (2 to 5 % slower); stages asked for no closer than 600 to
// 900 cycles (1 to 9 % slower); the first stage before all else, or the first ones without a look at barriers and at who
// waits (up to 4 % slower, all of it 4 to 9 %: other machine code for all warps, too); attention told to begin when this has
// begun (as fast, Q4_K_M 1 % slower); all lines of the parameters asked for at once by different warps (no gain).
// L2 asked for weights 4 to 16 stages before they are fetched, by bulk prefetches or by a warp that has nothing else to do: 10 to 20 %
// slower; only for what the next launch begins with, while attention is under way: 1 to 2 %. Four lanes for 32 elements that become
// integers, which are half the instructions: Q8_0 1.6 % slower, for a look then has twice the lines. Zeros made integers before words come, so that
// caches have the code: 2 to 7 % slower. The norm's weights brought into the first-level cache before (no gain), or not
// waited for before the words are (0.5 % slower). The first weights of a projection taken into registers before its row is there, so that
// the ring takes more: Llama-2-7B with two, four and six chunks 0.7, 2.8 and 4.5 % slower, Q4_K_M with two stages 10 to 12 %, for
// the ring is not full yet where they are waited for; Q8_0, in a kernel of its own, 1.2 % faster. A kernel of its own for Q4_K_M 0.6 %
// faster, for Q8_0 as fast. Eight layers in one launch, without attention and without waiting for it,
// took 1.5 to 2 us a layer less than one launch for each. Strips dealt out so that every block has had the same bytes after each projection: Llama-2-7B
// 1.9 % slower, TinyLlama 7.7, Llama-3-8B 0.9, Q8_0 3.1, Q4_K_M 2.1, for a block that had less before has its ring full all the same, and more strips to
// multiply. Fewer weights under way in blocks that have a strip less: Llama-2-7B 0.3 to 0.5 % faster, all others 0.2 to 2 % slower.
#pragma once
#include "exchange.cuh"
#include "hopper.cuh"
#include "project_finish.cuh"
#include "quant_multiply.cuh"

enum { PHASES = 4, MOST_TURNS = 8 };     // projections of a launch; turns of 2048 k that a row has
enum { RING = 13 };                      // stages of a ring, at most
enum Told { NOTHING, IN_PAIRS, SINGLY }; // how results are told: two in bf16 a word (pair_at), or one in float32
// What warps do: wait for what others tell, multiply, or wait for the kernel in front, before all else.
enum Turn { WAITING, MULTIPLYING, FIRST };

// A projection. p.x and p.gamma are of what it begins with: p.x is float32 rows where nothing was
// told. With bf16 weights a row has been told times gamma, and the squares of it.
struct Phase {
  QuantParams q;                   // bf16 weights are one run
  const uint32_t *in, *squares_in; // on the first side
  uint32_t *out, *squares_out;     // null: nobody hears
  int32_t heard, told;             // Told
  int32_t front, pad;              // front: the first blocks have the strips that are left over, not blocks between
};

struct ChainParams {
  Phase phase[PHASES];
  uint32_t *name;        // of the launch before
  uint32_t *words;       // that blocks tell each other, on two sides
  int32_t phases, slots; // of the ring
  int32_t x_bytes;       // of the activations, before the ring
  int32_t flight[3];     // stages under way at once: by Turn
  int32_t side, pad;     // words of a side
};

#if __CUDA_ARCH__ >= 900
// The launch's name, by which it takes its side. Block 0 gives it to the next launch when it has finished the last projection: by
// then all have asked, since every block has strips of one that the last one needs.
__device__ __forceinline__ uint32_t name_of(const ChainParams &c) {
  uint32_t before;
  asm volatile("ld.relaxed.gpu.global.b32 %0, [%1];" : "=r"(before) : "l"(c.name) : "memory");
  return before + 1;
}
__device__ __forceinline__ int side_of(const ChainParams &c, uint32_t launch) { return launch & 1 ? c.side : 0; }

// The word of a warp's look number i at a row in pairs that is this lane's first: two fours, of chunks 8i + lane/8 and 4 more.
// What a warp looks at at once is whole lines of memory: half a line takes as long.
__device__ __forceinline__ int pairs_at(int i) { return (i * WARPS + (threadIdx.x >> 5)) * 128 + (threadIdx.x & 31) * 4; }
// The word that has elements k and k+1 there.
__device__ __forceinline__ int pair_at(int k) {
  const int chunk = k / CHUNK, slice = k / 32 % WARPS, lane = chunk % 4 * 8 + k / 4 % 8;
  return (chunk / 8 * WARPS + slice) * 128 + lane * 4 + chunk / 4 % 2 * 2 + k / 2 % 2;
}
// The word of the squares of 16 elements: of 256 such a lane has eight that are 32 apart.
__device__ __forceinline__ int square_at(int i) { return (i & ~127) | (i & 31) << 2 | (i >> 5 & 3); }

// What a block has of a projection: strips of one format.
struct Share {
  int format, first, n;
};
__device__ __forceinline__ Share share_of(const Phase &f) {
  const QuantParams &q = f.q;
  int i = 0;
  while (i + 1 < q.runs && (int)blockIdx.x >= q.run[i + 1].block) i++;
  const uint32_t block = blockIdx.x - q.run[i].block, blocks = q.run[i + 1].block - q.run[i].block, strips = q.run[i + 1].strip - q.run[i].strip;
  if (block >= blocks) return {q.run[i].format, 0, 0};
  if (!f.front) {
    const int first = strips * block / blocks;
    return {q.run[i].format, q.run[i].strip + first, (int)(strips * (block + 1) / blocks) - first};
  }
  const uint32_t each = strips / blocks, more = strips % blocks; // the first blocks have one more: they begin first
  return {q.run[i].format, (int)(q.run[i].strip + each * block + min(block, more)), (int)(each + (block < more))};
}

// Bytes of 16 rows × 512 k, and how many of them are a stage.
struct RecordSize {
  int bytes, stage;
};

// What the warps of a block share beside activations and ring. Sums of strips wait in places, which
// are taken in turn, for the warps that finish them.
enum { FINISHERS = 3, PLACES = 6 };
struct ChainShared {
  float2 sums[PLACES][WARPS][8]; // of rows g and g+8
  float squares[2][WARPS];       // of a row, in parts, for a norm; projections take turns
  Share share[PHASES];
  int what;                      // Turn
  Place place[1];
  uint64_t filled[PLACES], emptied[PLACES];
  uint64_t full[RING], empty[RING];

  // One warp says for all what they do.
  __device__ __forceinline__ void turn(Turn to) { atomicExch(&what, to); }
  __device__ __forceinline__ int turned() { return atomicOr(&what, 0); }
};

// Puts a warp's sums where a finisher looks for them.
struct Filling {
  Cursor at = {0, 1}; // passes at once the first time round
  // Sums of rows g and g+8 that lanes 4g have.
  __device__ __forceinline__ void put(ChainShared &block, float2 sums, int arrive) {
    const int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
    barrier_wait(&block.emptied[at.stage], at.parity);
    if (lane % 4 == 0) block.sums[at.stage][w][lane / 4] = sums;
    filled(block, arrive);
  }
  // A lane's sum, at sums in the first place.
  __device__ __forceinline__ void put(ChainShared &block, float *sums, float sum, int arrive) {
    barrier_wait(&block.emptied[at.stage], at.parity);
    sums[at.stage * (sizeof(block.sums[0]) / sizeof(sum))] = sum;
    filled(block, arrive);
  }

private:
  __device__ __forceinline__ void filled(ChainShared &block, int arrive) {
    __syncwarp();
    if ((threadIdx.x & 31) < arrive) barrier_arrive(shared(&block.filled[at.stage]));
    at.next(PLACES);
  }
};

// Fetches the weights of all projections, one lane. It finds its share itself, for nobody else is there yet.
template <int SLOT, class Multiply> __device__ __forceinline__ void fetch_chain(const ChainParams &c, ChainShared &block, unsigned char *ring) {
  const uint64_t policy = evict_first();
  Cursor at = {}, landed = {};
  int under_way = 0;
  for (int i = 0; i < c.phases; i++) {
    const QuantParams &q = c.phase[i].q;
    const Share mine = share_of(c.phase[i]);
    const RecordSize record = Multiply::record_of(mine.format);
    for (int s = 0; s < mine.n; s++) {
      int within;
      const Part &part = q.p.part[part_of(q.p, mine.first + s, &within)];
      const unsigned char *from = (const unsigned char *)part.w + (int64_t)within * q.chunks * record.bytes;
      for (int k = 0; k < q.chunks; k += record.stage, at.next(c.slots)) {
        barrier_wait(&block.empty[at.stage], at.parity ^ 1); // passes at once the first time round
        for (under_way++; under_way > c.flight[block.turned()]; under_way--)
          barrier_wait(&block.full[landed.stage], landed.parity), landed.next(c.slots);
        fetch(ring + at.stage * SLOT, from + (int64_t)k * record.bytes, min(record.stage, q.chunks - k) * record.bytes, &block.full[at.stage], policy);
      }
    }
  }
  let_next_start();
}

// The norm's factor from squares as they are told, with the order of find_factors.
__device__ __forceinline__ float factor_heard(const Phase &f, int side) {
  const int lane = threadIdx.x & 31, n = f.q.p.squares_of;
  float sum = 0;
#pragma unroll 1
  for (int from = 0; from < n; from += 8 * 32) {
    const int left = n - from - lane; // of this lane's, 32 apart
    uint4 v[2] = {};
    hear(v, max(0, min(8, (left + 31) / 32)), [&](int i) { return f.squares_in + side + from + i * 128 + lane * 4; });
    const uint32_t words[8] = {v[0].x, v[0].y, v[0].z, v[0].w, v[1].x, v[1].y, v[1].z, v[1].w};
#pragma unroll
    for (int i = 0; i < 8; i++)
      if (i * 32 < left) sum += __uint_as_float(words[i]);
  }
  return 1 / sqrtf(warp_sum(sum) / f.q.p.k + f.q.p.eps);
}

// Tells the blocks that multiply next; lanes 4g have results of rows lo and hi.
__device__ __forceinline__ void tell_pairs(const Phase &f, const Meeting &e, float lo, float hi, int side) {
  const int lane = threadIdx.x & 31, odd = lane / 4 % 2;
  const float other_lo = __shfl_xor_sync(0xffffffff, lo, 4), other_hi = __shfl_xor_sync(0xffffffff, hi, 4);
  if (lane % 4) return;
  if (!odd && e.lo < f.q.p.part[e.which].rows) tell(f.out + side + pair_at(e.lo), pack(lo, other_lo));
  if (odd && e.hi < f.q.p.part[e.which].rows) tell(f.out + side + pair_at(e.hi), pack(other_hi, hi));
}

__device__ __forceinline__ void tell_sums(const Phase &f, const Meeting &e, float a, float b, int side) {
  const int lane = threadIdx.x & 31;
  if (f.told == IN_PAIRS) {
    tell_pairs(f, e, a * e.gamma[0], b * e.gamma[1], side);
    float square = fmaf(a, a, b * b);
    for (int i = 4; i < 32; i *= 2) square += __shfl_xor_sync(0xffffffff, square, i);
    if (lane == 0) tell(f.squares_out + side + square_at(e.lo / 16), __float_as_uint(square));
  } else if (lane % 4 == 0) {
    if (e.lo < f.q.p.part[e.which].rows) tell(f.out + side + e.lo, __float_as_uint(a));
    if (e.hi < f.q.p.part[e.which].rows) tell(f.out + side + e.hi, __float_as_uint(b));
  }
}

// Sums of a strip over the warps, in their order, and what becomes of them.
__device__ __forceinline__ void close_one(const Phase &f, const ChainShared &block, int place, const Meeting &e, float factor, int side) {
  const ProjectParams &p = f.q.p;
  const int lane = threadIdx.x & 31;
  const bool mine = lane % 4 == 0; // others have no results
  float2 sum = block.sums[place][0][lane / 4];
#pragma unroll
  for (int w = 1; w < WARPS; w++) {
    const float2 b = block.sums[place][w][lane / 4];
    sum.x += b.x, sum.y += b.y;
  }
  float a = sum.x * factor, b = sum.y * factor;
  if (mine) add_bias(p, e, a, b);
  if (p.epilogue == ROPE) {
    if (mine) rope(p, block.place[0], e, 0, e.a[0], e.b[0], a, b);
  } else if (p.epilogue == SWIGLU) {
    const float y = gated(a, b), other = __shfl_xor_sync(0xffffffff, y, 4);
    if (lane % 8 == 0) tell(f.out + side + pair_at(e.lo), pack(y, other));
  } else {
    if (mine) store_sums(p, e, 0, 0, a, b);
    if (f.out) tell_sums(f, e, a, b, side);
  }
}

// The norm's factor of a projection whose warps have seen the row, 1 without one.
__device__ __forceinline__ float factor_of(const Phase &f, const float (&squares)[WARPS]) {
  if (!f.q.p.gamma) return 1;
  float sum = 0;
#pragma unroll
  for (int w = 0; w < WARPS; w++) sum += squares[w];
  return 1 / sqrtf(sum / f.q.p.k + f.q.p.eps);
}

__device__ __forceinline__ void finishers_meet() { asm volatile("bar.sync 1, 96;" ::: "memory"); }

// Makes the side silent that the launch behind takes: the launch before has ended, which took it.
__device__ __forceinline__ void make_silent(const ChainParams &c, int side, int own) {
  uint4 *words = (uint4 *)(c.words + side);
  for (int i = (blockIdx.x * FINISHERS + own) * 32 + (threadIdx.x & 31); i < c.side / 4; i += gridDim.x * FINISHERS * 32)
    words[i] = make_uint4(SILENT, SILENT, SILENT, SILENT);
}

// What becomes of the strips of a block: a warp of FINISHERS has every third of each projection, the same
// ones where it has added to them before.
__device__ __forceinline__ void finish_chain(const ChainParams &c, ChainShared &block, int own) {
  wait_for_previous();
  const uint32_t launch = name_of(c);
  const int side = side_of(c, launch), last = c.phases - 1;
  make_silent(c, c.side - side, own);
  int done = 0; // strips of projections before
  for (int i = 0; i <= last; i++) {
    const Phase &f = c.phase[i];
    const Share mine = block.share[i];
    if (own == 0) find_row(f.q.p, block.place, threadIdx.x & 31);
    finishers_meet(); // who has no strip of a projection must not be two turns ahead of a place
    float factor = 0;
    for (int s = own; s < mine.n; s += FINISHERS) {
      const int at = done + s, place = at % PLACES;
      const Meeting e = meet<true>(f.q.p, block.place, mine.first + s, 0);
      if (s == own && f.squares_in) factor = factor_heard(f, side);
      barrier_wait(&block.filled[place], at / PLACES & 1);
      if (s == own && !f.squares_in) factor = factor_of(f, block.squares[i & 1]);
      close_one(f, block, place, e, factor, side);
      __syncwarp();
      if ((threadIdx.x & 31) < f.q.p.arrive) barrier_arrive(shared(&block.emptied[place]));
    }
    done += mine.n;
  }
  if (blockIdx.x == 0 && own == (block.share[last].n - 1) % FINISHERS && (threadIdx.x & 31) == 0) *c.name = launch;
}

// Of a lane's elements, four of every 2048 from k_of(0) on, those that are in the row.
__device__ __forceinline__ int turns_of(int k) { return k_of(0) < k ? (k - k_of(0) + 4 * CHUNK - 1) / (4 * CHUNK) : 0; }

// The warps that multiply take registers of the four others.
template <bool MORE> __device__ __forceinline__ void chain_registers() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  if (MORE) registers_raise<104>();
  else registers_lower<64>();
#endif
}

// What the 16 warps do, one projection after the other: Multiply::phase takes the activations of one and
// multiplies its strips.
template <class Multiply> __device__ __forceinline__ void multiply_chain(const ChainParams &c, ChainShared &block, unsigned char *memory) {
  uint32_t launch = 0; // not known before it is needed: it would be waited for
  Cursor at = {};
  Filling filling;
#pragma unroll 1
  for (int i = 0; i < c.phases; i++) {
    const Phase &f = c.phase[i];
    const Share mine = block.share[i];
    if (mine.n == 0) continue;
    if (f.in && launch == 0) launch = name_of(c);
    Multiply::phase(c, f, mine, i & 1, block, memory, side_of(c, launch), at, filling);
  }
}

template <int SLOT, class Multiply> __device__ __forceinline__ void chain(const ChainParams &c) {
  extern __shared__ __align__(128) unsigned char memory[];
  __shared__ ChainShared block;
  const int lane = threadIdx.x & 31, w = threadIdx.x >> 5, arrive = c.phase[0].q.p.arrive;
  if (w == WARPS) { // it waits for nobody: memory stands still until it asks for weights
    if (lane == 0) make_ring(block.full, block.empty, WARPS * arrive), block.what = FIRST, ring_made();
    __syncwarp();
    barriers_made<640>();
    chain_registers<false>();
    if (lane == 0) fetch_chain<SLOT, Multiply>(c, block, memory + c.x_bytes);
    return;
  }
  if (w == 0 && lane < c.phases) block.share[lane] = share_of(c.phase[lane]);
  if (w == WARPS + 1 && lane == 0) {
#pragma unroll
    for (int i = 0; i < PLACES; i++) barrier_init(&block.filled[i], WARPS * arrive), barrier_init(&block.emptied[i], arrive);
  }
  wait_for_barriers<640>();
  if (w < WARPS) { // 640 threads have 96 registers each; together no more after this
    chain_registers<true>();
    wait_for_previous();
    multiply_chain<Multiply>(c, block, memory);
    return;
  }
  chain_registers<false>();
  finish_chain(c, block, w - WARPS - 1);
}
#endif
