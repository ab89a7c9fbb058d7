#ifndef LLORCH_CUDA_EXTRA_H
#define LLORCH_CUDA_EXTRA_H

// What gorgonia.org/cu lacks or has wrong. Handles travel as integers, as Go keeps them.

#include <cuda.h>
#include <stdint.h>

typedef struct {
  uint32_t grid[3], block[3], shared, programmatic, cluster;
} llorch_shape;

typedef struct {
  uint32_t type, managed;
  int device;
  uint64_t host, start, bytes;
} llorch_pointer;

CUresult llorch_launch(uintptr_t f, uintptr_t stream, const llorch_shape *shape, const void *params, size_t bytes);
CUresult llorch_pointer_info(uint64_t p, llorch_pointer *out);
CUresult llorch_host_alloc(size_t bytes, void **host, uint64_t *device);
CUresult llorch_copy_in(uint64_t dst, const void *src, size_t bytes, uintptr_t stream);
CUresult llorch_graph_launch(uintptr_t exec, uintptr_t stream);
CUresult llorch_capture_begin(uintptr_t stream);
CUresult llorch_capture_end(uintptr_t stream, uintptr_t *graph);
CUresult llorch_graph_nodes(uintptr_t graph, size_t *nodes);
CUresult llorch_graph_instantiate(uintptr_t graph, uintptr_t *exec);
CUresult llorch_graph_destroy(uintptr_t graph);
CUresult llorch_graph_upload(uintptr_t exec, uintptr_t stream);
CUresult llorch_exec_destroy(uintptr_t exec);
CUresult llorch_load_function(uintptr_t f);
CUresult llorch_set_attribute(uintptr_t f, int attribute, int value);
CUresult llorch_occupancy(uintptr_t f, int threads, size_t shared, int *blocks);
CUresult llorch_clusters(uintptr_t f, const llorch_shape *shape, int *clusters);
const char *llorch_error_name(int code);
const char *llorch_error_text(int code);

#endif
