// The functions of package sample, operation by operation and none of them fused, so that the bits are the same.
#pragma once
#include "formats.cuh"

enum { NONE = 0x7fffffff }; // above every id, so that it loses each tie
#define COLDEST 1e-20f       // the temperature below which a row is greedy

// Philox4x32-10: the random words of ids 4·block to 4·block+3.
__device__ __forceinline__ uint4 philox(uint32_t block, const uint32_t (&seed)[2], const uint32_t (&position)[2]) {
  uint4 c = make_uint4(block, position[0], position[1], 0);
  uint32_t k0 = seed[0], k1 = seed[1];
#pragma unroll
  for (int i = 0; i < 10; i++) {
    const uint32_t h0 = __umulhi(0xd2511f53, c.x), l0 = 0xd2511f53 * c.x, h1 = __umulhi(0xcd9e8d57, c.z), l1 = 0xcd9e8d57 * c.z;
    c = make_uint4(h1 ^ c.y ^ k0, l1, h0 ^ c.w ^ k1, l0);
    k0 += 0x9e3779b9, k1 += 0xbb67ae85;
  }
  return c;
}

// The logarithm of a positive normal number.
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

// exp(x) for x <= 0, in units of 2⁻⁴⁰: sums do not depend on their order.
__device__ __forceinline__ uint64_t weight(double x) {
  if (!(x >= -28.5)) return 0; // below half a unit
  const double inverse[14] = {1, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320, 1. / 362880, 1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800};
  const double k = floor(__dadd_rn(__dmul_rn(x, 1.44269504088896338700e+00), 0.5));
  const double r = __dsub_rn(__dsub_rn(x, __dmul_rn(k, 6.93147180369123816490e-01)), __dmul_rn(k, 1.90821492927058770002e-10));
  double p = inverse[13];
#pragma unroll
  for (int n = 12; n >= 0; n--) p = __dadd_rn(__dmul_rn(r, p), inverse[n]);
  const double power = __longlong_as_double((long long)((int)k + 40 + 1023) << 52);
  return __double2ull_rz(__dadd_rn(__dmul_rn(p, power), 0.5));
}

struct Leader {
  double score;
  int id;
  __device__ __forceinline__ void meet(double s, int i) {
    if (s > score || (s == score && i < id)) score = s, id = i;
  }
};

// An order of likelihood as numbers: the larger logit first, the lower id among equals.
__device__ __forceinline__ uint64_t order(float l, int id) {
  const uint32_t bits = __float_as_uint(l + 0.0f); // -0 is 0
  return (uint64_t)(bits & 0x80000000 ? ~bits : bits | 0x80000000) << 32 | ~(uint32_t)id;
}
