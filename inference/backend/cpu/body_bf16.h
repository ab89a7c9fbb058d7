// n floats of a row from x, scaled, zeros behind, as 32 bf16.
FN __m512i bf16_some(const float *x, int64_t n, vf scale) {
  if (n >= 2 * VL) return bf16_of(vmul(vload(x), scale), vmul(vload(x + VL), scale));
  return bf16_of(vmul(vloadn(x, n < VL ? n : VL), scale), n > VL ? vmul(vloadn(x + VL, n - VL), scale) : vzero());
}
