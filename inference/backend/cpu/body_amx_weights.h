// Weights of every format but F32 as rows of tiles (body_amx.h): 32 of them are 64 bytes
// of bf16, rounded to nearest even from the float32 that body_unpack.h says they are.
//
// A block with codes of 4 or 5 bits has 16 or 32 different weights: they are computed
// and rounded once, and codes choose among them, 32 weights an instruction. The rest is
// of Q8_0 alone, where each weight is computed, and of formats with short blocks.
//
// The limit of a prompt of few tokens: a core reads 34 bytes of Q8_0 in 8 cycles, and has
// as many to make 64 bytes of them.

// Rows of two-byte weights to tiles: 32 of them at a time, zeros behind the last.
FN void amx_halves(const int type, uint16_t *tile, const char *w, int64_t n) {
  for (int64_t k = 0; k < n; k += 32, tile += AMX_TILE, w += 64) {
    char tail[64] = {0};
    const char *p = w;
    if (n - k < 32) memcpy(tail, w, (size_t)(n - k) * 2), p = tail;
    if (type == LLO_BF16) memcpy(tile, p, 64);
    else _mm512_storeu_si512(tile, bf16_of(widen_f16(p), widen_f16(p + 32)));
  }
}

FN void amx_q8_0(const int type, uint16_t *tile, const char *w, int64_t n) {
  (void)type;
  for (int64_t k = 0; k < n; k += 32, tile += AMX_TILE, w += 34) {
    vf scale = vhalf(w);
    _mm512_storeu_si512(tile, bf16_of(vfma(widen_i8(w + 2), scale, vzero()), vfma(widen_i8(w + 18), scale, vzero())));
  }
}

// The weights of codes first..first+15.
FN vf amx_levels(const int first, vf scale, vf offset) {
  const vf count = _mm512_set_ps(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  return vfma(vadd(count, vset1((float)first)), scale, offset);
}

// Words of 16 bytes, their low nibbles in the first 16 and the high ones in the others;
// what is above a nibble is left there.
FN __m512i amx_nibbles(const void *q) {
  __m512i twice = _mm512_cvtepu8_epi16(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)q)));
  return _mm512_srlv_epi16(twice, _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1));
}

// (v & 15) | (high & 16).
FN __m512i amx_index(__m512i v, __m512i high) {
  const __m512i four = _mm512_set1_epi16(15), fifth = _mm512_set1_epi16(16);
  return _mm512_or_si512(_mm512_and_si512(v, four), _mm512_and_si512(high, fifth));
}

// Stores the weights of 32 indices into a table.
FN void amx_choose(uint16_t *tile, __m512i table, __m512i index) { _mm512_storeu_si512(tile, _mm512_permutexvar_epi16(index, table)); }

// Q4_0 and Q4_1: the weights of two blocks are one table.
FN void amx_four(const int type, uint16_t *tile, const char *w, int64_t n) {
  const int offset = type == LLO_Q4_1, size = offset ? 20 : 18, first = offset ? 0 : -8;
  const __m512i none = _mm512_setzero_si512(), all = _mm512_set1_epi16(16);
  for (int64_t k = 0; k < n; k += 64, tile += 2 * AMX_TILE, w += 2 * size) {
    const char *next = k + 32 < n ? w + size : w; // the last of an odd number is its own neighbour
    vf a = amx_levels(first, vhalf(w), offset ? vhalf(w + 2) : vzero());
    vf b = amx_levels(first, vhalf(next), offset ? vhalf(next + 2) : vzero());
    __m512i table = bf16_of(a, b);
    amx_choose(tile, table, amx_index(amx_nibbles(w + size - 16), none));
    if (k + 32 < n) amx_choose(tile + AMX_TILE, table, amx_index(amx_nibbles(next + size - 16), all));
  }
}

// Q5_0 and Q5_1: bit i of the four bytes before the nibbles is the fifth of weight i.
FN void amx_five(const int type, uint16_t *tile, const char *w, int64_t n) {
  const int offset = type == LLO_Q5_1, size = offset ? 24 : 22, first = offset ? 0 : -16;
  for (int64_t k = 0; k < n; k += 32, tile += AMX_TILE, w += size) {
    vf scale = vhalf(w), least = offset ? vhalf(w + 2) : vzero();
    uint32_t fifths;
    memcpy(&fifths, w + size - 20, 4);
    amx_choose(tile, bf16_of(amx_levels(first, scale, least), amx_levels(first + 16, scale, least)),
               amx_index(amx_nibbles(w + size - 16), _mm512_maskz_set1_epi16(fifths, 16)));
  }
}

FN __m512i amx_words(const uint8_t *p) { return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)p)); }

// Q4_K: the low and the high nibbles of 32 bytes are a block each.
FN void amx_q4_k(const int type, uint16_t *tile, const char *w, int64_t n) {
  unpacked u;
  for (int64_t k = 0; k < n; k += 256, w += llo_row_bytes(type, 256)) {
    const uint8_t *p = (const uint8_t *)w;
    six_bits(&u, p + 4, half1(p), half1(p + 2));
    for (int b = 0; b < 8; b += 2, tile += 2 * AMX_TILE) {
      __m512i q = amx_words(p + 16 + 16 * b);
      __m512i table = bf16_of(amx_levels(0, vset1(u.scale[2 * b]), vset1(u.offset[2 * b])),
                              amx_levels(0, vset1(u.scale[2 * b + 2]), vset1(u.offset[2 * b + 2])));
      amx_choose(tile, table, amx_index(q, _mm512_setzero_si512()));
      amx_choose(tile + AMX_TILE, table, amx_index(_mm512_srli_epi16(q, 4), _mm512_set1_epi16(16)));
    }
  }
}

// Q5_K: bit b of a byte of the mask is the fifth of block b.
FN void amx_q5_k(const int type, uint16_t *tile, const char *w, int64_t n) {
  unpacked u;
  for (int64_t k = 0; k < n; k += 256, w += llo_row_bytes(type, 256)) {
    const uint8_t *p = (const uint8_t *)w;
    six_bits(&u, p + 4, half1(p), half1(p + 2));
    __m512i mask = _mm512_slli_epi16(amx_words(p + 16), 4);
#pragma GCC unroll 8
    for (int b = 0; b < 8; b++, tile += AMX_TILE) {
      __m512i q = amx_words(p + 48 + 16 * (b & ~1));
      vf scale = vset1(u.scale[2 * b]), least = vset1(u.offset[2 * b]);
      amx_choose(tile, bf16_of(amx_levels(0, scale, least), amx_levels(16, scale, least)),
                 amx_index(b & 1 ? _mm512_srli_epi16(q, 4) : q, _mm512_srli_epi16(mask, b)));
    }
  }
}

// 16 weights of an unpacked row.
FN vf amx_weights(const unpacked *u, int i) {
  __m512i code = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(u->code + i)));
  vf level = _mm512_cvtepi32_ps(_mm512_sub_epi32(code, _mm512_set1_epi32(128)));
  return vfma(level, vset1(u->scale[i / 16]), vset1(u->offset[i / 16]));
}

FN void amx_quantised(const int type, uint16_t *tile, const char *w, int64_t n) {
  unpacked u;
  for (int64_t k = 0; k < n; k += SUPER) {
    int some = n - k < SUPER ? (int)(n - k) : SUPER;
    unpack(type, &u, w + llo_row_bytes(type, k), some);
    for (int i = 0; i < some; i += 32, tile += AMX_TILE) _mm512_storeu_si512(tile, bf16_of(amx_weights(&u, i), amx_weights(&u, i + 16)));
  }
}

// The row's place in the first of its tiles; the tiles of the following k lie
// AMX_TILE apart.
typedef void amx_row_fn(uint16_t *tile, const char *w, int64_t n);
#define AMX_ROW(T, F) \
  LLO_TARGET static void amx_row_##T(uint16_t *tile, const char *w, int64_t n) { F(LLO_##T, tile, w, n); }
AMX_ROW(F16, amx_halves) AMX_ROW(BF16, amx_halves) AMX_ROW(Q8_0, amx_q8_0)
AMX_ROW(Q4_0, amx_four) AMX_ROW(Q4_1, amx_four) AMX_ROW(Q5_0, amx_five) AMX_ROW(Q5_1, amx_five)
AMX_ROW(Q2_K, amx_quantised) AMX_ROW(Q3_K, amx_quantised) AMX_ROW(Q4_K, amx_q4_k) AMX_ROW(Q5_K, amx_q5_k) AMX_ROW(Q6_K, amx_quantised)
static amx_row_fn *const amx_rows[LLO_TYPES] = {
    [LLO_F16] = amx_row_F16, [LLO_BF16] = amx_row_BF16, [LLO_Q4_0] = amx_row_Q4_0, [LLO_Q4_1] = amx_row_Q4_1,
    [LLO_Q5_0] = amx_row_Q5_0, [LLO_Q5_1] = amx_row_Q5_1, [LLO_Q8_0] = amx_row_Q8_0, [LLO_Q2_K] = amx_row_Q2_K,
    [LLO_Q3_K] = amx_row_Q3_K, [LLO_Q4_K] = amx_row_Q4_K, [LLO_Q5_K] = amx_row_Q5_K, [LLO_Q6_K] = amx_row_Q6_K,
};
