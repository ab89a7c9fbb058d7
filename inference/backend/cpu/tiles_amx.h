// The matrix unit of AMX: eight tiles of 16 rows of 64 bytes. In assembler, and
// with memory clobbers, because compilers' own headers leave out what the
// instructions read: gcc before 12.4 and 13.3 drops stores to the configuration
// (GCC bug 114098).
#define TILE_ZERO(T) __asm__ volatile("tilezero %%tmm" #T ::)
#define TILE_LOAD(T, P) __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #T ::"r"(P), "r"((int64_t)64) : "memory")
#define TILE_STORE(T, P) __asm__ volatile("tilestored %%tmm" #T ", (%0,%1,1)" ::"r"(P), "r"((int64_t)64) : "memory")
// C += A B: C[m][n] += sum_k A[m][2k] B[k][2n] + A[m][2k+1] B[k][2n+1]
#define TILE_DOT(C, A, B) __asm__ volatile("tdpbf16ps %%tmm" #B ", %%tmm" #A ", %%tmm" #C ::)

// The same of bytes, C int32: sum_k A[m][4k+i] B[k][4n+i], A signed or unsigned.
#define TILE_DOT_I8(C, A, B) __asm__ volatile("tdpbssd %%tmm" #B ", %%tmm" #A ", %%tmm" #C ::)
#define TILE_DOT_U8(C, A, B) __asm__ volatile("tdpbusd %%tmm" #B ", %%tmm" #A ", %%tmm" #C ::)
// A tile whose rows lie STEP bytes apart.
#define TILE_LOAD_BY(T, P, STEP) __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #T ::"r"(P), "r"((int64_t)(STEP)) : "memory")

// Tiles 0 to 3 are 16 rows of 64 bytes, 4 and 5 16 of k, 6 and 7 k/4 of 64. Clears
// them.
static inline void tiles_open_bytes(int k) {
  struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  } c = {.palette = 1, .bytes = {64, 64, 64, 64, (uint16_t)k, (uint16_t)k, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, (uint8_t)(k / 4), (uint8_t)(k / 4)}};
  _Static_assert(sizeof c == 64, "what ldtilecfg reads");
  __asm__ volatile("ldtilecfg %0" ::"m"(c) : "memory");
}
static inline void tiles_open(void) { tiles_open_bytes(64); }
// A thread that holds tiles is dearer to switch away from.
static inline void tiles_close(void) { __asm__ volatile("tilerelease" ::: "memory"); }

#include "bf16_avx512.h"
#define TILES_PEAK
