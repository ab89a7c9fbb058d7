// Blocks of Q4_K, Q5_K and Q6_K from float32, byte for byte those of package
// tensor, whose files q4_k.go, q5_k.go and q6_k.go have the layouts. Blocks whose numbers
// are out of the ordinary are left to it: an infinity or a NaN, magnitudes that
// an f16 scale may not reach, ranges so small that a quotient is none.

enum { KB = 256 }; // elements of a block

// ordinary: no magnitude is above the highest.
FN int ordinary(const float *x) {
  const float highest = 32768;
  uint32_t most = 0, limit, b;
  memcpy(&limit, &highest, 4);
  for (int i = 0; i < KB; i++) {
    memcpy(&b, x + i, 4);
    b &= 0x7fffffff;
    most = b > most ? b : most;
  }
  return most <= limit;
}

FN float clamped(float x, float lo, float hi) {
  x = (x + (3 << 22)) - (3 << 22);
  return x < lo ? lo : x > hi ? hi : x;
}

// q[i] = the level nearest to (x[i] + m)/d, counted from bottom.
FN void requantize(uint8_t *q, const float *x, const int n, float d, float m, float bottom, float top) {
  for (int i = 0; i < n; i += VL)
    vbytes(q + i, vsub(vlevel(vdiv(vadd(vload(x + i), vset1(m)), vset1(d)), vset1(bottom), vset1(top)), vset1(bottom)));
}

// q[i] = the level nearest to (x[i] - from)·inv, counted from bottom.
FN void found(uint8_t *q, const float *x, const int n, float inv, float from, float bottom, float top) {
  for (int i = 0; i < n; i += VL)
    vbytes(q + i, vsub(vlevel(vmul(vset1(inv), vsub(vload(x + i), vset1(from))), vset1(bottom), vset1(top)), vset1(bottom)));
}

FN void pack4(uint8_t *b, const uint8_t *q) {
  for (int g = 0; g < 4; g++)
    for (int l = 0; l < 32; l++) b[32 * g + l] = (uint8_t)((q[64 * g + l] & 15) | q[64 * g + 32 + l] << 4);
}

// Bit 4 of the levels.
FN void pack_fifth(uint8_t *b, const uint8_t *q) {
  for (int l = 0; l < 32; l++) {
    unsigned v = 0;
    for (int k = 0; k < 8; k++) v |= (unsigned)(q[32 * k + l] >> 4 & 1) << k;
    b[l] = (uint8_t)v;
  }
}

FN void put_scale_min(uint8_t *b, int j, unsigned scale, unsigned low) {
  if (j < 4) {
    b[j] = (uint8_t)scale, b[j + 4] = (uint8_t)low;
    return;
  }
  b[j + 4] = (uint8_t)((scale & 15) | low << 4);
  b[j - 4] |= (uint8_t)(scale >> 4 << 6);
  b[j] |= (uint8_t)(low >> 4 << 6);
}

FN unsigned scale_level(float x, float largest) {
  return largest > 0 ? (unsigned)(int)clamped(63 / largest * x, 0, 63) : 0;
}

// fits are the results of the affine search, a group each.
typedef struct {
  float scale[VL], minus[VL], range[VL], inv[VL], from[VL];
} fits;

// A group of equal elements, none above 0, has levels 0 and scale 0.
FN void affine_close(const affine *a, fits *f) {
  vm flat = vequal(a->range, vzero());
  vstore(f->scale, a->scale);
  vstore(f->minus, vsub(vzero(), a->lo));
  vstore(f->range, vpick(flat, vset1(1), a->range));
  vstore(f->inv, vpick(flat, vzero(), a->best_inv));
  vstore(f->from, a->best_from);
}

// The largest of 8, 0 if none is above; *small tells if it is no divisor.
FN float largest8(const float *x, int *small) {
  float most = 0;
  for (int g = 0; g < 8; g++) most = x[g] > most ? x[g] : most;
  *small |= most > 0 && most < 1e-30f;
  return most;
}

// Makes the first 16 bytes of a block and its levels of what was found for its
// groups, at and the 7 behind. Returns 0 for a block to leave.
FN int affine_block(uint8_t *head, uint8_t *q, const float *x, const fits *f, const int at, const float top) {
  int small = 0;
  float scale = largest8(f->scale + at, &small), minus = largest8(f->minus + at, &small);
  for (int g = 0; g < 8; g++) small |= !(f->range[at + g] > 1e-30f);
  if (small || !ordinary(x)) return 0;
  float d = half_put(head, scale / 63), dmin = half_put(head + 2, minus / 63);
  for (int g = 0; g < 8; g++) {
    unsigned sc = scale_level(f->scale[at + g], scale), m = scale_level(f->minus[at + g], minus);
    put_scale_min(head + 4, g, sc, m);
    if (d * (float)sc != 0)
      requantize(q + 32 * g, x + 32 * g, 32, d * (float)sc, dmin * (float)m, 0, top);
    else
      found(q + 32 * g, x + 32 * g, 32, f->inv[at + g], f->from[at + g], 0, top);
  }
  return 1;
}

// AFFINE_BLOCKS blocks at once. Returns a bit for each that is left.
enum { AFFINE_BLOCKS = PAIR * VL / 8 };

FN uint64_t affine_blocks(uint8_t *dst, const float *src, const affine_search *s, const int type) {
  affine a[PAIR];
  fits f;
  uint8_t q[KB];
  uint64_t left = 0;
  for (int n = 0; n < PAIR; n++) affine_open(&a[n], src + n * VL * AFFINE);
  affine_fit(a, s);
  for (int k = 0; k < AFFINE_BLOCKS; k++) {
    uint8_t *b = dst + k * (type == LLO_Q4_K ? 144 : 176);
    if (k % (VL / 8) == 0) affine_close(&a[k / (VL / 8)], &f);
    if (!affine_block(b, q, src + k * KB, &f, k % (VL / 8) * 8, s->top)) {
      left |= (uint64_t)1 << k;
      continue;
    }
    if (type == LLO_Q5_K) pack_fifth(b + 16, q);
    pack4(b + (type == LLO_Q4_K ? 16 : 48), q);
  }
  return left;
}

LLO_TARGET static uint64_t q4_k_blocks(uint8_t *dst, const float *src) {
  static const affine_search s = {.top = 15, .first = -1, .steps = 21};
  return affine_blocks(dst, src, &s, LLO_Q4_K);
}

LLO_TARGET static uint64_t q5_k_blocks(uint8_t *dst, const float *src) {
  static const affine_search s = {.top = 31, .first = -0.5f, .steps = 16};
  return affine_blocks(dst, src, &s, LLO_Q5_K);
}

// Of half h, byte 64h+l of the low bits has elements 128h+l and 128h+64+l, byte
// 32h+l of the high ones 128h+l and every 32nd behind.
FN void pack6(uint8_t *b, const uint8_t *q) {
  for (int h = 0; h < 2; h++, q += 128) {
    for (int l = 0; l < 64; l++) b[64 * h + l] = (uint8_t)((q[l] & 15) | q[64 + l] << 4);
    for (int l = 0; l < 32; l++)
      b[128 + 32 * h + l] = (uint8_t)(q[l] >> 4 | q[32 + l] >> 4 << 2 | q[64 + l] >> 4 << 4 | q[96 + l] >> 4 << 6);
  }
}

LLO_TARGET static uint64_t q6_k_blocks(uint8_t *b, const float *x) {
  const float n = 32, tiny = 1e-15f;
  symmetric a;
  float scales[16], peaks[16], inv[16], most = 0;
  uint8_t q[KB];
  if (!ordinary(x)) return 1;
  for (int g = 0; g < 16; g += VL) {
    symmetric_open(&a, x + g * SYMMETRIC);
    symmetric_fit(&a, n);
    vm zeros = vless(vmagnitude(a.peak), vset1(tiny));
    vstore(scales + g, vpick(zeros, vzero(), a.scale));
    vstore(peaks + g, a.peak);
    vstore(inv + g, a.best_inv);
  }
  for (int g = 0; g < 16; g++) most = __builtin_fabsf(scales[g]) > __builtin_fabsf(most) ? scales[g] : most;
  if (__builtin_fabsf(most) < tiny) {
    memset(b, 0, 210);
    return 0;
  }
  float to = -128 / most, d = half_put(b + 208, 1 / to);
  for (int g = 0; g < 16; g++) {
    float s = clamped(to * scales[g], -128, 127);
    b[192 + g] = (uint8_t)(int8_t)s;
    if (d * s != 0)
      requantize(q + 16 * g, x + 16 * g, 16, d * s, 0, -n, n - 1);
    else if (__builtin_fabsf(peaks[g]) < tiny)
      memset(q + 16 * g, 0, 16);
    else
      found(q + 16 * g, x + 16 * g, 16, inv[g], 0, -n, n - 1);
  }
  pack6(b, q);
  return 0;
}

// Encodes up to 64 blocks. What there is no whole number of is padded with zeros.
LLO_TARGET static uint64_t encode_blocks(int type, uint8_t *dst, const float *src, int64_t blocks) {
  int at_once = type == LLO_Q6_K ? 1 : AFFINE_BLOCKS;
  uint64_t left = 0, (*encode)(uint8_t *, const float *) =
      type == LLO_Q4_K ? q4_k_blocks : type == LLO_Q5_K ? q5_k_blocks : q6_k_blocks;
  int64_t bytes = llo_block_bytes(type), k = 0;
  for (; k + at_once <= blocks; k += at_once) left |= encode(dst + k * bytes, src + k * KB) << k;
  if (k < blocks) {
    float x[AFFINE_BLOCKS * KB] = {0};
    uint8_t b[AFFINE_BLOCKS * 210];
    memcpy(x, src + k * KB, (size_t)(blocks - k) * KB * 4);
    uint64_t more = encode(b, x) & (((uint64_t)1 << (blocks - k)) - 1);
    memcpy(dst + k * bytes, b, (size_t)((blocks - k) * bytes));
    left |= more << k;
  }
  return left;
}
