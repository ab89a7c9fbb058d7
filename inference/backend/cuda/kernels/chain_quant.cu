// A stretch of projections of one decode row with quantised weights (chain.cuh).
#include "chain.cuh"

#if __CUDA_ARCH__ >= 900
enum { SLOT = 18432 }; // the largest stage of a format

// A lane's fours of a row, from number `from` on, N of them: as they have been told, or from memory.
template <int HEARD, int N> __device__ __forceinline__ void take_fours(const Phase &f, int side, int from, float4 (&v)[N]) {
  const int n = max(0, min(N, turns_of(f.q.p.k) - from));
  if constexpr (HEARD == IN_PAIRS) {
    uint4 words[N / 2] = {};
    hear(words, 2 * n, [&](int i) { return f.in + side + pairs_at(from / 2 + i); });
#pragma unroll
    for (int i = 0; i < N; i++) {
      const uint2 pairs = i % 2 ? make_uint2(words[i / 2].z, words[i / 2].w) : make_uint2(words[i / 2].x, words[i / 2].y);
      v[i] = widened(i < n ? pairs : make_uint2(0, 0));
    }
  } else if constexpr (HEARD == SINGLY) {
    uint4 words[N] = {};
    hear(words, 4 * n, [&](int i) { return f.in + side + k_of(from + i); });
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = make_float4(__uint_as_float(words[i].x), __uint_as_float(words[i].y), __uint_as_float(words[i].z), __uint_as_float(words[i].w));
  } else {
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = load_x(f.q.p.x, k_of(from + i), f.q.p.k);
  }
}

// The warp's slice of a row, N fours of a lane at once, and what belongs to it. parity: where its squares go.
template <class Q, int HEARD, int N> __device__ __forceinline__ void take_slice(const Phase &f, const Taken &to, ChainShared &block, int side, int parity) {
  const ProjectParams &p = f.q.p;
  const bool norm = HEARD == SINGLY && p.gamma;
  float squares = 0;
#pragma unroll 1
  for (int from = 0; 4 * from < to.chunks; from += N) {
    float4 v[N], gamma[N];
    if (norm) {
#pragma unroll
      for (int i = 0; i < N; i++) gamma[i] = four(p.gamma_type, p.gamma, k_of(from + i) < p.k ? k_of(from + i) : 0);
    }
    take_fours<HEARD, N>(f, side, from, v);
#pragma unroll
    for (int i = 0; i < N; i++) {
      if (norm) squares += squares_of(v[i]), v[i] = times(v[i], gamma[i]);
      if (4 * (from + i) < to.chunks) put<Q>(to, chunk_of(from + i), 0, v[i]);
    }
  }
  if (norm) squares = warp_sum(squares);
  if (norm && (threadIdx.x & 31) == 0) block.squares[parity][threadIdx.x >> 5] = squares;
}

template <class Q> __device__ __forceinline__ void take_slice(const Phase &f, const Taken &to, ChainShared &block, int side, int parity) {
  __syncwarp(); // the slice before has been read
  switch (f.heard) {
    case IN_PAIRS: take_slice<Q, IN_PAIRS, MOST_TURNS>(f, to, block, side, parity); break;
    case SINGLY: take_slice<Q, SINGLY, 2>(f, to, block, side, parity); break;
    default: take_slice<Q, NOTHING, 2>(f, to, block, side, parity);
  }
  __syncwarp();
}

// An address in shared memory that the compiler keeps, as it comes out of a shuffle, and does not compute again for
// every strip.
__device__ __forceinline__ uint32_t kept(uint32_t address) { return __shfl_sync(0xffffffff, address, threadIdx.x & 31); }
template <class T> __device__ __forceinline__ T *kept(T *p) { return (T *)__cvta_shared_to_generic(kept(shared(p))); }
template <class At> __device__ __forceinline__ void keep(At &at) {
  const unsigned char **p = (const unsigned char **)&at;
#pragma unroll
  for (int i = 0; i < (int)(sizeof(at) / sizeof(*p)); i++) p[i] = kept(p[i]);
}

struct MultiplyQuant {
  static __device__ __forceinline__ RecordSize record_of(int format) {
    switch (format) {
#define CASE(T) case T: return {Quant<T>::BYTES, Quant<T>::STAGE};
      CASE(Q8_0) CASE(Q4_0) CASE(Q4_K) CASE(Q6_K)
#undef CASE
    }
    return {};
  }

  // n strips with a row of activations. ALL: registers hold it.
  template <bool ALL, class Q> static __device__ __forceinline__ void strips(const Taken &x, int n, ChainShared &block, Records<Q, SLOT> &records, Filling &filling) {
    Row<Q, ALL> row(x);
    float *sums = kept((float *)block.sums[0][threadIdx.x >> 5] + (threadIdx.x & 31) / 4 * 2 + (threadIdx.x & 1));
#pragma unroll 1
    for (int s = 0; s < n; s++) {
      const float sum = multiply_one<Q>(records, row);
      filling.put(block, sums, sum, records.arrive);
    }
  }

  // The block's strips of a projection, of one format.
  template <class Q> static __device__ __forceinline__ void strips(const ChainParams &c, const Phase &f, const Share &mine, int parity, ChainShared &block, unsigned char *memory, int side, Cursor &at, Filling &filling) {
    const int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
    const Taken x(memory, (f.q.chunks + 3) / 4 * 4, 1);
    take_slice<Q>(f, x, block, side, parity);
    if (threadIdx.x == 0) block.turn(MULTIPLYING);
    Records<Q, SLOT> records = {kept(shared(block.full)), shared(block.empty) - shared(block.full), {}, {}, at, c.slots, f.q.chunks, f.q.p.arrive};
    records.begin_at(at_of<Q>(memory + c.x_bytes, w, lane));
    keep(records.first), keep(records.scales);
    if (f.q.chunks == HELD) strips<true>(x, mine.n, block, records, filling);
    else strips<false>(x, mine.n, block, records, filling);
    at = records.at;
    if (threadIdx.x == 0) block.turn(WAITING);
  }

  static __device__ __forceinline__ void phase(const ChainParams &c, const Phase &f, const Share &mine, int parity, ChainShared &block, unsigned char *memory, int side, Cursor &at, Filling &filling) {
    switch (mine.format) {
#define CASE(T) case T: strips<Quant<T>>(c, f, mine, parity, block, memory, side, at, filling); break;
      CASE(Q8_0) CASE(Q4_0) CASE(Q4_K) CASE(Q6_K)
#undef CASE
    }
  }
};
#endif

// Grid: one block a multiprocessor; 640 threads; x_bytes and the ring of shared memory.
extern "C" __global__ void __launch_bounds__(640, 1) chain_quant(const __grid_constant__ ChainParams c) {
#if __CUDA_ARCH__ >= 900
  chain<SLOT, MultiplyQuant>(c);
#endif
}
