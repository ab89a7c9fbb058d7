// The vocabulary of int8 tiles (body_int8.h) for sets that multiply four unsigned
// bytes with four signed ones into each 32-bit lane: VNNI.

#define DOT_K 4      // neighbours in k that lie together
#define DOT_FROM 128 // a panel byte is the weight's integer + DOT_FROM

// acc[t] = start[t] + the sums of n*DOT_K products of each of MR weight rows with token t.
FN void dot_sums(vi acc[DOT_NT][2], const int n, const char *panel, const int8_t *x, const int32_t *start) {
#pragma GCC unroll 8
  for (int t = 0; t < DOT_NT; t++) acc[t][0] = acc[t][1] = viset1(start + t);
#pragma GCC unroll 8
  for (int i = 0; i < n; i++) {
    vi u = viload(panel + i * MR * 4), v = viload(panel + i * MR * 4 + VL * 4);
#pragma GCC unroll 8
    for (int t = 0; t < DOT_NT; t++) {
      vi q = viset1((const int32_t *)x + i * DOT_NT + t);
      acc[t][0] = vidot(acc[t][0], u, q);
      acc[t][1] = vidot(acc[t][1], v, q);
    }
  }
}

// Turns the codes of VL unpacked rows, which begin at row h of the panel, into their
// lanes of the records. n <= SUPER weights of each.
FN void dot_codes(char *panel, int64_t record, int64_t h, const unpacked *rows, int n) {
  vf v[VL];
  for (int i = 0; i < n / 4; i += VL) { // 4*VL weights as VL dwords
#pragma GCC unroll 16
    for (int r = 0; r < VL; r++) v[r] = vload((const float *)(rows[r].code + 4 * i));
    vtranspose(v);
#pragma GCC unroll 16
    for (int j = 0; j < VL; j++)
      if (i + j < n / 4) vstore((float *)(panel + (i + j) / 8 * record + (i + j) % 8 * MR * 4) + h, v[j]);
  }
}
