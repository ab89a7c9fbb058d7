// Included in front of the toolkit's cuda.h. gorgonia.org/cu v0.9.6 calls five functions by names whose signature CUDA 13
// changed; these have the old signatures over the new functions. Of no effect with headers of CUDA 12.
#include_next <cuda.h>

#if CUDA_VERSION >= 13000 && !defined(LLORCH_CUDA_COMPAT)
#define LLORCH_CUDA_COMPAT

static inline CUmemLocation llorch_location(CUdevice d) { // −1 is the host
  CUmemLocation l;
  l.type = d < 0 ? CU_MEM_LOCATION_TYPE_HOST : CU_MEM_LOCATION_TYPE_DEVICE;
  l.id = d < 0 ? 0 : d;
  return l;
}
static inline CUresult llorch_ctx_create(CUcontext *c, unsigned int flags, CUdevice d) { return cuCtxCreate(c, 0, flags, d); }
static inline CUresult llorch_advise(CUdeviceptr p, size_t n, CUmem_advise a, CUdevice d) {
  return cuMemAdvise(p, n, a, llorch_location(d));
}
static inline CUresult llorch_prefetch(CUdeviceptr p, size_t n, CUdevice d, CUstream s) {
  return cuMemPrefetchAsync(p, n, llorch_location(d), 0, s);
}
static inline CUresult llorch_add_dependencies(CUgraph g, const CUgraphNode *from, const CUgraphNode *to, size_t n) {
  return cuGraphAddDependencies(g, from, to, 0, n);
}
static inline CUresult llorch_edges(CUgraph g, CUgraphNode *from, CUgraphNode *to, size_t *n) {
  return cuGraphGetEdges(g, from, to, 0, n);
}

#undef cuCtxCreate
#undef cuMemAdvise
#undef cuMemPrefetchAsync
#undef cuGraphAddDependencies
#undef cuGraphGetEdges
#define cuCtxCreate llorch_ctx_create
#define cuMemAdvise llorch_advise
#define cuMemPrefetchAsync llorch_prefetch
#define cuGraphAddDependencies llorch_add_dependencies
#define cuGraphGetEdges llorch_edges

#endif
