// A weight file that is truncated while it is mapped raises SIGBUS in whatever
// thread reads the lost pages. Instead of dying without a word, the process
// puts zero pages in their place, finishes the step, and the device reports a
// fault from every Sync that follows.
//
// The handler is process-wide by nature: it is installed with the first guard
// and stays. It knows the ranges of every open device and hands any other
// SIGBUS to the handler that was there before, which is Go's.
#include "llo.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

enum { SLOTS = 256 };

typedef struct { uintptr_t from, to; } range;

// Ranges are appended and never changed. A list that has become too short is
// kept until the guard closes, for the handler may be reading it.
typedef struct list {
  int64_t n, room;
  struct list *older;
  range at[];
} list;

typedef struct {
  int used;
  list *ranges;
  uintptr_t fault;
} guard;

static guard guards[SLOTS];
static int reading; // threads that are in ours() now: what they may hold is not freed
static struct sigaction before;
static uintptr_t page;

// Zero pages from the lost page to the end of the range: a truncated file has
// lost everything behind it as well.
static int replace(guard *g, const range *r, uintptr_t addr) {
  uintptr_t from = addr & ~(page - 1), to = r->to & ~(page - 1), none = 0;
  if (to <= from) to = from + page;
  if (mmap((void *)from, to - from, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) return 0;
  __atomic_compare_exchange_n(&g->fault, &none, addr, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
  return 1;
}

static int find(uintptr_t addr) {
  for (int s = 0; s < SLOTS; s++) {
    list *l = __atomic_load_n(&guards[s].ranges, __ATOMIC_SEQ_CST);
    int64_t n = l ? __atomic_load_n(&l->n, __ATOMIC_ACQUIRE) : 0;
    for (int64_t i = 0; i < n; i++)
      if (addr >= l->at[i].from && addr < l->at[i].to) return replace(&guards[s], &l->at[i], addr);
  }
  return 0;
}

static int ours(uintptr_t addr) {
  __atomic_add_fetch(&reading, 1, __ATOMIC_SEQ_CST);
  int found = find(addr);
  __atomic_sub_fetch(&reading, 1, __ATOMIC_SEQ_CST);
  return found;
}

static void on_bus(int sig, siginfo_t *info, void *context) {
  if (info->si_code > 0 && ours((uintptr_t)info->si_addr)) return;
  if (before.sa_flags & SA_SIGINFO) {
    before.sa_sigaction(sig, info, context);
    return;
  }
  if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(sig);
    return;
  }
  signal(sig, SIG_DFL); // returning repeats the access, which now ends the process
}

static void install(void) {
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_sigaction = on_bus;
  a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigfillset(&a.sa_mask);
  page = (uintptr_t)sysconf(_SC_PAGESIZE);
  sigaction(SIGBUS, &a, &before);
}

int llo_guard_open(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, install);
  for (int s = 0; s < SLOTS; s++) {
    int free_slot = 0;
    if (!__atomic_compare_exchange_n(&guards[s].used, &free_slot, 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) continue;
    __atomic_store_n(&guards[s].fault, 0, __ATOMIC_RELEASE);
    return s;
  }
  return -1;
}

int llo_guard_add(int slot, const void *from, int64_t bytes) {
  guard *g = &guards[slot];
  list *l = g->ranges;
  if (!l || l->n == l->room) {
    int64_t room = l ? 2 * l->room : 256;
    list *more = calloc(1, sizeof *more + (size_t)room * sizeof(range));
    if (!more) return -1;
    if (l) memcpy(more->at, l->at, (size_t)l->n * sizeof(range));
    more->n = l ? l->n : 0, more->room = room, more->older = l;
    __atomic_store_n(&g->ranges, more, __ATOMIC_RELEASE);
    l = more;
  }
  l->at[l->n] = (range){(uintptr_t)from, (uintptr_t)from + (uintptr_t)bytes};
  __atomic_store_n(&l->n, l->n + 1, __ATOMIC_RELEASE);
  return 0;
}

uintptr_t llo_guard_fault(int slot) { return __atomic_load_n(&guards[slot].fault, __ATOMIC_ACQUIRE); }

// No thread computes from the ranges any more when a guard closes, but one that
// lost a page of another device may be looking through them: it is waited for.
void llo_guard_close(int slot) {
  list *l = guards[slot].ranges;
  __atomic_store_n(&guards[slot].ranges, NULL, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&reading, __ATOMIC_SEQ_CST)) sched_yield();
  while (l) {
    list *older = l->older;
    free(l);
    l = older;
  }
  __atomic_store_n(&guards[slot].used, 0, __ATOMIC_RELEASE);
}
