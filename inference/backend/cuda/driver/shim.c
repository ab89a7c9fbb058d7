//go:build cuda

#include "shim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define HIDDEN __attribute__((visibility("hidden")))

static const char *const names[] = {
#define CALL(name) #name,
#include "calls.h"
#undef CALL
};
enum { count = sizeof names / sizeof *names };

static int not_open(void) { return 3; }  // CUDA_ERROR_NOT_INITIALIZED
static int lacking(void) { return 500; } // CUDA_ERROR_NOT_FOUND: this driver is older than the call

// What trampolines.S jumps through, in the order of calls.h.
HIDDEN void *llorch_cuda_calls[count] = {[0 ... count - 1] = (void *)not_open};

// gorgonia.org/cu calls cuInit when the program starts and ends the process where that fails. The real one is called by
// llorch_cuda_open. The prototype is the header's, which is not included: it would name it differently some day.
HIDDEN int cuInit(unsigned int flags);
HIDDEN int cuInit(unsigned int flags) { (void)flags; return 0; }

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char why_not[512];
static int result = -2, absent; // −2: not tried yet

static void *load(void) {
  static const char *const paths[] = {
      "libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1",
      "/run/opengl-driver/lib/libcuda.so.1", "/usr/lib64/libcuda.so.1",
  };
  const char *only = getenv("LLORCH_LIBCUDA");
  size_t i, n = sizeof paths / sizeof *paths;
  if (only && *only) n = 1;
  for (i = 0; i < n; i++) {
    void *h = dlopen(only && *only ? only : paths[i], RTLD_NOW | RTLD_LOCAL);
    if (h) return h;
    if (!*why_not) snprintf(why_not, sizeof why_not, "%s", dlerror()); // the first is the one to tell of
  }
  return NULL;
}

static int open_once(void) {
  int (*init)(unsigned int);
  void *h = load();
  if (!h) return -1;
  *why_not = 0;
  init = (int (*)(unsigned int))dlsym(h, "cuInit");
  if (!init) {
    snprintf(why_not, sizeof why_not, "%s", dlerror());
    return -1;
  }
  for (size_t i = 0; i < count; i++) {
    void *f = dlsym(h, names[i]);
    if (!f) absent++;
    llorch_cuda_calls[i] = f ? f : (void *)lacking;
  }
  return init(0);
}

HIDDEN int llorch_cuda_open(const char **why, int *lack) {
  pthread_mutex_lock(&lock);
  if (result == -2) result = open_once();
  *why = why_not;
  *lack = absent;
  pthread_mutex_unlock(&lock);
  return result;
}
