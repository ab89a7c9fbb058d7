// The vector vocabulary of the kernel bodies, in C that any gcc or clang
// compiles to whatever 128-bit unit the target has. It is the kernels' own
// reference: the self-test compares every instruction set with it.
#include <math.h>
#include <string.h>
#include "llo.h"

#define VL 4
#define NT 4
#define GR 4
#define GT 2
#define LLO_TARGET
#define FN static inline __attribute__((always_inline))
#define TABLE llo_portable
#define TABLE_NAME "portable"

typedef float vf __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));

FN vf vset1(float x) { return (vf){x, x, x, x}; }
FN vf vzero(void) { return vset1(0); }
FN vf vload(const float *p) {
  vf v = vzero();
  memcpy(&v, p, sizeof v);
  return v;
}
FN void vstore(float *p, vf v) { memcpy(p, &v, sizeof v); }
FN vf vadd(vf a, vf b) { return a + b; }
FN vf vsub(vf a, vf b) { return a - b; }
FN vf vmul(vf a, vf b) { return a * b; }
FN vf vdiv(vf a, vf b) { return a / b; }
FN vf vfma(vf a, vf b, vf c) { return a * b + c; }
FN vf vmax(vf a, vf b) {
  vf r = vzero();
  for (int i = 0; i < VL; i++) r[i] = a[i] > b[i] ? a[i] : b[i];
  return r;
}
FN vf vloadn(const float *p, int64_t n) {
  vf v = vzero();
  memcpy(&v, p, (size_t)n * 4);
  return v;
}
FN void vstoren(float *p, vf v, int64_t n) { memcpy(p, &v, (size_t)n * 4); }
FN float vsum(vf v) { return (v[0] + v[2]) + (v[1] + v[3]); }
FN float vhmax(vf v) {
  float a = v[0] > v[1] ? v[0] : v[1], b = v[2] > v[3] ? v[2] : v[3];
  return a > b ? a : b;
}

FN float bits_float(uint32_t b) {
  float f;
  memcpy(&f, &b, 4);
  return f;
}
FN uint32_t float_bits(float f) {
  uint32_t b;
  memcpy(&b, &f, 4);
  return b;
}

// Round to nearest even; below 2^-14 the unit is 2^-24.
FN uint16_t float_f16(float x) {
  uint32_t b = float_bits(x), sign = b >> 16 & 0x8000, a = b & 0x7fffffff;
  if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00);
  if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  if (a < 0x38800000) return (uint16_t)(sign | (uint32_t)rintf(bits_float(a) * 0x1p24f));
  a += 0xfff + (a >> 13 & 1);
  return (uint16_t)(sign | (a - 0x38000000) >> 13);
}
FN uint16_t float_bf16(float x) {
  uint32_t b = float_bits(x);
  if ((b & 0x7fffffff) > 0x7f800000) return (uint16_t)(b >> 16 | 0x40);
  return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}

// Weights are little-endian, as is every host that this runs on.
FN vu load_halves(const void *p) {
  uint16_t __attribute__((vector_size(8))) h;
  memcpy(&h, p, sizeof h);
  return __builtin_convertvector(h, vu);
}
FN vu spread(uint32_t x) { return (vu){x, x, x, x}; }

// Exponents are moved from bias 15 to 127. A subnormal gets the exponent 2^-14
// and loses it again by a subtraction, which is exact and meets no float32
// subnormal; infinity and NaN are moved twice as far.
FN vf widen_f16(const void *p) {
  vu h = load_halves(p), e = h & spread(0x7c00), v = ((h & spread(0x7fff)) << 13) + spread(112u << 23);
  vf sub = (vf)(v + spread(1u << 23)) - vset1(0x1p-14f);
  vu zero = (vu)(e == spread(0)), full = (vu)(e == spread(0x7c00));
  v += full & spread(112u << 23);
  return (vf)((v & ~zero) | ((vu)sub & zero) | (h & spread(0x8000)) << 16);
}
FN vf widen_bf16(const void *p) { return (vf)(load_halves(p) << 16); }
FN void split_bf16(const void *p, vf *a, vf *b) {
  vu w;
  memcpy(&w, p, sizeof w);
  *a = (vf)(w << 16);
  *b = (vf)(w & spread(0xffff0000));
}
FN vf widen_i8(const void *p) {
  int8_t b[VL];
  vf v = vzero();
  memcpy(b, p, sizeof b);
  for (int i = 0; i < VL; i++) v[i] = b[i];
  return v;
}
// The f16 at p in all lanes.
FN vf vhalf(const void *p) {
  char h[8] = {0};
  memcpy(h, p, 2);
  return vset1(widen_f16(h)[0]);
}

FN void narrow_f16(void *p, vf v) {
  uint16_t h[VL];
  for (int i = 0; i < VL; i++) h[i] = float_f16(v[i]);
  memcpy(p, h, sizeof h);
}
FN void narrow_bf16(void *p, vf v) {
  uint16_t h[VL];
  for (int i = 0; i < VL; i++) h[i] = float_bf16(v[i]);
  memcpy(p, h, sizeof h);
}

FN vf vround(vf x) {
  vf r = vzero();
  for (int i = 0; i < VL; i++) r[i] = rintf(x[i]);
  return r;
}
FN vf vscale2(vf p, vf n, vf x) {
  vf r = vzero();
  for (int i = 0; i < VL; i++) {
    if (x[i] < -87.3365f) r[i] = 0;
    else if (x[i] > 88.7229f) r[i] = INFINITY;
    else if (x[i] != x[i]) r[i] = x[i];
    else {
      int e = (int)n[i], h = e / 2;
      r[i] = p[i] * bits_float((uint32_t)(h + 127) << 23) * bits_float((uint32_t)(e - h + 127) << 23);
    }
  }
  return r;
}
FN void vtranspose(vf v[VL]) {
  for (int i = 0; i < VL; i++)
    for (int j = 0; j < i; j++) {
      float t = v[i][j];
      v[i][j] = v[j][i];
      v[j][i] = t;
    }
}

// Lane i is the sum of the lanes of v[i].
FN vf vsums(const vf v[VL]) { return (vf){vsum(v[0]), vsum(v[1]), vsum(v[2]), vsum(v[3])}; }

#include "quad_portable.h"
