// What a warp of decode attention does with a tile of 16 positions whose keys and values are in its
// registers as fragments: scores, weights and sums. Who loads them: attend_decode.cu and attend_ring.cu,
// whose results have the same bits.
#pragma once
#include "attend_decode_sums.cuh"

template <int T, int DIM, int COUNT = QUERIES, bool NEAR = false> struct DecodeTile : DecodeSums<T, DIM, COUNT, NEAR> {
  typedef DecodeSums<T, DIM, COUNT, NEAR> Sums;
  static constexpr int KB = DIM / 32, KR = DIM % 32 / 16; // 16-byte loads of a key, then one of 8
  using Sums::STEPS, Sums::PAIRS;
  using Sums::p, Sums::cut, Sums::warp, Sums::lane, Sums::g, Sums::t, Sums::sh, Sums::sum, Sums::top, Sums::total;
  using Sums::row, Sums::head, Sums::count;

  uint32_t k[2][KB * 4 + KR * 2], v[4][PAIRS];

  __device__ DecodeTile(const DecodeParams &p, typename Sums::Shared &sh) : Sums(p, sh) {}

  // Queries in units of log 2 as fragments, each as a rounded number and the rest. All are
  // asked for before the first is used.
  __device__ __forceinline__ void stage() {
    constexpr int EACH = (STEPS + WARPS - 1) / WARPS;
    float4 x[EACH];
#pragma unroll
    for (int j = 0; j < EACH; j++) {
      const int s = j * WARPS + warp, at = s < 2 * KB ? s / 2 * 32 + 8 * t + s % 2 * 4 : KB * 32 + 4 * t;
      const float *q = p.qkv + ((int64_t)row * (p.heads.q + 2 * p.heads.kv) + head + min(g, count - 1)) * DIM;
      x[j] = *(const float4 *)(q + (s < STEPS ? at : 0));
    }
#pragma unroll
    for (int j = 0; j < EACH; j++) {
      const int s = j * WARPS + warp;
      const float f = g < count ? p.heads.scale * LOG2E : 0;
      const float a = x[j].x * f, b = x[j].y * f, c = x[j].z * f, d = x[j].w * f;
      uint4 y;
      y.x = pack<T>(a, b), y.z = pack<T>(c, d);
      y.y = pack<T>(a - low<T>(y.x), b - high<T>(y.x)), y.w = pack<T>(c - low<T>(y.z), d - high<T>(y.z));
      if (s < STEPS && lane < 4 * COUNT) sh.queries[s * 4 * COUNT + lane] = y;
    }
  }

  // s: query g at positions 2t, 2t+1, 8+2t, 9+2t of the tile with these keys.
  template <int N> __device__ __forceinline__ void scores(float (&s)[4], const uint32_t (&k)[2][N]) const {
    float c[2][4] = {};
#pragma unroll
    for (int i = 0; i < STEPS; i++) {
      const uint4 a = lane < 4 * COUNT ? sh.queries[i * 4 * COUNT + lane] : make_uint4(0, 0, 0, 0);
#pragma unroll
      for (int n = 0; n < 2; n++) mma<T>(c[n], a.x, a.y, a.z, a.w, k[n][2 * i], k[n][2 * i + 1]);
    }
#pragma unroll
    for (int n = 0; n < 2; n++) s[2 * n] = c[n][0] + c[n][2], s[2 * n + 1] = c[n][1] + c[n][3];
  }

  // Takes the tile that begins at a position, of which at least one is in sight.
  __device__ __forceinline__ void weigh(float (&s)[4], int begin, uint32_t (&w)[2]) {
    if (begin < cut.first || begin + TILE - 1 > cut.last) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int at = begin + i / 2 * 8 + 2 * t + i % 2;
        if (at < cut.first || at > cut.last) s[i] = -INFINITY;
      }
    }
    float most = fmaxf(fmaxf(s[0], s[1]), fmaxf(s[2], s[3]));
    most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 1));
    most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 2));
    if (__any_sync(0xffffffff, most > top)) {
      const float next = fmaxf(top, most), old = top == -INFINITY ? 0 : exp2_fast(top - next);
      const float a = __shfl_sync(0xffffffff, old, 8 * t), b = __shfl_sync(0xffffffff, old, 8 * t + 4);
      total *= old, top = next;
#pragma unroll
      for (int i = 0; i < PAIRS; i++) sum[i][0] *= a, sum[i][1] *= b, sum[i][2] *= a, sum[i][3] *= b;
    }
    const float base = top - lift<T>;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      w[i] = pack<T>(exp2_fast(s[2 * i] - base), exp2_fast(s[2 * i + 1] - base));
      total += low<T>(w[i]) + high<T>(w[i]);
    }
  }

  __device__ __forceinline__ void add_values(const uint32_t (&w)[2]) {
#pragma unroll
    for (int i = 0; i < PAIRS; i++)
      mma<T>(sum[i], __byte_perm(v[0][i], v[1][i], 0x5410), __byte_perm(v[0][i], v[1][i], 0x7632),
             __byte_perm(v[2][i], v[3][i], 0x5410), __byte_perm(v[2][i], v[3][i], 0x7632), w[0], w[1]);
  }
};
