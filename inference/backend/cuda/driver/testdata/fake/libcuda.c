// A driver that computes nothing, for tests of what a host may be like: cc -shared -fPIC -o libcuda.so.1 libcuda.c,
// and LLORCH_LIBCUDA names the result. The variables FAKE_… choose the host. Functions that it has not are missing in a
// driver of this age.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int number(const char *name, int otherwise) {
  const char *s = getenv(name);
  return s && *s ? atoi(s) : otherwise;
}

int cuInit(unsigned flags) { return number("FAKE_INIT", 0); }
int cuDriverGetVersion(int *v) { return *v = number("FAKE_VERSION", 13000), 0; }
int cuDeviceGetCount(int *n) { return *n = number("FAKE_DEVICES", 1), 0; }

static int no_device(int d) { return d < 0 || d >= number("FAKE_DEVICES", 1); }

int cuDeviceGetName(char *name, int room, int d) {
  const char *s = getenv("FAKE_NAME");
  return no_device(d) ? 101 : (snprintf(name, room, "%s", s ? s : "NVIDIA Fake"), 0);
}
int cuDeviceGetUuid_v2(char *id, int d) { return no_device(d) ? 101 : (memset(id, 0x11 + d, 16), 0); }
int cuDeviceTotalMem_v2(size_t *n, int d) { return no_device(d) ? 101 : (*n = (size_t)80 << 30, 0); }
int cuDeviceGetAttribute(int *v, int a, int d) {
  int capability = number("FAKE_CAPABILITY", 90);
  if (no_device(d)) return 101;
  *v = a == 75 ? capability / 10 : a == 76 ? capability % 10 : a == 20 ? number("FAKE_MODE", 0) : 0;
  return 0;
}
int cuGetErrorName(int code, const char **s) { return *s = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_FAKE", 0; }
int cuGetErrorString(int code, const char **s) { return *s = code == 2 ? "out of memory" : "a failure of the fake", 0; }

// Memory is the host's. It has one megabyte a piece.
int cuMemAlloc_v2(uint64_t *p, size_t n) { return n > 1 << 20 ? 2 : (*p = (uintptr_t)calloc(1, n), 0); }
int cuMemFree_v2(uint64_t p) { return free((void *)(uintptr_t)p), 0; }
int cuMemcpyHtoD_v2(uint64_t d, const void *h, size_t n) { return memcpy((void *)(uintptr_t)d, h, n), 0; }
int cuMemcpyDtoH_v2(void *h, uint64_t d, size_t n) { return memcpy(h, (void *)(uintptr_t)d, n), 0; }
int cuStreamQuery(void *s) { return (uintptr_t)s == 1 ? 600 : 0; }

// A launch writes its shape and its parameters to the address that the parameters begin with.
typedef struct {
  uint32_t grid[3], block[3], shared, pad;
  void *stream;
  uint32_t *attributes;
  uint32_t count;
} config;
int cuLaunchKernelEx(const config *c, void *f, void **params, void **extra) {
  uint64_t to;
  size_t bytes = *(size_t *)extra[3];
  memcpy(&to, extra[1], 8);
  uint32_t *out = (uint32_t *)(uintptr_t)to;
  memcpy(out, c->grid, 28);
  out[7] = c->count;
  for (uint32_t i = 0; i < c->count; i++) memcpy(out + 8 + 2 * i, (char *)c->attributes + 72 * i, 4), memcpy(out + 9 + 2 * i, (char *)c->attributes + 72 * i + 8, 4);
  out[12] = (uint32_t)bytes;
  memcpy(out + 13, (char *)extra[1] + 8, bytes - 8);
  return 0;
}
