//go:build cuda

#define _GNU_SOURCE
#include "lt.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#define HIDDEN __attribute__((visibility("hidden")))

static struct {
  void *library;
  size_t (*version)(void);
  int (*create)(void **);
  int (*destroy)(void *);
  int (*desc_create)(void **, int compute, int scale);
  int (*desc_set)(void *, int attribute, const void *, size_t);
  int (*desc_destroy)(void *);
  int (*layout_create)(void **, int type, uint64_t rows, uint64_t cols, int64_t ld);
  int (*layout_destroy)(void *);
  int (*pref_create)(void **);
  int (*pref_set)(void *, int attribute, const void *, size_t);
  int (*pref_destroy)(void *);
  int (*heuristic)(void *, void *, void *, void *, void *, void *, void *, int, llorch_lt_result *, int *);
  int (*matmul)(void *, void *, const void *, const void *, void *, const void *, void *, const void *, const void *, void *,
                void *, void *, const llorch_lt_algorithm *, void *, size_t, void *);
} lt;

static const struct {
  void **into;
  const char *name;
} symbols[] = {
    {(void **)&lt.version, "cublasLtGetVersion"},
    {(void **)&lt.create, "cublasLtCreate"},
    {(void **)&lt.destroy, "cublasLtDestroy"},
    {(void **)&lt.desc_create, "cublasLtMatmulDescCreate"},
    {(void **)&lt.desc_set, "cublasLtMatmulDescSetAttribute"},
    {(void **)&lt.desc_destroy, "cublasLtMatmulDescDestroy"},
    {(void **)&lt.layout_create, "cublasLtMatrixLayoutCreate"},
    {(void **)&lt.layout_destroy, "cublasLtMatrixLayoutDestroy"},
    {(void **)&lt.pref_create, "cublasLtMatmulPreferenceCreate"},
    {(void **)&lt.pref_set, "cublasLtMatmulPreferenceSetAttribute"},
    {(void **)&lt.pref_destroy, "cublasLtMatmulPreferenceDestroy"},
    {(void **)&lt.heuristic, "cublasLtMatmulAlgoGetHeuristic"},
    {(void **)&lt.matmul, "cublasLtMatmul"},
};

HIDDEN const char *llorch_lt_open(const char *path, char *where, size_t room) {
  struct link_map *map;
  void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!h) return dlerror();
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
    if (!(*symbols[i].into = dlsym(h, symbols[i].name))) return dlerror();
  lt.library = h;
  if (!dlinfo(h, RTLD_DI_LINKMAP, &map)) strncpy(where, map->l_name, room - 1);
  return NULL;
}

HIDDEN size_t llorch_lt_version(void) { return lt.version(); }
HIDDEN int llorch_lt_create(void **handle) { return lt.create(handle); }
HIDDEN int llorch_lt_destroy(void *handle) { return lt.destroy(handle); }

#define TRY(call, name)                                                                                                          \
  do {                                                                                                                           \
    int status_ = (call);                                                                                                        \
    if (status_) {                                                                                                               \
      *failed = name;                                                                                                            \
      return status_;                                                                                                            \
    }                                                                                                                            \
  } while (0)

// The library counts by column: what it calls yᵀ [n × m] is y by row, and yᵀ = w·xᵀ with w, by row, transposed for it.
static int describe(const llorch_lt_shape *s, llorch_lt_plan *p, const char **failed) {
  enum { compute_f32 = 68, scale_f32 = 0, transpose_a = 3 };
  int yes = 1;
  TRY(lt.desc_create(&p->operation, compute_f32, scale_f32), "cublasLtMatmulDescCreate");
  TRY(lt.desc_set(p->operation, transpose_a, &yes, sizeof yes), "cublasLtMatmulDescSetAttribute");
  TRY(lt.layout_create(&p->w, s->in, s->k, s->n, s->stride_w), "cublasLtMatrixLayoutCreate");
  TRY(lt.layout_create(&p->x, s->in, s->k, s->m, s->stride_x), "cublasLtMatrixLayoutCreate");
  TRY(lt.layout_create(&p->y, s->out, s->n, s->m, s->stride_y), "cublasLtMatrixLayoutCreate");
  return 0;
}

static int prefer(void *pref, const llorch_lt_shape *s, size_t workspace, const char **failed) {
  enum { max_workspace = 1, min_alignment_a = 5, min_alignment_d = 8 };
  TRY(lt.pref_set(pref, max_workspace, &workspace, sizeof workspace), "cublasLtMatmulPreferenceSetAttribute");
  for (int a = min_alignment_a; a <= min_alignment_d; a++)
    TRY(lt.pref_set(pref, a, &s->align, sizeof s->align), "cublasLtMatmulPreferenceSetAttribute");
  return 0;
}

HIDDEN int llorch_lt_make(void *handle, const llorch_lt_shape *s, size_t workspace, llorch_lt_plan *p, const char **failed) {
  void *pref = NULL;
  memset(p, 0, sizeof *p);
  int status = describe(s, p, failed);
  if (status) return status;
  TRY(lt.pref_create(&pref), "cublasLtMatmulPreferenceCreate");
  status = prefer(pref, s, workspace, failed);
  if (!status) {
    status = lt.heuristic(handle, p->operation, p->w, p->x, p->y, p->y, pref, llorch_lt_candidates, p->found, &p->count);
    *failed = "cublasLtMatmulAlgoGetHeuristic";
  }
  lt.pref_destroy(pref);
  return status;
}

HIDDEN void llorch_lt_free(llorch_lt_plan *p) {
  if (p->operation) lt.desc_destroy(p->operation);
  if (p->w) lt.layout_destroy(p->w);
  if (p->x) lt.layout_destroy(p->x);
  if (p->y) lt.layout_destroy(p->y);
  memset(p, 0, sizeof *p);
}

HIDDEN int llorch_lt_run(void *handle, const llorch_lt_plan *p, int i, float beta, uint64_t y, uint64_t x, uint64_t w,
                         uint64_t workspace, size_t bytes, uintptr_t stream) {
  float one = 1;
  return lt.matmul(handle, p->operation, &one, (void *)w, p->w, (void *)x, p->x, &beta, (void *)y, p->y, (void *)y, p->y,
                   &p->found[i].algorithm, (void *)workspace, bytes, (void *)stream);
}
