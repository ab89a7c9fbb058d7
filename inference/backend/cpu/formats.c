// The blocked formats of GGUF files: their sizes and, in portable C, what their
// bytes mean. The layouts are those that package tensor describes, one file a
// format, and the arithmetic is the same to the last bit.
#include "llo.h"

#include <string.h>

int64_t llo_block(int type) {
  switch (type) {
    case LLO_F32: case LLO_F16: case LLO_BF16: return 1;
    case LLO_Q4_0: case LLO_Q4_1: case LLO_Q5_0: case LLO_Q5_1: case LLO_Q8_0: return 32;
    case LLO_Q2_K: case LLO_Q3_K: case LLO_Q4_K: case LLO_Q5_K: case LLO_Q6_K: return 256;
  }
  return 0;
}

int64_t llo_block_bytes(int type) {
  static const uint8_t bytes[LLO_TYPES] = {
      [LLO_F32] = 4,   [LLO_F16] = 2,   [LLO_BF16] = 2,   [LLO_Q4_0] = 18,  [LLO_Q4_1] = 20,  [LLO_Q5_0] = 22,
      [LLO_Q5_1] = 24, [LLO_Q8_0] = 34, [LLO_Q2_K] = 84,  [LLO_Q3_K] = 110, [LLO_Q4_K] = 144, [LLO_Q5_K] = 176,
      [LLO_Q6_K] = 210,
  };
  return bytes[type];
}

int64_t llo_row_bytes(int type, int64_t n) { return n / llo_block(type) * llo_block_bytes(type); }

// Widens an f16; exact, and no float32 subnormal appears on the way.
static float half(const uint8_t *p) {
  uint32_t h = p[0] | (uint32_t)p[1] << 8, sign = (h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023, bits;
  float f;
  if (exponent == 0) {
    f = (float)fraction * 0x1p-24f;
    return sign ? -f : f;
  }
  bits = sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) | fraction << 13;
  memcpy(&f, &bits, 4);
  return f;
}

static void q4_0(float *x, const uint8_t *b) {
  float d = half(b);
  for (int j = 0; j < 16; j++) x[j] = d * (float)((b[2 + j] & 15) - 8), x[j + 16] = d * (float)((b[2 + j] >> 4) - 8);
}

static void q4_1(float *x, const uint8_t *b) {
  float d = half(b), m = half(b + 2);
  for (int j = 0; j < 16; j++) x[j] = d * (float)(b[4 + j] & 15) + m, x[j + 16] = d * (float)(b[4 + j] >> 4) + m;
}

// Bit j of the 32 at p is the fifth of element j.
static int fifth(const uint8_t *p, int j) { return (p[j >> 3] >> (j & 7) & 1) << 4; }

static void q5_0(float *x, const uint8_t *b) {
  float d = half(b);
  for (int j = 0; j < 16; j++) {
    x[j] = d * (float)(((b[6 + j] & 15) | fifth(b + 2, j)) - 16);
    x[j + 16] = d * (float)((b[6 + j] >> 4 | fifth(b + 2, j + 16)) - 16);
  }
}

static void q5_1(float *x, const uint8_t *b) {
  float d = half(b), m = half(b + 2);
  for (int j = 0; j < 16; j++) {
    x[j] = d * (float)((b[8 + j] & 15) | fifth(b + 4, j)) + m;
    x[j + 16] = d * (float)(b[8 + j] >> 4 | fifth(b + 4, j + 16)) + m;
  }
}

static void q8_0(float *x, const uint8_t *b) {
  float d = half(b);
  for (int j = 0; j < 32; j++) x[j] = d * (float)(int8_t)b[2 + j];
}

// Element 128h+32j+l has bits 2j and 2j+1 of byte 32h+l.
static int two_bits(const uint8_t *q, int i) { return q[i >> 7 << 5 | (i & 31)] >> (i >> 5 & 3) * 2 & 3; }
// Element 64g+l has the low nibble of byte 32g+l, element 64g+32+l the high one.
static int nibble(const uint8_t *q, int i) { return q[i >> 6 << 5 | (i & 31)] >> (i >> 5 & 1) * 4 & 15; }
// Element 32k+l has bit k of byte l.
static int one_bit(const uint8_t *q, int i) { return q[i & 31] >> (i >> 5) & 1; }

static void q2_k(float *x, const uint8_t *b) {
  float d = half(b + 80), dmin = half(b + 82);
  for (int g = 0; g < 16; g++) {
    float scale = d * (float)(b[g] & 15), minus = dmin * (float)(b[g] >> 4);
    for (int i = 16 * g; i < 16 * g + 16; i++) x[i] = scale * (float)two_bits(b + 16, i) - minus;
  }
}

static void q3_k(float *x, const uint8_t *b) {
  float d = half(b + 108);
  const uint8_t *s = b + 96;
  for (int g = 0; g < 16; g++) {
    int level = (s[g & 7] >> (g >> 3) * 4 & 15) | (s[8 + (g & 3)] >> (g >> 2) * 2 & 3) << 4;
    float scale = d * (float)(level - 32);
    for (int i = 16 * g; i < 16 * g + 16; i++) x[i] = scale * (float)((two_bits(b + 32, i) | one_bit(b, i) << 2) - 4);
  }
}

// The scale and the minimum, 6 bits each, of group g of 8 from 12 bytes.
static void scale_min(const uint8_t *s, int g, int *scale, int *minus) {
  if (g < 4) *scale = s[g] & 63, *minus = s[g + 4] & 63;
  else *scale = (s[g + 4] & 15) | s[g - 4] >> 6 << 4, *minus = s[g + 4] >> 4 | s[g] >> 6 << 4;
}

static void q4_k(float *x, const uint8_t *b) {
  float d = half(b), dmin = half(b + 2);
  for (int g = 0, s, m; g < 8; g++) {
    scale_min(b + 4, g, &s, &m);
    float scale = d * (float)s, minus = dmin * (float)m;
    for (int i = 32 * g; i < 32 * g + 32; i++) x[i] = scale * (float)nibble(b + 16, i) - minus;
  }
}

static void q5_k(float *x, const uint8_t *b) {
  float d = half(b), dmin = half(b + 2);
  for (int g = 0, s, m; g < 8; g++) {
    scale_min(b + 4, g, &s, &m);
    float scale = d * (float)s, minus = dmin * (float)m;
    for (int i = 32 * g; i < 32 * g + 32; i++)
      x[i] = scale * (float)(nibble(b + 48, i) | one_bit(b + 16, i) << 4) - minus;
  }
}

// Element 128h+l has the low nibble of byte 64h+l, element 128h+64+l the high
// one, l < 64; two more bits lie as in two_bits.
static void q6_k(float *x, const uint8_t *b) {
  float d = half(b + 208);
  for (int g = 0; g < 16; g++) {
    float scale = d * (float)(int8_t)b[192 + g];
    for (int i = 16 * g; i < 16 * g + 16; i++) {
      int low = b[i >> 7 << 6 | (i & 63)] >> (i >> 6 & 1) * 4 & 15;
      x[i] = scale * (float)((low | two_bits(b + 128, i) << 4) - 32);
    }
  }
}

// Writes the n elements of src, n a multiple of the type's block.
void llo_dequantize(int type, float *dst, const void *src, int64_t n) {
  static void (*const blocks[LLO_TYPES])(float *, const uint8_t *) = {
      [LLO_Q4_0] = q4_0, [LLO_Q4_1] = q4_1, [LLO_Q5_0] = q5_0, [LLO_Q5_1] = q5_1, [LLO_Q8_0] = q8_0,
      [LLO_Q2_K] = q2_k, [LLO_Q3_K] = q3_k, [LLO_Q4_K] = q4_k, [LLO_Q5_K] = q5_k, [LLO_Q6_K] = q6_k,
  };
  const int64_t per = llo_block(type), bytes = llo_block_bytes(type);
  const uint8_t *b = src;
  for (int64_t i = 0; i < n; i += per, b += bytes) blocks[type](dst + i, b);
}
