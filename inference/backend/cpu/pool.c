// The thread pool: threads-1 threads of our own and the caller. All waiting of
// a step happens here and never in Go, whose scheduler gives a spinning
// goroutine 10 ms at a time.
//
// Between steps a thread spins for SPIN_NS and then parks in the kernel, so
// that an idle worker takes no CPU. Inside a step nobody parks: a barrier is
// some hundred nanoseconds, a wake-up some ten microseconds. Measured on a
// 2-core Emerald Rapids VM: 0.5 us for an empty op with two threads, recording
// included, 0.1 us with one.
#include "llo.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif
#ifdef __x86_64__
#include <immintrin.h>
#endif

// Turns of a barrier's wait before it gives way: about 1 ms where every thread
// can have a core. Giving way sooner hands a whole time slice to whatever else
// runs on the host, at every barrier: beside two busy processes on two cores the
// 15M shape then decoded 62 tok/s, with 1 ms 123-127 (alone 1257 and 1166). With
// more threads than cores the one waited for needs this core, so 20 us.
enum { SPIN_NS = 100000, YIELD_AFTER = 22000, YIELD_AFTER_CROWDED = 400 };

typedef struct {
  llo_pool *pool;
  int index;
  pthread_t id;
} pool_thread;

struct llo_pool {
  _Alignas(64) uint32_t epoch; // counts steps; what parked threads wait on
  _Alignas(64) uint32_t sleepers;
  _Alignas(64) uint32_t arrived;
  _Alignas(64) uint32_t generation;
  _Alignas(64) llo_work work;
  void *arg;
  int threads, started;
  int yield_after; // turns
  uint32_t stop;
  pthread_mutex_t mutex; // where there is no futex
  pthread_cond_t wake;
  pool_thread thread[LLO_MAX_THREADS];
};

static inline void relax(void) {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

// Denormals read as zero and results below the normal range become zero: a
// denormal operand costs a hundred cycles. Returns what to restore.
static uint64_t flush_denormals(void) {
#if defined(__x86_64__)
  uint32_t old = _mm_getcsr();
  _mm_setcsr(old | 0x8040);
  return old;
#elif defined(__aarch64__)
  uint64_t old;
  __asm__ volatile("mrs %0, fpcr" : "=r"(old));
  __asm__ volatile("msr fpcr, %0" ::"r"(old | 1u << 24));
  return old;
#else
  return 0;
#endif
}
static void restore_denormals(uint64_t old) {
#if defined(__x86_64__)
  _mm_setcsr((uint32_t)old);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" ::"r"(old));
#else
  (void)old;
#endif
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#ifdef __linux__
static void park(llo_pool *p, uint32_t seen) {
  syscall(SYS_futex, &p->epoch, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}
static void wake_all(llo_pool *p) { syscall(SYS_futex, &p->epoch, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0); }
#else
static void park(llo_pool *p, uint32_t seen) {
  pthread_mutex_lock(&p->mutex);
  while (__atomic_load_n(&p->epoch, __ATOMIC_ACQUIRE) == seen) pthread_cond_wait(&p->wake, &p->mutex);
  pthread_mutex_unlock(&p->mutex);
}
static void wake_all(llo_pool *p) {
  pthread_mutex_lock(&p->mutex);
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->mutex);
}
#endif

// Waits until the epoch is no longer seen.
static void await_step(llo_pool *p, uint32_t seen) {
  int64_t until = now_ns() + SPIN_NS;
  do {
    for (int i = 0; i < 64; i++) {
      if (__atomic_load_n(&p->epoch, __ATOMIC_ACQUIRE) != seen) return;
      relax();
    }
    sched_yield();
  } while (now_ns() < until);
  __atomic_fetch_add(&p->sleepers, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&p->epoch, __ATOMIC_SEQ_CST) == seen) park(p, seen);
  __atomic_fetch_sub(&p->sleepers, 1, __ATOMIC_SEQ_CST);
}

static void publish(llo_pool *p) {
  __atomic_fetch_add(&p->epoch, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&p->sleepers, __ATOMIC_SEQ_CST) > 0) wake_all(p);
}

// Threads arrive on one cache line and watch another.
void llo_pool_barrier(llo_pool *p) {
  if (p->threads == 1) return;
  uint32_t g = __atomic_load_n(&p->generation, __ATOMIC_ACQUIRE);
  if (__atomic_fetch_add(&p->arrived, 1, __ATOMIC_ACQ_REL) == (uint32_t)p->threads - 1) {
    __atomic_store_n(&p->arrived, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&p->generation, g + 1, __ATOMIC_RELEASE);
    return;
  }
  for (int i = 1; __atomic_load_n(&p->generation, __ATOMIC_ACQUIRE) == g; i++) {
    relax();
    if (i > p->yield_after && i % 64 == 0) sched_yield();
  }
}

static void *thread_main(void *arg) {
  pool_thread *self = arg;
  llo_pool *p = self->pool;
  uint32_t seen = 0;
#ifdef __linux__
  char name[24];
  snprintf(name, sizeof name, "llorch-cpu-%d", self->index);
  name[15] = 0; // the kernel takes 15 characters
  pthread_setname_np(pthread_self(), name);
#endif
  flush_denormals();
  for (;;) {
    await_step(p, seen);
    seen++;
    if (__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE)) return NULL;
    p->work(p->arg, self->index, p->threads);
    llo_pool_barrier(p);
  }
}

// Signals go to Go's threads; only what this code itself can raise comes here.
static void block_signals(sigset_t *old) {
  sigset_t all;
  sigfillset(&all);
  int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&all, own[i]);
  pthread_sigmask(SIG_SETMASK, &all, old);
}

llo_pool *llo_pool_open(int threads) {
  llo_pool *p = NULL;
  if (threads < 1 || threads > LLO_MAX_THREADS) {
    errno = EINVAL;
    return NULL;
  }
  if ((errno = posix_memalign((void **)&p, 64, sizeof *p))) return NULL;
  int crowded = threads > sysconf(_SC_NPROCESSORS_ONLN);
  *p = (llo_pool){.threads = threads, .started = 1, .yield_after = crowded ? YIELD_AFTER_CROWDED : YIELD_AFTER};
  pthread_mutex_init(&p->mutex, NULL);
  pthread_cond_init(&p->wake, NULL);
  sigset_t old;
  block_signals(&old);
  int err = 0;
  for (; p->started < threads && !err; p->started += !err) {
    p->thread[p->started].pool = p, p->thread[p->started].index = p->started;
    err = pthread_create(&p->thread[p->started].id, NULL, thread_main, &p->thread[p->started]);
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (!err) return p;
  llo_pool_close(p);
  errno = err;
  return NULL;
}

void llo_pool_close(llo_pool *p) {
  __atomic_store_n(&p->stop, 1, __ATOMIC_RELEASE);
  publish(p);
  for (int i = 1; i < p->started; i++) pthread_join(p->thread[i].id, NULL);
  pthread_cond_destroy(&p->wake);
  pthread_mutex_destroy(&p->mutex);
  free(p);
}

int llo_pool_threads(const llo_pool *p) { return p->threads; }

// Runs f on every thread and returns when all are done.
void llo_pool_run(llo_pool *p, llo_work f, void *arg) {
  uint64_t csr = flush_denormals();
  p->work = f, p->arg = arg;
  if (p->threads > 1) publish(p);
  f(arg, 0, p->threads);
  llo_pool_barrier(p);
  restore_denormals(csr);
}

int64_t llo_next(int64_t *counter) { return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }
