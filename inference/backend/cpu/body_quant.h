// What decode projections with blocked weights have in common: activations rounded
// to 8 bits, and weights opened unit by unit (body_blocks.h). The products are those
// of body_rows.h or body_panel.h.
//
// Activations are rounded to int8 once an op, symmetric, with a float32 scale
// d = max|x|/127 for each 32 elements in every format. (Files of K formats are
// usually multiplied with one scale for 256, which costs accuracy.) A block
// with a NaN or an infinity gets d = NaN; one whose d is no normal float counts
// as zeros. Products of codes are exact.
//
// Packed activations of 128 elements, 320 bytes: 64 codes of the elements 0..15 of
// four blocks, 64 of 16..31, 16 floats d, 16 pairs of int16: the sums of the four
// codes that make one lane's int32, of the first and of the second 64. Of two
// such the first also has 16 floats: d times the sum of codes of the groups of 16
// of both.

enum { QUAD = 128, QUAD_X = 320 };

FN int64_t quads_of(int64_t cols) { return (cols + QUAD - 1) / QUAD; }

// Rounds the 32 elements at x: 16 codes to p, 16 to q, the scale to d.
FN void pack_block(const float *x, int8_t *p, int8_t *q, float *d) {
  qf a = qf_load(x), b = qf_load(x + 16);
  uint32_t bits = qf_peak(a, b);
  float peak, scale, back;
  memcpy(&peak, &bits, 4);
  scale = peak / 127, back = 127 / peak;
  if (bits >= 0x7f800000) scale = __builtin_nanf(""), back = 0;
  else if (!(scale >= 0x1p-126f)) scale = back = 0;
  if (back == 0) memset(p, 0, 16), memset(q, 0, 16);
  else qf_narrow(p, qf_mul(a, qf_all(back))), qf_narrow(q, qf_mul(b, qf_all(back)));
  for (int i = 0; i < 4; i++) d[i] = scale;
}

// Writes d times the sum of codes of 8 groups of 16.
FN void pack_sums(const char *quad, float *sums) {
  int16_t pair[32];
  float d[16];
  memcpy(d, quad + 128, 64), memcpy(pair, quad + 192, 64);
  for (int g = 0; g < 8; g++) {
    const int16_t *p = pair + 8 * (g / 2) + g % 2;
    sums[g] = d[4 * (g / 2)] * (float)(p[0] + p[2] + p[4] + p[6]);
  }
}

// Elements behind the last are zeros with a scale of zero.
FN void pack_quads(char *dst, const float *x, int64_t cols) {
  for (int64_t k = 0; k < cols; k += QUAD, dst += QUAD_X) {
    const int64_t blocks = cols - k < QUAD ? (cols - k) / 32 : 4;
    const int odd = k / QUAD % 2;
    int8_t *code = (int8_t *)dst;
    if (blocks < 4) memset(dst, 0, 256);
    if (!odd) memset(dst + 256, 0, 64);
    for (int64_t i = 0; i < blocks; i++)
      pack_block(x + k + 32 * i, code + 16 * i, code + 64 + 16 * i, (float *)(dst + 128) + 4 * i);
    int8_t ones[64];
    memset(ones, 1, 64);
    qb one = qb_load(ones);
    qi_store_pairs(dst + 192, qi_dot(qi_zero(), one, qb_load(dst)), qi_dot(qi_zero(), one, qb_load(dst + 64)));
    pack_sums(dst, (float *)(dst + 256 - odd * QUAD_X) + 8 * odd);
  }
}

// A quad of activations with what its products begin with.
typedef struct {
  qb p, q;
  qf d;
  qi zero, zero2; // minus `from` for each code
} quad_x;

FN quad_x load_x(const int kind, const int from, const char *x) {
  quad_x v = {.p = qb_load(x), .q = qb_load(x + 64), .d = qf_load((const float *)(x + 128))};
  qi sums = qi_load(x + 192);
  if (kind & BY16) v.zero = qi_pairs(sums, -from, 0), v.zero2 = qi_pairs(sums, 0, -from);
  else v.zero = qi_pairs(sums, -from, -from);
  if (kind & MINS) v.zero = v.zero2 = qi_zero();
  return v;
}

// The k last elements of a row in blocks of 32, no whole quad of them, as a unit
// whose rest reads as zeros.
typedef struct {
  char bytes[4 * 34];
} last_unit;

FN last_unit last_of(const int type, const char *w, int64_t k) {
  last_unit u = {{0}};
  memcpy(u.bytes, w, (size_t)(unit_bytes(type) / 4 * (k / 32)));
  return u;
}

FN int64_t unit_elements(const int type) { return quads_in(kind_of(type)) * QUAD; }

// Opens the next unit of a row with k elements left, and returns the elements
// it has.
FN int64_t next_unit(const int type, const char **w, int64_t k, unit *u) {
  const int64_t step = unit_elements(type);
  if (step > QUAD || k >= step) {
    open_unit(type, *w, u);
    *w += unit_bytes(type);
    return step;
  }
  last_unit last = last_of(type, *w, k);
  if (step == QUAD) open_unit(type, last.bytes, u);
  return k;
}

// Weight rows that are read side by side lie far apart, in as many streams of
// memory that each go on where the row ended: with one stream the memory waits for
// the processor, and neighbouring rows would share their pages, which the hardware
// follows one stream in.
enum { STREAMS = 4, STREAM_AHEAD = 2048 };

// The i-th rows of the streams of a work item, `per` rows each. The last streams
// may have fewer; they repeat the item's last row.
FN void stream_rows(const llo_gemv *g, int64_t per, int64_t i, const char *w[STREAMS]) {
#pragma GCC unroll 4
  for (int64_t r = 0; r < STREAMS; r++, i += per) w[r] = g->w + (i < g->rows ? i : g->rows - 1) * g->rowbytes;
}

FN void fetch_unit(const int type, const char *w) {
  for (int64_t line = 0; line < unit_bytes(type); line += 64) __builtin_prefetch(w + STREAM_AHEAD + line);
}
