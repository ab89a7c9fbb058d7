// Blocked weights as the kernels take them, read from the layouts of GGUF files
// (package tensor has one file on each).
//
// A quad is 128 weights of one row, four blocks of 32. Lane i is block i: its
// elements 0..15 are in p, 16..31 in q, and every number that belongs to a block
// fills its lane. So one sum of dot products over p and q has the products of
// four blocks apart, and one multiplication applies all their scales.
//
//   w = s*(code - from) + m
//
// s2 is the scale of q in formats with one for 16 elements. A unit is what is
// opened at once: one quad, of formats in blocks of 32, or the two of a block of
// 256. Its minima are spread over all lanes: of one quad like a scale, of two
// such that lanes 2j and 2j+1 are block j of 8, or lane g is group g of 16.

typedef struct {
  qb p[2], q[2];
  qf s[2], s2[2], m; // those that the format has
} unit;

// What formats have in common: two quads, scales for 16 elements, minima, int8.
enum { TWO = 1, BY16 = 2, MINS = 4, INT8 = 8 };

FN int kind_of(const int type) {
  switch (type) {
    case LLO_Q8_0: return INT8;
    case LLO_Q4_1: case LLO_Q5_1: return MINS;
    case LLO_Q4_K: case LLO_Q5_K: return TWO | MINS;
    case LLO_Q3_K: case LLO_Q6_K: return TWO | BY16;
    case LLO_Q2_K: return TWO | BY16 | MINS;
  }
  return 0;
}
// The code that means zero.
FN int from_of(const int type) {
  switch (type) {
    case LLO_Q8_0: return INT8_FROM;
    case LLO_Q4_0: return 8;
    case LLO_Q5_0: return 16;
    case LLO_Q3_K: return 4;
    case LLO_Q6_K: return 32;
  }
  return 0;
}
FN int quads_in(const int kind) { return kind & TWO ? 2 : 1; }

FN int64_t unit_bytes(const int type) {
  switch (type) {
    case LLO_Q4_0: return 4 * 18;
    case LLO_Q4_1: return 4 * 20;
    case LLO_Q5_0: return 4 * 22;
    case LLO_Q5_1: return 4 * 24;
    case LLO_Q8_0: return 4 * 34;
    case LLO_Q2_K: return 84;
    case LLO_Q3_K: return 110;
    case LLO_Q4_K: return 144;
    case LLO_Q5_K: return 176;
  }
  return 210;
}
FN uint16_t load16(const char *p) {
  uint16_t v;
  memcpy(&v, p, 2);
  return v;
}
FN uint32_t load32(const char *p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return v;
}
FN uint64_t load64(const char *p) {
  uint64_t v;
  memcpy(&v, p, 8);
  return v;
}
// The 16 bits at p of four blocks.
FN uint64_t load16s(const char *p, const int block) {
  return load16(p) | (uint64_t)load16(p + block) << 16 | (uint64_t)load16(p + 2 * block) << 32 | (uint64_t)load16(p + 3 * block) << 48;
}
// The f16 at b of four blocks, each to its lane.
FN qf halves(const char *b, const int block) {
#ifdef QUAD_REACH
  if (3 * block + 2 <= QUAD_REACH) return qf_reach(b, block);
#endif
  return qf_halves(load16s(b, block));
}
FN qb lanes(const char *p, const int block) { return qb_four(p, p + block, p + 2 * block, p + 3 * block); }
FN qb right(qb v, const int by) { return qb_move(v, -by, -by, -by, -by); }

// Q4_0, Q4_1, Q5_0, Q5_1: f16 scale, f16 minimum, 32 fifth bits, 32 nibbles, as
// far as the format has them.
FN void open_nibbles(const char *b, const int block, const int minus, const int fifth, const int nibbles, unit *u) {
  qb n = lanes(b + nibbles, block);
  u->p[0] = qb_and(n, 15), u->q[0] = qb_and(right(n, 4), 15);
  if (fifth) {
    u->p[0] = qb_join(u->p[0], qb_bits(load16s(b + fifth, block), 16), 16);
    u->q[0] = qb_join(u->q[0], qb_bits(load16s(b + fifth + 2, block), 16), 16);
  }
  u->s[0] = halves(b, block);
  if (minus) u->m = halves(b + minus, block);
}

FN void open_q8_0(const char *b, unit *u) {
  qb_split(b + 2, 34, &u->p[0], &u->q[0]);
  u->p[0] = qb_int8(u->p[0]), u->q[0] = qb_int8(u->q[0]);
  u->s[0] = halves(b, 34);
}

// The 6-bit scales and minima of Q4_K and Q5_K, 8 each, in 12 bytes.
FN void k45_scales(const char *b, uint64_t *scales, uint64_t *minima) {
  const uint32_t x = load32(b + 4), y = load32(b + 8), z = load32(b + 12), six = 0x3f3f3f3f, four = 0x0f0f0f0f, two = 0x03030303;
  *scales = (x & six) | (uint64_t)((z & four) | (x >> 6 & two) << 4) << 32;
  *minima = (y & six) | (uint64_t)((z >> 4 & four) | (y >> 6 & two) << 4) << 32;
}
// Whether high nibbles are shifted down; else they count 16 times too much.
FN int k45_shift(const int fifth) { return fifth || !CODES_TO_255; }

// Q4_K and Q5_K: d, dmin, 12 bytes of 6-bit scales and minima, fifth bits of
// Q5_K, nibbles. In groups of 64 elements low nibbles are the first 32.
FN void open_k45(const char *b, const int fifth, const int nibbles, unit *u) {
  uint64_t scales, minima;
  k45_scales(b, &scales, &minima);
  const int shift = k45_shift(fifth);
  const qf d = qf_half(load16(b)), ds = shift ? d : qf_mul(d, qf_four(1, 1.0f / 16, 1, 1.0f / 16));
#pragma GCC unroll 2
  for (int h = 0; h < 2; h++) {
    const char *n = b + nibbles + 64 * h;
    u->p[h] = qb_pick(n, 0, 0, 2, 2), u->q[h] = qb_pick(n, 1, 1, 3, 3);
    if (shift) {
      u->p[h] = qb_and(qb_move(u->p[h], 0, -4, 0, -4), 15);
      u->q[h] = qb_and(qb_move(u->q[h], 0, -4, 0, -4), 15);
    } else {
      u->p[h] = qb_mask(u->p[h], 15, 240, 15, 240);
      u->q[h] = qb_mask(u->q[h], 15, 240, 15, 240);
    }
    if (fifth) {
      u->p[h] = qb_join(u->p[h], qb_move(qb_spread(b + fifth), 4 - 4 * h, 3 - 4 * h, 2 - 4 * h, 1 - 4 * h), 16);
      u->q[h] = qb_join(u->q[h], qb_move(qb_spread(b + fifth + 16), 4 - 4 * h, 3 - 4 * h, 2 - 4 * h, 1 - 4 * h), 16);
    }
    u->s[h] = qf_mul(qf_bytes(scales, 4 * h, 1), ds);
  }
  u->m = qf_mul(qf_8bytes(minima), qf_half(load16(b + 2) ^ 0x8000));
}

FN void open_q6_k(const char *b, unit *u) {
  const qf d = qf_half(load16(b + 208));
#pragma GCC unroll 2
  for (int h = 0; h < 2; h++) {
    const char *low = b + 64 * h, *high = b + 128 + 32 * h;
    const uint64_t scales = load64(b + 192 + 8 * h);
    u->p[h] = qb_and(qb_move(qb_pick(low, 0, 2, 0, 2), 0, 0, -4, -4), 15);
    u->q[h] = qb_and(qb_move(qb_pick(low, 1, 3, 1, 3), 0, 0, -4, -4), 15);
    u->p[h] = qb_join(u->p[h], qb_move(qb_spread(high), 4, 2, 0, -2), 0x30);
    u->q[h] = qb_join(u->q[h], qb_move(qb_spread(high + 16), 4, 2, 0, -2), 0x30);
    u->s[h] = qf_mul(qf_int8s(scales, 0, 2), d);
    u->s2[h] = qf_mul(qf_int8s(scales, 1, 2), d);
  }
}

FN void open_q2_k(const char *b, unit *u) {
  const qf d = qf_half(load16(b + 80));
  const uint64_t four = 0x0f0f0f0f0f0f0f0f;
#pragma GCC unroll 2
  for (int h = 0; h < 2; h++) {
    const char *codes = b + 16 + 32 * h;
    const uint64_t scales = load64(b + 8 * h) & four;
    u->p[h] = qb_and(qb_move(qb_spread(codes), 0, -2, -4, -6), 3);
    u->q[h] = qb_and(qb_move(qb_spread(codes + 16), 0, -2, -4, -6), 3);
    u->s[h] = qf_mul(qf_bytes(scales, 0, 2), d), u->s2[h] = qf_mul(qf_bytes(scales, 1, 2), d);
  }
  u->m = qf_mul(qf_16bytes(load64(b) >> 4 & four, load64(b + 8) >> 4 & four), qf_half(load16(b + 82) ^ 0x8000));
}

// The scales of Q3_K of quad h, 32 too large.
FN uint64_t q3_k_scales(const char *b, const int h) {
  const uint64_t low = load64(b + 96), high = load32(b + 104), two = 0x03030303;
  const uint64_t top = (high >> 4 * h & two) | (high >> (4 * h + 2) & two) << 32;
  return (low >> 4 * h & 0x0f0f0f0f0f0f0f0f) | top << 4;
}

FN void open_q3_k(const char *b, unit *u) {
  const qf d = qf_half(load16(b + 108)), zero = qf_all(-32);
#pragma GCC unroll 2
  for (int h = 0; h < 2; h++) {
    const char *codes = b + 32 + 32 * h;
    const uint64_t scales = q3_k_scales(b, h);
    u->p[h] = qb_and(qb_move(qb_spread(codes), 0, -2, -4, -6), 3);
    u->q[h] = qb_and(qb_move(qb_spread(codes + 16), 0, -2, -4, -6), 3);
    u->p[h] = qb_join(u->p[h], qb_move(qb_spread(b), 2 - 4 * h, 1 - 4 * h, -4 * h, -1 - 4 * h), 4);
    u->q[h] = qb_join(u->q[h], qb_move(qb_spread(b + 16), 2 - 4 * h, 1 - 4 * h, -4 * h, -1 - 4 * h), 4);
    u->s[h] = qf_mul(qf_add(qf_bytes(scales, 0, 2), zero), d);
    u->s2[h] = qf_mul(qf_add(qf_bytes(scales, 1, 2), zero), d);
  }
}

// Reads unit_bytes at b and no byte more.
FN void open_unit(const int type, const char *b, unit *u) {
  switch (type) {
    case LLO_Q4_0: open_nibbles(b, 18, 0, 0, 2, u); break;
    case LLO_Q4_1: open_nibbles(b, 20, 2, 0, 4, u); break;
    case LLO_Q5_0: open_nibbles(b, 22, 0, 2, 6, u); break;
    case LLO_Q5_1: open_nibbles(b, 24, 2, 4, 8, u); break;
    case LLO_Q8_0: open_q8_0(b, u); break;
    case LLO_Q2_K: open_q2_k(b, u); break;
    case LLO_Q3_K: open_q3_k(b, u); break;
    case LLO_Q4_K: open_k45(b, 0, 16, u); break;
    case LLO_Q5_K: open_k45(b, 16, 48, u); break;
    case LLO_Q6_K: open_q6_k(b, u); break;
  }
}
