// Unpacks sixteen weight rows side by side into lanes of int8 panels (body_int8.h),
// for vectors of 64 bytes: sixteen bytes of each row are turned first, so that codes
// and scales are computed for all rows at once and stored where they belong. The
// codes and scales are those of body_unpack.h, bit for bit.

// 16 bytes of VL rows: lane r of v[j] has bytes 4j..4j+3 of row r.
typedef struct {
  __m512i v[4];
} row_quads;

// Where VL rows are, by fours: so their addresses stay in registers.
typedef struct {
  const char *four[4];
  int64_t rowbytes;
} rows_from;
FN rows_from rows_of(const char *first, int64_t rowbytes) {
  return (rows_from){{first, first + 4 * rowbytes, first + 8 * rowbytes, first + 12 * rowbytes}, rowbytes};
}

// Where the lanes of a group of rows go: a panel, the size of its records, and the
// first of the rows in it.
typedef struct {
  char *panel;
  int64_t record, h;
} lanes_to;

FN row_quads rows_at(const rows_from *w, int64_t at) {
  __m512i t[4];
#define ROW(j, i) _mm_loadu_si128((const __m128i *)(w->four[j] + (i) * w->rowbytes + at))
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_inserti32x4(_mm512_castsi128_si512(ROW(0, i)), ROW(1, i), 1);
    t[i] = _mm512_inserti32x4(_mm512_inserti32x4(t[i], ROW(2, i), 2), ROW(3, i), 3);
  }
#undef ROW
  __m512i a = _mm512_unpacklo_epi32(t[0], t[1]), b = _mm512_unpackhi_epi32(t[0], t[1]);
  __m512i c = _mm512_unpacklo_epi32(t[2], t[3]), d = _mm512_unpackhi_epi32(t[2], t[3]);
  return (row_quads){{_mm512_unpacklo_epi64(a, c), _mm512_unpackhi_epi64(a, c), _mm512_unpacklo_epi64(b, d), _mm512_unpackhi_epi64(b, d)}};
}

// Bits [from, from+bits) of each byte.
FN __m512i bits_of(__m512i v, const int from, const int bits) {
  return _mm512_and_si512(_mm512_srli_epi16(v, from), _mm512_set1_epi8((char)((1 << bits) - 1)));
}
FN __m512i join(__m512i low, __m512i high, const int shift) { return _mm512_or_si512(low, _mm512_slli_epi16(high, shift)); }
// Byte i of each lane, and the same with its sign.
FN vf byte_of(__m512i v, const int i) {
  return _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(v, 8 * i), _mm512_set1_epi32(255)));
}
FN vf int8_of(__m512i v, const int i) { return _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(v, 24 - 8 * i), 24)); }
// The f16 in the low or the high half of each lane.
FN vf half_of(__m512i v, const int high) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(high ? _mm512_srli_epi32(v, 16) : v));
}

// Dword j of the codes of weights k..k+15, k a multiple of 16.
FN void put_code(lanes_to to, int k, int j, __m512i code, const int bias) {
  char *p = to.panel + k / 32 * to.record + (k % 32 / 4 + j) * MR * 4 + to.h * 4;
  _mm512_storeu_si512(p, _mm512_add_epi8(code, _mm512_set1_epi8((char)bias)));
}
// Scale of group g of `sub` weights, or its offset.
FN void put_scale(lanes_to to, const int sub, int g, const int offset, vf v) {
  int each = 32 / sub;
  vstore((float *)(to.panel + g / each * to.record + MR * 32 + (offset * each + g % each) * MR * 4) + to.h, v);
}

FN void rows_q8_0(lanes_to to, const rows_from *w, int64_t at, int b) {
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++) {
    row_quads q = rows_at(w, at + 2 + 16 * i);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) put_code(to, 32 * b + 16 * i, j, q.v[j], -128);
  }
  put_scale(to, 32, b, 0, half_of(rows_at(w, at).v[0], 0));
}

// Bits 4j..4j+3 of each lane, as 16 in each byte where they are set.
FN __m512i fifths(__m512i bits, const int from) {
  __m512i four = _mm512_and_si512(_mm512_srli_epi32(bits, from), _mm512_set1_epi32(15));
  return _mm512_and_si512(_mm512_slli_epi32(_mm512_mullo_epi32(four, _mm512_set1_epi32(0x00204081)), 4), _mm512_set1_epi8(16));
}

FN void rows_nibbles(const int type, lanes_to to, const rows_from *w, int64_t at, int b) {
  const int offset = dot_offset(type), five = type == LLO_Q5_0 || type == LLO_Q5_1;
  const int head = offset ? 4 : 2, bias = offset ? 128 : five ? 112 : 120;
  row_quads begin = rows_at(w, at), q = rows_at(w, at + head + (five ? 4 : 0));
  put_scale(to, 32, b, 0, half_of(begin.v[0], 0));
  if (offset) put_scale(to, 32, b, 1, half_of(begin.v[0], 1));
  // The fifth bits: dword 1 behind two halves, or the upper half of dword 0 and the lower of dword 1.
  __m512i high = offset ? begin.v[1] : _mm512_or_si512(_mm512_srli_epi32(begin.v[0], 16), _mm512_slli_epi32(begin.v[1], 16));
#pragma GCC unroll 4
  for (int j = 0; j < 4; j++) {
    __m512i low = bits_of(q.v[j], 0, 4), top = bits_of(q.v[j], 4, 4);
    if (five) low = _mm512_or_si512(low, fifths(high, 4 * j)), top = _mm512_or_si512(top, fifths(high, 16 + 4 * j));
    put_code(to, 32 * b, j, low, bias);
    put_code(to, 32 * b + 16, j, top, bias);
  }
}

FN void rows_six_bits(lanes_to to, row_quads s) {
  vf d = half_of(s.v[0], 0), dmin = vsub(vzero(), half_of(s.v[0], 1));
  __m512i scale[2] = {bits_of(s.v[1], 0, 6), join(bits_of(s.v[3], 0, 4), bits_of(s.v[1], 6, 2), 4)};
  __m512i least[2] = {bits_of(s.v[2], 0, 6), join(bits_of(s.v[3], 4, 4), bits_of(s.v[2], 6, 2), 4)};
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) {
    put_scale(to, 32, i, 0, vmul(d, byte_of(scale[i / 4], i % 4)));
    put_scale(to, 32, i, 1, vmul(dmin, byte_of(least[i / 4], i % 4)));
  }
}

FN void rows_q45_k(const int five, lanes_to to, const rows_from *w, int64_t at) {
  rows_six_bits(to, rows_at(w, at));
#pragma GCC unroll 2
  for (int i = 0; i < 32; i += 16) {
    row_quads mask;
    if (five) mask = rows_at(w, at + 16 + i);
#pragma GCC unroll 4
    for (int b = 0; b < 8; b += 2) {
      row_quads q = rows_at(w, at + (five ? 48 : 16) + 16 * b + i);
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) {
        __m512i low = bits_of(q.v[j], 0, 4), top = bits_of(q.v[j], 4, 4);
        if (five) low = join(low, bits_of(mask.v[j], b, 1), 4), top = join(top, bits_of(mask.v[j], b + 1, 1), 4);
        put_code(to, 32 * b + i, j, low, 128);
        put_code(to, 32 * b + 32 + i, j, top, 128);
      }
    }
  }
}

FN void rows_q6_k(lanes_to to, const rows_from *w, int64_t at) {
#pragma GCC unroll 2
  for (int h = 0; h < 2; h++)
#pragma GCC unroll 2
    for (int i = 0; i < 32; i += 16) {
      row_quads a = rows_at(w, at + 64 * h + i), b = rows_at(w, at + 64 * h + 32 + i), high = rows_at(w, at + 128 + 32 * h + i);
      const int k = 128 * h + i;
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) {
        put_code(to, k, j, join(bits_of(a.v[j], 0, 4), bits_of(high.v[j], 0, 2), 4), 96);
        put_code(to, k + 32, j, join(bits_of(b.v[j], 0, 4), bits_of(high.v[j], 2, 2), 4), 96);
        put_code(to, k + 64, j, join(bits_of(a.v[j], 4, 4), bits_of(high.v[j], 4, 2), 4), 96);
        put_code(to, k + 96, j, join(bits_of(b.v[j], 4, 4), bits_of(high.v[j], 6, 2), 4), 96);
      }
    }
  row_quads s = rows_at(w, at + 192);
  vf d = half_of(rows_at(w, at + 194).v[3], 1); // the last two bytes of the block
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) put_scale(to, 16, i, 0, vmul(d, int8_of(s.v[i / 4], i % 4)));
}

// The two-bit fields of Q2_K and Q3_K, with the third bit of the latter.
FN void rows_two_bits(const int third, lanes_to to, const rows_from *w, int64_t codes, int64_t mask) {
#pragma GCC unroll 2
  for (int i = 0; i < 32; i += 16) {
    row_quads m;
    if (third) m = rows_at(w, mask + i);
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
      row_quads q = rows_at(w, codes + 32 * half + i);
#pragma GCC unroll 4
      for (int f = 0; f < 4; f++) {
        const int b = 4 * half + f;
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
          __m512i v = bits_of(q.v[j], 2 * f, 2);
          if (third) v = join(v, bits_of(m.v[j], b, 1), 2);
          put_code(to, 32 * b + i, j, v, third ? 124 : 128);
        }
      }
    }
  }
}

FN void rows_q2_k(lanes_to to, const rows_from *w, int64_t at) {
  rows_two_bits(0, to, w, at + 16, 0);
  row_quads s = rows_at(w, at), end = rows_at(w, at + 68); // the last 16 bytes of the block
  vf d = half_of(end.v[3], 0), dmin = vsub(vzero(), half_of(end.v[3], 1));
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) {
    put_scale(to, 16, i, 0, vmul(d, byte_of(bits_of(s.v[i / 4], 0, 4), i % 4)));
    put_scale(to, 16, i, 1, vmul(dmin, byte_of(bits_of(s.v[i / 4], 4, 4), i % 4)));
  }
}

FN void rows_q3_k(lanes_to to, const rows_from *w, int64_t at) {
  rows_two_bits(1, to, w, at + 32, at);
  row_quads s = rows_at(w, at + 94); // the last 16 bytes: two codes, 12 of scales, d
  // Turned again from where the scales begin; what is behind d is not read past the block.
  vf d = half_of(s.v[3], 1);
  __m512i t[3]; // bytes 0..11 of the scales
#pragma GCC unroll 3
  for (int j = 0; j < 3; j++) t[j] = _mm512_or_si512(_mm512_srli_epi32(s.v[j], 16), _mm512_slli_epi32(s.v[j + 1], 16));
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) {
    __m512i low = bits_of(t[i / 4 % 2], i < 8 ? 0 : 4, 4), six = join(low, bits_of(t[2], i / 4 * 2, 2), 4);
    put_scale(to, 16, i, 0, vmul(d, vsub(byte_of(six, i % 4), vset1(32))));
  }
}

// Weights at byte `at` of each row, n <= SUPER of them, to records from to.panel on.
FN void unpack_rows(const int type, lanes_to to, const rows_from *w, int64_t at, int n) {
  switch (type) {
    case LLO_Q2_K: rows_q2_k(to, w, at); return;
    case LLO_Q3_K: rows_q3_k(to, w, at); return;
    case LLO_Q4_K: rows_q45_k(0, to, w, at); return;
    case LLO_Q5_K: rows_q45_k(1, to, w, at); return;
    case LLO_Q6_K: rows_q6_k(to, w, at); return;
  }
  const int64_t block = llo_row_bytes(type, 32);
  for (int b = 0; b < n / 32; b++, at += block)
    if (type == LLO_Q8_0) rows_q8_0(to, w, at, b);
    else rows_nibbles(type, to, w, at, b);
}
