// A token drawn from all of a row, as package sample has it: the largest of
// x/T − ln(−ln u), u from Philox4x32-10 by seed, position and id; lowest id on ties. The
// operations are those of package sample one by one, none of them fused, so that the bits
// are. Rows without a temperature take their largest logit. −1 as kernel greedy has it.
// Grid: a block of 1024 for each row, which takes four ids a thread and turn.
#include "formats.cuh"

struct DrawRow {
  float temperature;
  uint32_t seed[2], position[2];
};
struct DrawParams {
  int32_t *dst;
  const float *logits;
  int64_t vocab;
  DrawRow row[64];
};

enum { NONE = 0x7fffffff }; // above every id, so that it loses each tie
#define COLDEST 1e-20f       // below it a row is greedy

__device__ __forceinline__ uint4 philox(uint32_t block, const DrawRow &r) {
  uint4 c = make_uint4(block, r.position[0], r.position[1], 0);
  uint32_t k0 = r.seed[0], k1 = r.seed[1];
#pragma unroll
  for (int i = 0; i < 10; i++) {
    const uint32_t h0 = __umulhi(0xd2511f53, c.x), l0 = 0xd2511f53 * c.x, h1 = __umulhi(0xcd9e8d57, c.z), l1 = 0xcd9e8d57 * c.z;
    c = make_uint4(h1 ^ c.y ^ k0, l1, h0 ^ c.w ^ k1, l0);
    k0 += 0x9e3779b9, k1 += 0xbb67ae85;
  }
  return c;
}

// The logarithm of a positive normal number, as ln of package sample.
__device__ __noinline__ double ln(double x) {
  const long long bits = __double_as_longlong(x);
  double m = __longlong_as_double((bits & 0x000fffffffffffffll) | 0x3fe0000000000000ll), k = (double)(int)((bits >> 52) - 1022);
  if (m < 0.70710678118654752440) m = __dmul_rn(m, 2), k = __dadd_rn(k, -1);
  const double s = __ddiv_rn(__dadd_rn(m, -1), __dadd_rn(m, 1)), z = __dmul_rn(s, s);
  double p = 1.0 / 21;
  p = __dadd_rn(__dmul_rn(p, z), 1.0 / 19), p = __dadd_rn(__dmul_rn(p, z), 1.0 / 17), p = __dadd_rn(__dmul_rn(p, z), 1.0 / 15);
  p = __dadd_rn(__dmul_rn(p, z), 1.0 / 13), p = __dadd_rn(__dmul_rn(p, z), 1.0 / 11), p = __dadd_rn(__dmul_rn(p, z), 1.0 / 9);
  p = __dadd_rn(__dmul_rn(p, z), 1.0 / 7), p = __dadd_rn(__dmul_rn(p, z), 1.0 / 5), p = __dadd_rn(__dmul_rn(p, z), 1.0 / 3);
  p = __dadd_rn(__dmul_rn(p, z), 1.0);
  return __dadd_rn(__dmul_rn(k, 6.93147180369123816490e-01), __dadd_rn(__dmul_rn(2, __dmul_rn(s, p)), __dmul_rn(k, 1.90821492927058770002e-10)));
}

__device__ __forceinline__ double gumbel(uint32_t w) { return -ln(-ln(__dmul_rn(__dadd_rn((double)w, 0.5), 1.0 / 4294967296.0))); }

// Not below gumbel(w): see gumbelBound of package sample.
__device__ __forceinline__ double bound(uint32_t w) { return (__clz(~w) + 1) * 0.6931471805599454; }

struct Leader {
  double score;
  int id;
  __device__ __forceinline__ void meet(double s, int i) {
    if (s > score || (s == score && i < id)) score = s, id = i;
  }
};

extern "C" __global__ void __launch_bounds__(1024) draw(const __grid_constant__ DrawParams p) {
  wait_for_previous();
  __shared__ double scores[32];
  __shared__ int ids[32], bads[32];
  const DrawRow &row = p.row[blockIdx.x];
  const bool cold = row.temperature < COLDEST;
  const float *x = p.logits + blockIdx.x * p.vocab;
  Leader best = {-INFINITY, NONE};
  double bar = -INFINITY; // the best of the warp: who cannot reach it needs no logarithm
  int bad = 0;
  for (int first = 0; first < p.vocab; first += 4096) {
    const int id = first + 4 * threadIdx.x;
    float l[4];
    float most = -INFINITY;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      l[j] = id + j < p.vocab ? x[id + j] : -INFINITY;
      if (!cold) l[j] = __fdiv_rn(l[j], row.temperature);
      if (l[j] != l[j] || l[j] == INFINITY) bad = 1;
      most = fmaxf(most, l[j]);
    }
    if (cold) {
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (l[j] > -INFINITY) best.meet(l[j], id + j);
    } else if (most > -INFINITY && most + 33 * 0.6931471805599454 >= bar) {
      const uint4 words = philox(id / 4, row);
      const uint32_t w[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (l[j] > -INFINITY && l[j] + bound(w[j]) >= fmax(bar, best.score)) best.meet(__dadd_rn((double)l[j], gumbel(w[j])), id + j);
    }
    bar = best.score;
#pragma unroll
    for (int o = 16; o; o >>= 1) bar = fmax(bar, __shfl_xor_sync(0xffffffff, bar, o));
  }
#pragma unroll
  for (int o = 16; o; o >>= 1) {
    const double s = __shfl_xor_sync(0xffffffff, best.score, o);
    best.meet(s, __shfl_xor_sync(0xffffffff, best.id, o));
  }
  bad = __any_sync(0xffffffff, bad);
  if (threadIdx.x % 32 == 0) scores[threadIdx.x / 32] = best.score, ids[threadIdx.x / 32] = best.id, bads[threadIdx.x / 32] = bad;
  __syncthreads();
  if (threadIdx.x) return;
  for (int w = 1; w < 32; w++) best.meet(scores[w], ids[w]), bad |= bads[w];
  p.dst[blockIdx.x] = bad || best.id == NONE ? -1 : best.id;
}
