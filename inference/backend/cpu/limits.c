// Timed runs of the raw read and of arithmetic on registers, on the pool.
#include "llo.h"

#include <time.h>

enum { STRETCH = 1 << 20 }; // bytes a thread takes at a time

typedef struct {
  const llo_kernels *kern;
  llo_peak peak;
  const char *buf;
  int64_t bytes, iterations;
  int64_t next[8];
  double ops[LLO_MAX_THREADS];
} job;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void read_work(void *arg, int thread, int threads) {
  job *j = arg;
  (void)threads;
  volatile float keep = 0;
  for (int64_t i; (i = llo_next(j->next) * STRETCH) < j->bytes;)
    keep = j->kern->read(j->buf + i, j->bytes - i < STRETCH ? j->bytes - i : STRETCH);
  j->ops[thread] = keep;
}

double llo_read_seconds(llo_pool *p, const llo_kernels *k, const char *buf, int64_t bytes) {
  job j = {.kern = k, .buf = buf, .bytes = bytes};
  double t = now();
  llo_pool_run(p, read_work, &j);
  return now() - t;
}

static void peak_work(void *arg, int thread, int threads) {
  job *j = arg;
  (void)threads;
  j->ops[thread] = j->peak(j->iterations);
}

double llo_peak_seconds(llo_pool *p, llo_peak f, int64_t iterations, double *ops) {
  job j = {.peak = f, .iterations = iterations};
  double t = now();
  llo_pool_run(p, peak_work, &j);
  t = now() - t;
  *ops = 0;
  for (int i = 0; i < llo_pool_threads(p); i++) *ops += j.ops[i];
  return t;
}
