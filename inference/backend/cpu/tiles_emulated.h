// The matrix unit of AMX in C, for tests on processors without one. The order of
// additions is that of the manual (Intel SDM, TDPBF16PS): two chains over k, of
// the even and of the odd elements, whose sum is added to C; products are not
// rounded before they are added. Denormals count as zero, as in any step.
#include <stdlib.h>

static _Thread_local struct {
  uint16_t t[8][16][32];
  int open;
} unit;

static void tile_load(int t, const void *p) {
  if (!unit.open) abort(); // the processor would raise #UD
  memcpy(unit.t[t], p, 1024);
}
static void tile_store(int t, void *p) {
  if (!unit.open) abort();
  memcpy(p, unit.t[t], 1024);
}
static void tile_zero(int t) {
  if (!unit.open) abort();
  memset(unit.t[t], 0, 1024);
}
static float half_up(uint16_t h) {
  uint32_t b = (uint32_t)h << 16;
  float f;
  memcpy(&f, &b, 4);
  return f;
}
LLO_TARGET static void tile_dot(int c, int a, int b) {
  if (!unit.open) abort();
  for (int m = 0; m < 16; m++) {
    vf even = vzero(), odd = vzero();
    for (int k = 0; k < 16; k++) {
      const uint16_t *w = unit.t[a][m] + 2 * k;
      vf x, y;
      split_bf16(unit.t[b][k], &x, &y);
      even = vfma(vset1(half_up(w[0])), x, even);
      odd = vfma(vset1(half_up(w[1])), y, odd);
    }
    float *sum = (float *)unit.t[c][m];
    vstore(sum, vadd(vload(sum), vadd(even, odd)));
  }
}
#define TILE_ZERO(T) tile_zero(T)
#define TILE_LOAD(T, P) tile_load(T, P)
#define TILE_STORE(T, P) tile_store(T, P)
#define TILE_DOT(C, A, B) tile_dot(C, A, B)

static void tiles_open(void) {
  if (unit.open) abort();
  memset(&unit, 0, sizeof unit);
  unit.open = 1;
}
static void tiles_close(void) { unit.open = 0; }

FN __m512i bf16_of(__m512 low, __m512 high) {
  __m512i v = _mm512_setzero_si512();
  narrow_bf16((char *)&v, low);
  narrow_bf16((char *)&v + 32, high);
  return v;
}
