// The instruction sets of this build and whether the host can run them.
#include "llo.h"

#include <string.h>

#ifdef __x86_64__
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

static int has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
static int has_avx512f(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static int has_avx512(void) { return has_avx512f() && __builtin_cpu_supports("avx512vnni"); }

// Leaf 7.1, EAX bit 5.
static int has_avx512bf16(void) {
  unsigned a, b, c, d;
  return has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}

// The kernel gives a process the matrix unit's state only when it asks.
static int may_use_tiles(void) {
#ifdef __linux__
  enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
#else
  return 0;
#endif
}

// AMX with bf16 tiles, AVX-512 with bf16 conversions, and the tiles' state in
// what the operating system saves.
static int has_amx(void) {
  unsigned a, b, c, d, low, high;
  if (!has_avx512bf16() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  if (!(d >> 22 & 1) || !(d >> 24 & 1)) return 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low >> 17 & 3) == 3 && may_use_tiles();
}

// Leaf 7.1, EAX bit 4, which gcc 12 has no name for. has_avx2 asks whether the
// system saves the registers.
static int has_avxvnni(void) {
  unsigned a, b, c, d;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#endif

#if defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
static int has(const char *feature) {
  int yes = 0;
  size_t size = sizeof yes;
  return sysctlbyname(feature, &yes, &size, NULL, 0) == 0 && yes;
}
static int has_dotprod(void) { return has("hw.optional.arm.FEAT_DotProd"); }
static int has_i8mm(void) { return has_dotprod() && has("hw.optional.arm.FEAT_I8MM"); }
#elif defined(__aarch64__)
#include <sys/auxv.h>
static int has_dotprod(void) { return getauxval(AT_HWCAP) >> 20 & 1; } // HWCAP_ASIMDDP
static int has_i8mm(void) { return has_dotprod() && getauxval(AT_HWCAP2) >> 13 & 1; } // HWCAP2_I8MM
#endif

const llo_kernels *llo_find(const char *name) {
  if (!strcmp(name, "portable")) return &llo_portable;
#ifdef __x86_64__
  __builtin_cpu_init();
  if (!strcmp(name, "avx2") && has_avx2()) return &llo_avx2;
  if (!strcmp(name, "avxvnni") && has_avxvnni()) return &llo_avxvnni;
  if (!strcmp(name, "avxvnni") && has_avx512()) return &llo_vnni256;
  if (!strcmp(name, "avx512f") && has_avx512f()) return &llo_avx512f;
  if (!strcmp(name, "avx512") && has_avx512()) return &llo_avx512;
  if (!strcmp(name, "avx512bf16") && has_avx512bf16()) return llo_avx512bf16();
  if (!strcmp(name, "amx") && has_amx()) return llo_amx();
  if (!strcmp(name, "amx-emulated") && has_avx512()) return llo_amx_emulated();
#endif
#ifdef __aarch64__
  if (!strcmp(name, "neon")) return &llo_neon;
  if (!strcmp(name, "dotprod") && has_dotprod()) return &llo_dotprod;
  if (!strcmp(name, "i8mm") && has_i8mm()) return &llo_i8mm;
#endif
  return NULL;
}

// Measured: Zen 4 does as many of them in a second, Emerald Rapids half as many.
int llo_fast_pairs(void) {
#ifdef __x86_64__
  __builtin_cpu_init();
  return __builtin_cpu_is("amd");
#else
  return 0;
#endif
}

void llo_exp(const llo_kernels *k, float *x, int64_t n) { k->exp(x, n); }

// Encoders are there for 8 and for 16 lanes, whatever dot products a table has.
int llo_encodes(const llo_kernels *k, int type) {
#ifdef __x86_64__
  return k != &llo_portable && (type == LLO_Q4_K || type == LLO_Q5_K || type == LLO_Q6_K);
#else
  return 0;
#endif
}

uint64_t llo_encode(const llo_kernels *k, int type, uint8_t *dst, const float *src, int64_t blocks) {
#ifdef __x86_64__
  return k->vl == 16 ? llo_encode_avx512(type, dst, src, blocks) : llo_encode_avx2(type, dst, src, blocks);
#else
  return ~(uint64_t)0;
#endif
}
