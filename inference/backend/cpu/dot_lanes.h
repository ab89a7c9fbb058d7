// What the x86 vocabularies of int8 tiles (body_int8.h) share: a panel has the bytes
// of four neighbours in k of a weight row in a 32-bit lane.

#define DOT_K 4

// Turns the codes of VL unpacked rows, which begin at row h of the panel, into their
// lanes of the records. n <= SUPER weights of each.
FN void dot_codes(const int type, char *panel, int64_t record, int64_t h, const unpacked *rows, int n) {
  vf v[VL];
  for (int i = 0; i < n / 4; i += VL) { // 4*VL weights as VL dwords
#pragma GCC unroll 16
    for (int r = 0; r < VL; r++) v[r] = dot_code(type, rows[r].code + 4 * i);
    vtranspose(v);
#pragma GCC unroll 16
    for (int j = 0; j < VL; j++)
      if (i + j < n / 4) vstore((float *)(panel + (i + j) / 8 * record + (i + j) % 8 * MR * 4) + h, v[j]);
  }
}
