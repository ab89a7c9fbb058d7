//go:build cuda

#include "extra.h"

#include <string.h>

#define HIDDEN __attribute__((visibility("hidden")))

// The configuration of a launch, whose attributes are in `at`.
static CUlaunchConfig config(const llorch_shape *shape, CUlaunchAttribute at[2]) {
  CUlaunchConfig c;
  memset(&c, 0, sizeof c);
  c.gridDimX = shape->grid[0], c.gridDimY = shape->grid[1], c.gridDimZ = shape->grid[2];
  c.blockDimX = shape->block[0], c.blockDimY = shape->block[1], c.blockDimZ = shape->block[2];
  c.sharedMemBytes = shape->shared;
  c.attrs = at;
  if (shape->programmatic) {
    CUlaunchAttribute *a = memset(&at[c.numAttrs++], 0, sizeof *at);
    a->id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    a->value.programmaticStreamSerializationAllowed = 1;
  }
  if (shape->cluster) {
    CUlaunchAttribute *a = memset(&at[c.numAttrs++], 0, sizeof *at);
    a->id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    a->value.clusterDim.x = shape->cluster, a->value.clusterDim.y = 1, a->value.clusterDim.z = 1;
  }
  return c;
}

HIDDEN CUresult llorch_launch(uintptr_t f, uintptr_t stream, const llorch_shape *shape, const void *params, size_t bytes) {
  void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, (void *)params, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END};
  CUlaunchAttribute at[2];
  CUlaunchConfig c = config(shape, at);
  c.hStream = (CUstream)stream;
  return cuLaunchKernelEx(&c, (CUfunction)f, NULL, bytes ? extra : NULL);
}

HIDDEN CUresult llorch_clusters(uintptr_t f, const llorch_shape *shape, int *clusters) {
  CUlaunchAttribute at[2];
  CUlaunchConfig c = config(shape, at);
  return cuOccupancyMaxActiveClusters(clusters, (CUfunction)f, &c);
}

// The plural form leaves at 0 what an address has no answer for; the singular fails.
HIDDEN CUresult llorch_pointer_info(uint64_t p, llorch_pointer *out) {
  CUpointer_attribute which[] = {
      CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_HOST_POINTER,
      CU_POINTER_ATTRIBUTE_IS_MANAGED, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, CU_POINTER_ATTRIBUTE_RANGE_SIZE,
  };
  CUmemorytype type = 0;
  void *host = NULL;
  CUdeviceptr start = 0;
  size_t bytes = 0;
  int device = -1;
  unsigned int managed = 0;
  void *into[] = {&type, &device, &host, &managed, &start, &bytes};
  CUresult r = cuPointerGetAttributes(sizeof which / sizeof *which, which, into, (CUdeviceptr)p);
  out->type = type, out->device = device, out->host = (uintptr_t)host;
  out->managed = managed & 0xff; // the driver writes a byte
  out->start = start, out->bytes = bytes;
  return r;
}

HIDDEN CUresult llorch_host_alloc(size_t bytes, void **host, uint64_t *device) {
  CUdeviceptr d = 0;
  CUresult r = cuMemHostAlloc(host, bytes, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
  if (r) return r;
  r = cuMemHostGetDevicePointer(&d, *host, 0);
  if (r) cuMemFreeHost(*host);
  *device = d;
  return r;
}

HIDDEN CUresult llorch_copy_in(uint64_t dst, const void *src, size_t bytes, uintptr_t s) {
  return cuMemcpyHtoDAsync(dst, src, bytes, (CUstream)s);
}
// Thread-local: with the global mode an allocation of a loader's thread would fail and break the capture.
HIDDEN CUresult llorch_capture_begin(uintptr_t s) {
  return cuStreamBeginCapture((CUstream)s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
}
HIDDEN CUresult llorch_capture_end(uintptr_t s, uintptr_t *graph) {
  CUgraph g = NULL;
  CUresult r = cuStreamEndCapture((CUstream)s, &g);
  *graph = (uintptr_t)g;
  return r;
}
HIDDEN CUresult llorch_graph_nodes(uintptr_t g, size_t *nodes) { return cuGraphGetNodes((CUgraph)g, NULL, nodes); }
HIDDEN CUresult llorch_graph_instantiate(uintptr_t g, uintptr_t *exec) {
  CUgraphExec x = NULL;
  CUresult r = cuGraphInstantiateWithFlags(&x, (CUgraph)g, 0);
  *exec = (uintptr_t)x;
  return r;
}
HIDDEN CUresult llorch_graph_destroy(uintptr_t g) { return cuGraphDestroy((CUgraph)g); }
HIDDEN CUresult llorch_graph_upload(uintptr_t x, uintptr_t s) { return cuGraphUpload((CUgraphExec)x, (CUstream)s); }
HIDDEN CUresult llorch_graph_launch(uintptr_t x, uintptr_t s) { return cuGraphLaunch((CUgraphExec)x, (CUstream)s); }
HIDDEN CUresult llorch_exec_destroy(uintptr_t x) { return cuGraphExecDestroy((CUgraphExec)x); }

// Drivers load a kernel's code when it is first used, which fails in a capture. Those from 12.4 on can be told to now;
// an older one has loaded it when it gave the handle.
HIDDEN CUresult llorch_load_function(uintptr_t f) {
#if CUDA_VERSION >= 12040
  CUresult r = cuFuncLoad((CUfunction)f);
  return r == CUDA_ERROR_NOT_FOUND ? CUDA_SUCCESS : r;
#else
  (void)f;
  return CUDA_SUCCESS;
#endif
}

HIDDEN CUresult llorch_set_attribute(uintptr_t f, int attribute, int value) {
  return cuFuncSetAttribute((CUfunction)f, (CUfunction_attribute)attribute, value);
}
HIDDEN CUresult llorch_occupancy(uintptr_t f, int threads, size_t shared, int *blocks) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, (CUfunction)f, threads, shared);
}

HIDDEN const char *llorch_error_name(int code) {
  const char *s = NULL;
  return cuGetErrorName((CUresult)code, &s) ? NULL : s;
}
HIDDEN const char *llorch_error_text(int code) {
  const char *s = NULL;
  return cuGetErrorString((CUresult)code, &s) ? NULL : s;
}
