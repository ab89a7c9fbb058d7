// The vocabulary of int8 tiles (body_int8.h) for the matrix multiplication of
// ARMv8.6: an instruction multiplies eight neighbours in k of two rows with those
// of two others into 2x2 lanes. Both sides are signed.

#define DOT_K 8    // neighbours in k that lie together
#define DOT_FROM 0 // a panel byte is the weight's integer
#define DOT_NT 6   // tokens of a tile: 3*4 integer and 6*2 float accumulators of 32 registers

typedef int32x4_t vi;
FN vf vifloat(vi v) { return vcvtq_f32_s32(v); }
FN vi lower_halves(vi a, vi b) { return vreinterpretq_s32_s64(vtrn1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b))); }
FN vi upper_halves(vi a, vi b) { return vreinterpretq_s32_s64(vtrn2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b))); }

// acc[t] = the sums of n*DOT_K products of each of MR weight rows with token t.
FN void dot_sums(const int type, const int T, vi acc[DOT_NT][2], const int n, const char *panel, const int8_t *x, const int32_t *start) {
  vi two[DOT_NT / 2][MR / 2]; // of a pair of tokens and a pair of rows: t r, t r+1, t+1 r, t+1 r+1
  (void)type, (void)start;
#pragma GCC unroll 8
  for (int t = 0; t < T / 2; t++)
#pragma GCC unroll 8
    for (int r = 0; r < MR / 2; r++) two[t][r] = vdupq_n_s32(0);
#pragma GCC unroll 8
  for (int i = 0; i < n; i++, panel += MR * DOT_K, x += DOT_NT * DOT_K) {
    int8x16_t w[MR / 2];
#pragma GCC unroll 8
    for (int r = 0; r < MR / 2; r++) w[r] = vreinterpretq_s8_u8(vbytes(panel + 16 * r));
#pragma GCC unroll 8
    for (int t = 0; t < T / 2; t++) {
      int8x16_t q = vreinterpretq_s8_u8(vbytes(x + 16 * t));
#pragma GCC unroll 8
      for (int r = 0; r < MR / 2; r++) two[t][r] = vmmlaq_s32(two[t][r], q, w[r]);
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; t += 2)
#pragma GCC unroll 2
    for (int v = 0; v < 2; v++) {
      acc[t][v] = lower_halves(two[t / 2][2 * v], two[t / 2][2 * v + 1]);
      acc[t + 1][v] = upper_halves(two[t / 2][2 * v], two[t / 2][2 * v + 1]);
    }
}

// Turns the codes of VL unpacked rows, which begin at row h of the panel, into their
// places in the records. n <= SUPER weights of each.
FN void dot_codes(const int type, char *panel, int64_t record, int64_t h, const unpacked *rows, int n) {
  (void)type;
  const uint8x16_t sign = vdupq_n_u8(0x80);
  for (int k = 0; k < n; k += 16) {
    uint8_t *p = (uint8_t *)panel + k / 32 * record + k % 32 * MR + h * DOT_K;
#pragma GCC unroll 4
    for (int r = 0; r < VL; r++) {
      uint8x16_t v = veorq_u8(vbytes(rows[r].code + k), sign);
      vst1_u8(p + r * DOT_K, vget_low_u8(v)), vst1_u8(p + MR * DOT_K + r * DOT_K, vget_high_u8(v));
    }
  }
}
