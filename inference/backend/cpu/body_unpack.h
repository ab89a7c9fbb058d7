// Quantised weights as bytes and scales, which is what the prefill kernels want
// of any block format: w = (code - 128) * scale + offset, with a scale and an
// offset for each 16 weights. A row is unpacked SUPER weights at a time.
//
// Sixteen bytes at a time, in the compiler's own vectors. Block layouts are those
// of GGUF; package tensor describes each.

#define SUPER 256

// What 256 weights of a row unpack to. Formats with blocks of 32 repeat each
// scale; formats without an offset leave it zero.
typedef struct {
  uint8_t code[SUPER];
  float scale[SUPER / 16], offset[SUPER / 16];
} unpacked;

typedef uint8_t bytes16 __attribute__((vector_size(16)));

FN bytes16 bytes_at(const uint8_t *p) {
  bytes16 v;
  memcpy(&v, p, sizeof v);
  return v;
}
FN void set_bytes(uint8_t *p, bytes16 v) { memcpy(p, &v, sizeof v); }

// Scale and offset of block i of 32.
FN void block_scale(unpacked *u, int i, float scale, float offset) {
  u->scale[2 * i] = u->scale[2 * i + 1] = scale;
  u->offset[2 * i] = u->offset[2 * i + 1] = offset;
}

FN void unpack_q8_0(unpacked *u, const uint8_t *p, int blocks) {
  for (int b = 0; b < blocks; b++, p += 34) {
    for (int i = 0; i < 32; i += 16) set_bytes(u->code + 32 * b + i, bytes_at(p + 2 + i) ^ 0x80);
    block_scale(u, b, half1(p), 0);
  }
}

// Byte i is 16 where bit i of the two bytes at p is set.
FN bytes16 fifth_bits(const uint8_t *p) {
  uint64_t spread[2] = {p[0] * 0x0101010101010101u, p[1] * 0x0101010101010101u};
  const bytes16 bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  return (bytes16)((bytes_at((const uint8_t *)spread) & bit) != 0) & 16;
}

// A block of 32 nibbles: the low ones of 16 bytes are its first half. `high` is
// where their fifth bits are, or NULL.
FN void nibbles(uint8_t *code, const uint8_t *q, const uint8_t *high, uint8_t bias) {
  bytes16 v = bytes_at(q), low = (v & 15) + bias, top = (v >> 4) + bias;
  if (high) low += fifth_bits(high), top += fifth_bits(high + 2);
  set_bytes(code, low), set_bytes(code + 16, top);
}

// Q4_0 and Q5_0 have a scale, Q4_1 and Q5_1 a scale and an offset, then the
// fifth bits, then the nibbles.
FN void unpack_nibbles(const int type, unpacked *u, const uint8_t *p, int blocks) {
  const int offset = type == LLO_Q4_1 || type == LLO_Q5_1, five = type == LLO_Q5_0 || type == LLO_Q5_1;
  const int head = offset ? 4 : 2, size = head + (five ? 20 : 16);
  const uint8_t bias = offset ? 128 : five ? 112 : 120;
  for (int b = 0; b < blocks; b++, p += size) {
    nibbles(u->code + 32 * b, p + size - 16, five ? p + head : 0, bias);
    block_scale(u, b, half1(p), offset ? half1(p + 2) : 0);
  }
}

// The eight 6-bit scales and minima of Q4_K and Q5_K in 12 bytes: the first
// four of each in the low bits of bytes 0..7, the others in nibbles of bytes
// 8..11 with their upper two bits on top of bytes 0..7.
FN void six_bits(unpacked *u, const uint8_t *s, float d, float dmin) {
  for (int i = 0; i < 4; i++) {
    block_scale(u, i, d * (float)(s[i] & 63), -dmin * (float)(s[i + 4] & 63));
    block_scale(u, i + 4, d * (float)((s[i + 8] & 15) | (s[i] >> 6) << 4),
                -dmin * (float)(s[i + 8] >> 4 | (s[i + 4] >> 6) << 4));
  }
}

// Each 32 bytes hold two blocks, the first in their low nibbles. Bit b of a byte
// of Q5_K's mask belongs to block b.
FN void unpack_q45_k(const int five, unpacked *u, const uint8_t *p) {
  const uint8_t *mask = p + 16, *q = five ? p + 48 : p + 16;
#pragma GCC unroll 4
  for (int b = 0; b < 8; b += 2, q += 32)
    for (int i = 0; i < 32; i += 16) {
      bytes16 v = bytes_at(q + i), low = (v & 15) + 128, top = (v >> 4) + 128;
      if (five) low += (bytes_at(mask + i) >> b & 1) << 4, top += (bytes_at(mask + i) >> (b + 1) & 1) << 4;
      set_bytes(u->code + 32 * b + i, low), set_bytes(u->code + 32 * b + 32 + i, top);
    }
  six_bits(u, p + 4, half1(p), half1(p + 2));
}

// In each half of 128 weights the low nibbles of 64 bytes come first; byte i of
// 32 holds the upper two bits of weights i, 32+i, 64+i and 96+i.
FN void unpack_q6_k(unpacked *u, const uint8_t *p) {
  const int8_t *s = (const int8_t *)p + 192;
  float d = half1(p + 208);
  for (int h = 0; h < 2; h++)
    for (int i = 0; i < 32; i += 16) {
      bytes16 a = bytes_at(p + 64 * h + i), b = bytes_at(p + 64 * h + 32 + i), high = bytes_at(p + 128 + 32 * h + i);
      uint8_t *code = u->code + 128 * h + i;
      set_bytes(code, (a & 15) + ((high & 3) << 4) + 96);
      set_bytes(code + 32, (b & 15) + ((high >> 2 & 3) << 4) + 96);
      set_bytes(code + 64, (a >> 4) + ((high >> 4 & 3) << 4) + 96);
      set_bytes(code + 96, (b >> 4) + (high >> 6 << 4) + 96);
    }
  for (int i = 0; i < 16; i++) u->scale[i] = d * (float)s[i], u->offset[i] = 0;
}

// Two-bit fields: four planes of 32 in each half of 128. In Q3_K a missing bit of
// the mask lowers the weight by 4.
FN void two_bits(uint8_t *code, const uint8_t *q, const uint8_t *mask, uint8_t bias) {
#pragma GCC unroll 8
  for (int b = 0; b < 8; b++)
    for (int i = 0; i < 32; i += 16) {
      bytes16 v = (bytes_at(q + 32 * (b / 4) + i) >> 2 * (b % 4) & 3) + bias;
      if (mask) v += (bytes_at(mask + i) >> b & 1) << 2;
      set_bytes(code + 32 * b + i, v);
    }
}

FN void unpack_q2_k(unpacked *u, const uint8_t *p) {
  float d = half1(p + 80), dmin = half1(p + 82);
  two_bits(u->code, p + 16, 0, 128);
  for (int i = 0; i < 16; i++) u->scale[i] = d * (float)(p[i] & 15), u->offset[i] = -dmin * (float)(p[i] >> 4);
}

// Scales are 6 bits less 32: their low nibbles lie in bytes 0..7, their upper two
// bits in bytes 8..11.
FN void unpack_q3_k(unpacked *u, const uint8_t *p) {
  const uint8_t *s = p + 96;
  float d = half1(p + 108);
  two_bits(u->code, p + 32, p, 124);
  for (int i = 0; i < 16; i++) {
    int low = i < 8 ? s[i] & 15 : s[i - 8] >> 4, high = s[8 + i % 4] >> 2 * (i / 4) & 3;
    u->scale[i] = d * (float)((low | high << 4) - 32), u->offset[i] = 0;
  }
}

// Unpacks n <= SUPER weights of a row, a multiple of 32, from p.
FN void unpack(const int type, unpacked *u, const char *row, int n) {
  const uint8_t *p = (const uint8_t *)row;
  switch (type) {
    case LLO_Q4_0:
    case LLO_Q4_1:
    case LLO_Q5_0:
    case LLO_Q5_1: unpack_nibbles(type, u, p, n / 32); break;
    case LLO_Q8_0: unpack_q8_0(u, p, n / 32); break;
    case LLO_Q2_K: unpack_q2_k(u, p); break;
    case LLO_Q3_K: unpack_q3_k(u, p); break;
    case LLO_Q4_K: unpack_q45_k(0, u, p); break;
    case LLO_Q5_K: unpack_q45_k(1, u, p); break;
    case LLO_Q6_K: unpack_q6_k(u, p); break;
  }
}
