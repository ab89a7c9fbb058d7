// The vocabulary of int8 tiles (body_int8.h) for sets that multiply four unsigned
// bytes with four signed ones into each 32-bit lane: VNNI.

#define DOT_FROM 128 // a panel byte is the weight's integer + DOT_FROM

FN vf dot_code(const int type, const uint8_t *p) { return (void)type, vload((const float *)p); }
#include "dot_lanes.h"

// acc[t] = start[t] + the sums of n*DOT_K products of each of MR weight rows with token t.
FN void dot_sums(const int type, const int T, vi acc[DOT_NT][2], const int n, const char *panel, const int8_t *x, const int32_t *start) {
  (void)type;
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) acc[t][0] = acc[t][1] = viset1(start + t);
#pragma GCC unroll 8
  for (int i = 0; i < n; i++) {
    vi u = viload(panel + i * MR * 4), v = viload(panel + i * MR * 4 + VL * 4);
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) {
      vi q = viset1((const int32_t *)x + i * DOT_NT + t);
      acc[t][0] = vidot(acc[t][0], u, q);
      acc[t][1] = vidot(acc[t][1], v, q);
    }
  }
}
