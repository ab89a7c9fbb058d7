// Element-wise and by-row kernels: number formats, exp, RMSNorm, SwiGLU, RoPE,
// and the two layouts activations are packed into. All are bound by the cache
// they read from; together they are under 1 % of a step.

// VL elements from p, which may have any alignment.
FN vf widen(const int type, const void *p) {
  if (type == LLO_F16) return widen_f16(p);
  if (type == LLO_BF16) return widen_bf16(p);
  return vload((const float *)p);
}
// n < VL elements, zeros behind; reads no byte past them.
FN vf widen_some(const int type, const void *p, int64_t n) {
  char tail[VL * 4] = {0};
  memcpy(tail, p, (size_t)(n * type_bytes(type)));
  return widen(type, tail);
}

FN void widen_row(const int type, float *dst, const char *src, int64_t n) {
  int64_t i = 0;
  for (; i + VL <= n; i += VL) vstore(dst + i, widen(type, src + i * type_bytes(type)));
  if (i < n) vstoren(dst + i, widen_some(type, src + i * type_bytes(type), n - i), n - i);
}

// VL elements from element i, a multiple of VL, of a row of Q8_0.
FN vf widen_levels(const char *row, int64_t i) {
  const char *block = row + i / 32 * 34;
  return vmul(vhalf(block), widen_i8(block + 2 + i % 32));
}
FN void widen_q8_0(float *dst, const char *src, int64_t n) {
  for (int64_t i = 0; i < n; i += VL) vstore(dst + i, widen_levels(src, i));
}
LLO_TARGET static void k_widen(float *dst, const void *src, int type, int64_t n) {
  if (type == LLO_F16) widen_row(LLO_F16, dst, src, n);
  else if (type == LLO_BF16) widen_row(LLO_BF16, dst, src, n);
  else if (type == LLO_F32) memcpy(dst, src, (size_t)n * 4);
  else if (type == LLO_Q8_0) widen_q8_0(dst, src, n);
  else llo_dequantize(type, dst, src, n);
}

FN void narrow_row(const int type, char *dst, const float *src, int64_t n) {
  for (int64_t i = 0; i < n; i += VL) {
    char out[VL * 2];
    int64_t m = n - i < VL ? n - i : VL;
    vf v = m == VL ? vload(src + i) : vloadn(src + i, m);
    if (type == LLO_F16) narrow_f16(out, v);
    else narrow_bf16(out, v);
    memcpy(dst + i * 2, out, (size_t)m * 2);
  }
}

// One block of Q8_0: the largest magnitude is level 127, levels are rounded to
// nearest, ties away from zero; a block that is not finite becomes NaN. These
// are the bits that package tensor writes.
FN void narrow_block(char *dst, const float *x) {
  uint32_t bits[32], most = 0;
  uint16_t scale = 0x7e00;
  int8_t level[32] = {0};
  memcpy(bits, x, sizeof bits);
  for (int j = 0; j < 32; j++) most = (bits[j] & 0x7fffffff) > most ? bits[j] & 0x7fffffff : most;
  if (most < 0x7f800000) {
    float peak, d, inverse;
    memcpy(&peak, &most, 4);
    char halves[2 * VL];
    d = peak / 127, inverse = 1 / d;
    if (inverse > 0x1.fffffep127f) inverse = 0;
    for (int j = 0; j < 32; j++) {
      float v = x[j] * inverse;
      int32_t whole = (int32_t)v;
      float rest = v - (float)whole;
      level[j] = (int8_t)(whole + (rest >= 0.5f) - (rest <= -0.5f));
    }
    narrow_f16(halves, vset1(d));
    memcpy(&scale, halves, 2);
  }
  memcpy(dst, &scale, 2);
  memcpy(dst + 2, level, 32);
}
FN void narrow_q8_0(char *dst, const float *src, int64_t n) {
  for (int64_t i = 0; i < n; i += 32, dst += 34) narrow_block(dst, src + i);
}
LLO_TARGET static void k_narrow(void *dst, const float *src, int type, int64_t n) {
  if (type == LLO_F16) narrow_row(LLO_F16, dst, src, n);
  else if (type == LLO_BF16) narrow_row(LLO_BF16, dst, src, n);
  else if (type == LLO_Q8_0) narrow_q8_0(dst, src, n);
  else memcpy(dst, src, (size_t)n * 4);
}

LLO_TARGET static void k_exp(float *x, int64_t n) {
  int64_t i = 0;
  for (; i + VL <= n; i += VL) vstore(x + i, vexp(vload(x + i)));
  if (i < n) vstoren(x + i, vexp(vloadn(x + i, n - i)), n - i);
}

// 1 / sqrt(mean(x^2) + eps)
LLO_TARGET static float k_rms(const float *x, int64_t n, float eps) {
  vf a = vzero(), b = vzero();
  int64_t i = 0;
  for (; i + 2 * VL <= n; i += 2 * VL) {
    vf u = vload(x + i), v = vload(x + i + VL);
    a = vfma(u, u, a), b = vfma(v, v, b);
  }
  for (; i < n; i += VL) {
    vf u = n - i < VL ? vloadn(x + i, n - i) : vload(x + i);
    a = vfma(u, u, a);
  }
  return 1.0f / __builtin_sqrtf(vsum(vadd(a, b)) / (float)n + eps);
}

// dst = x * scale * w
FN void weigh_row(const int wtype, float *dst, const float *x, vf scale, const char *w, int64_t n) {
  int64_t i = 0, es = type_bytes(wtype);
  for (; i + VL <= n; i += VL) vstore(dst + i, vmul(vmul(vload(x + i), scale), widen(wtype, w + i * es)));
  if (i < n) {
    vf t = widen_some(wtype, w + i * es, n - i);
    vstoren(dst + i, vmul(vmul(vloadn(x + i, n - i), scale), t), n - i);
  }
}
LLO_TARGET static void k_weigh(float *dst, const float *x, float scale, const void *w, int wtype, int64_t n) {
  if (wtype == LLO_F16) weigh_row(LLO_F16, dst, x, vset1(scale), w, n);
  else if (wtype == LLO_BF16) weigh_row(LLO_BF16, dst, x, vset1(scale), w, n);
  else weigh_row(LLO_F32, dst, x, vset1(scale), w, n);
}

// dst = gate / (1 + e^-gate) * up
FN vf swiglu(vf g, vf u) { return vmul(vdiv(g, vadd(vset1(1), vexp(vsub(vzero(), g)))), u); }
LLO_TARGET static void k_swiglu(float *dst, const float *gate, const float *up, int64_t n) {
  int64_t i = 0;
  for (; i + VL <= n; i += VL) vstore(dst + i, swiglu(vload(gate + i), vload(up + i)));
  if (i < n) vstoren(dst + i, swiglu(vloadn(gate + i, n - i), vloadn(up + i, n - i)), n - i);
}

// Rotates pairs (a, b) of one head: (a c - b s, b c + a s).
LLO_TARGET static void k_rotate(float *x, const float *c, const float *s, int64_t dim, int interleaved) {
  int64_t h = dim / 2, i = 0;
  if (interleaved) {
    for (; i < h; i++) {
      float a = x[2 * i], b = x[2 * i + 1];
      x[2 * i] = a * c[i] - b * s[i], x[2 * i + 1] = b * c[i] + a * s[i];
    }
    return;
  }
  for (; i + VL <= h; i += VL) {
    vf a = vload(x + i), b = vload(x + h + i), vc = vload(c + i), vs = vload(s + i);
    vstore(x + i, vsub(vmul(a, vc), vmul(b, vs)));
    vstore(x + h + i, vadd(vmul(b, vc), vmul(a, vs)));
  }
  for (; i < h; i++) {
    float a = x[i], b = x[h + i];
    x[i] = a * c[i] - b * s[i], x[h + i] = b * c[i] + a * s[i];
  }
}

// The decode layouts pad k to a multiple of 2*VL with zeros. Split: of every
// 2*VL elements first those of even, then those of odd index, which is how
// split_bf16 hands out weights.
FN void split(float *dst, const float *x, int64_t k) {
  int64_t i = 0;
  for (; i + 2 * VL <= k; i += 2 * VL)
    for (int64_t j = 0; j < VL; j++) dst[i + j] = x[i + 2 * j], dst[i + VL + j] = x[i + 2 * j + 1];
  if (i == k) return;
  for (int64_t j = 0; j < VL; j++) {
    dst[i + j] = i + 2 * j < k ? x[i + 2 * j] : 0;
    dst[i + VL + j] = i + 2 * j + 1 < k ? x[i + 2 * j + 1] : 0;
  }
}

// The prefill layout of one tile of t <= NT rows: [k][NT].
FN void tile(float *dst, const float *x, int64_t ldx, int64_t k, int64_t t) {
  for (int64_t j = 0; j < NT; j++) {
    const float *row = x + j * ldx;
    if (j < t)
      for (int64_t i = 0; i < k; i++) dst[i * NT + j] = row[i];
    else
      for (int64_t i = 0; i < k; i++) dst[i * NT + j] = 0;
  }
}

FN int64_t padded_cols(int64_t cols) { return (cols + 2 * VL - 1) / (2 * VL) * 2 * VL; }

FN void natural(float *dst, const float *x, int64_t k) {
  memcpy(dst, x, (size_t)k * 4);
  for (int64_t i = k, wide = padded_cols(k); i < wide; i++) dst[i] = 0;
}
