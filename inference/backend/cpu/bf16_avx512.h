// Rounding to bf16 in AVX-512.

// 32 floats to nearest even, denormals to zero.
__attribute__((target("avx512f,avx512bf16"))) static inline __m512i bf16_of(__m512 low, __m512 high) {
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}
