// Anonymous memory for caches, activations and plans.
#include "llo.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

enum { HUGE = 2 << 20 };

// Every page is written, so that it is resident from the start and a step never
// faults. Long stretches ask for huge pages where `huge` says so: they are aligned by the kernel.
void *llo_map(int64_t bytes, int huge) {
  void *p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
#ifdef MADV_HUGEPAGE
  if (huge && bytes >= HUGE) madvise(p, (size_t)bytes, MADV_HUGEPAGE);
#endif
#ifdef MADV_POPULATE_WRITE
  if (madvise(p, (size_t)bytes, MADV_POPULATE_WRITE) == 0) return p;
#endif
  long page = sysconf(_SC_PAGESIZE);
  for (int64_t i = 0; i < bytes; i += page) ((volatile char *)p)[i] = 0;
  return p;
}

void llo_unmap(void *p, int64_t bytes) { munmap(p, (size_t)bytes); }
