// The matrix unit of AMX in C, for tests on processors without one. The order of
// additions is that of the manual (Intel SDM, TDPBF16PS): two chains over k, of
// the even and of the odd elements, whose sum is added to C; products are not
// rounded before they are added. Denormals count as zero, as in any step.
#include <stdlib.h>

static _Thread_local struct {
  uint16_t t[8][16][32];
  int open; // bytes of k
} emulated;

static void tile_load(int t, const char *p, int64_t step) {
  if (!emulated.open) abort(); // the processor would raise #UD
  int bytes = t == 4 || t == 5 ? emulated.open : 64, rows = t >= 6 ? emulated.open / 4 : 16;
  memset(emulated.t[t], 0, 1024);
  for (int i = 0; i < rows; i++) memcpy(emulated.t[t][i], p + i * step, (size_t)bytes);
}
static void tile_store(int t, void *p) {
  if (!emulated.open) abort();
  memcpy(p, emulated.t[t], 1024);
}
static void tile_zero(int t) {
  if (!emulated.open) abort();
  memset(emulated.t[t], 0, 1024);
}
static float half_up(uint16_t h) {
  uint32_t b = (uint32_t)h << 16;
  float f;
  memcpy(&f, &b, 4);
  return f;
}
LLO_TARGET static void tile_dot(int c, int a, int b) {
  if (!emulated.open) abort();
  for (int m = 0; m < 16; m++) {
    vf even = vzero(), odd = vzero();
    for (int k = 0; k < 16; k++) {
      const uint16_t *w = emulated.t[a][m] + 2 * k;
      vf x, y;
      split_bf16(emulated.t[b][k], &x, &y);
      even = vfma(vset1(half_up(w[0])), x, even);
      odd = vfma(vset1(half_up(w[1])), y, odd);
    }
    float *sum = (float *)emulated.t[c][m];
    vstore(sum, vadd(vload(sum), vadd(even, odd)));
  }
}
static void tile_dot_bytes(int c, int a, int b, int from_zero) {
  if (!emulated.open) abort();
  for (int m = 0; m < 16; m++)
    for (int n = 0; n < 16; n++) {
      int32_t sum = 0;
      for (int k = 0; k < emulated.open; k++) {
        uint8_t w = ((const uint8_t *)emulated.t[a][m])[k];
        sum += (from_zero ? w : (int8_t)w) * ((const int8_t *)emulated.t[b][k / 4])[4 * n + k % 4];
      }
      ((int32_t *)emulated.t[c][m])[n] += sum;
    }
}
#define TILE_ZERO(T) tile_zero(T)
#define TILE_LOAD(T, P) tile_load(T, (const char *)(P), 64)
#define TILE_LOAD_BY(T, P, STEP) tile_load(T, (const char *)(P), STEP)
#define TILE_DOT_I8(C, A, B) tile_dot_bytes(C, A, B, 0)
#define TILE_DOT_U8(C, A, B) tile_dot_bytes(C, A, B, 1)
#define TILE_STORE(T, P) tile_store(T, P)
#define TILE_DOT(C, A, B) tile_dot(C, A, B)

static void tiles_open_bytes(int k) {
  if (emulated.open) abort();
  memset(&emulated, 0, sizeof emulated);
  emulated.open = k;
}
static void tiles_open(void) { tiles_open_bytes(64); }
static void tiles_close(void) { emulated.open = 0; }

FN __m512i bf16_of(__m512 low, __m512 high) {
  __m512i v = _mm512_setzero_si512();
  narrow_bf16((char *)&v, low);
  narrow_bf16((char *)&v + 32, high);
  return v;
}
