#ifndef LLORCH_CUBLASLT_H
#define LLORCH_CUBLASLT_H

// cuBLASLt without its header. Layouts and numbers are those of cublasLt.h of CUDA 12 and 13, where they are documented
// as stable.

#include <stddef.h>
#include <stdint.h>

enum { llorch_lt_candidates = 8 };

typedef struct {
  uint64_t data[8];
} llorch_lt_algorithm; // cublasLtMatmulAlgo_t

typedef struct {
  llorch_lt_algorithm algorithm;
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
} llorch_lt_result; // cublasLtMatmulHeuristicResult_t

typedef struct {
  uint64_t m, n, k;
  int64_t stride_x, stride_w, stride_y;
  int in, out;
  uint32_t align;
} llorch_lt_shape;

typedef struct {
  void *operation, *w, *x, *y; // descriptors
  llorch_lt_result found[llorch_lt_candidates];
  int count;
} llorch_lt_plan;

// Opens the library at path. NULL, or why it cannot be used. where gets the file that was loaded.
const char *llorch_lt_open(const char *path, char *where, size_t room);
size_t llorch_lt_version(void);
int llorch_lt_create(void **handle);
int llorch_lt_destroy(void *handle);
// *failed names the call whose status is returned.
int llorch_lt_make(void *handle, const llorch_lt_shape *s, size_t workspace, llorch_lt_plan *p, const char **failed);
void llorch_lt_free(llorch_lt_plan *p);
int llorch_lt_run(void *handle, const llorch_lt_plan *p, int i, float beta, uint64_t y, uint64_t x, uint64_t w,
                  uint64_t workspace, size_t bytes, uintptr_t stream);

#endif
