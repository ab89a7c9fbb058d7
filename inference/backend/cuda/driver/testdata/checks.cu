// Kernels for the tests of package driver: each is the least that shows one ability. Plain CUDA, one parameter struct
// each; hardware_test.go has their twins.
#include <stdint.h>

struct Sum {
  const float *a, *b;
  float *c;
  uint64_t n;
};

struct Chain {
  uint32_t *counter; // [2]: how many ran, and how many of them found the one before done
  uint32_t step, early;
};

struct Cluster {
  uint32_t *out; // [grid]: rank of the block in its cluster
};

// c = a + b. Grid-stride, any launch.
extern "C" __global__ void sum(const __grid_constant__ Sum p) {
  for (uint64_t i = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x; i < p.n; i += (uint64_t)gridDim.x * blockDim.x)
    p.c[i] = p.a[i] + p.b[i];
}

// c = a reversed, through dynamic shared memory of n·4 bytes. One block.
extern "C" __global__ void reverse(const __grid_constant__ Sum p) {
  extern __shared__ float held[];
  for (uint64_t i = threadIdx.x; i < p.n; i += blockDim.x) held[i] = p.a[i];
  __syncthreads();
  for (uint64_t i = threadIdx.x; i < p.n; i += blockDim.x) p.c[i] = held[p.n - 1 - i];
}

// One link of a chain of launches: counts, and whether the count is that of the link before. 1 block of 32 threads.
extern "C" __global__ void chain(const __grid_constant__ Chain p) {
#if __CUDA_ARCH__ >= 900
  if (p.early) asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  if (threadIdx.x != 0) return;
  if (p.counter[0] == p.step) p.counter[1] += 1;
  p.counter[0] += 1;
}

extern "C" __global__ void cluster(const __grid_constant__ Cluster p) {
  uint32_t rank = 99;
#if __CUDA_ARCH__ >= 900
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
  if (threadIdx.x == 0) p.out[blockIdx.x] = rank;
}

// Reads an address that is nobody's: the context is lost. For the test of sticky errors.
extern "C" __global__ void trespass(const __grid_constant__ Sum p) { p.c[0] = *(const volatile float *)0x10; }
