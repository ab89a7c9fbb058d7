// The greedy choice: the first of the largest logits of a row. It is -1 where one is NaN or
// +Inf, or none is above -Inf, as package sample has it. Grid: n blocks of 1024.
#include "projection.cuh"

struct GreedyParams {
  int32_t *dst;
  const float *logits;
  int64_t vocab;
};

enum { NONE = 0x7fffffff }; // above every id, so that it loses each tie

extern "C" __global__ void __launch_bounds__(1024) greedy(const __grid_constant__ GreedyParams p) {
  wait_for_previous();
  __shared__ float tops[32];
  __shared__ int ids[32], bads[32];
  const float *x = p.logits + blockIdx.x * p.vocab;
  float top = -INFINITY;
  int id = NONE, bad = 0;
  for (int i = threadIdx.x; i < p.vocab; i += 1024) {
    float v = x[i];
    if (v != v || v == INFINITY) bad = 1;
    if (v > top) top = v, id = i;
  }
  for (int o = 16; o; o >>= 1) {
    float v = __shfl_xor_sync(0xffffffff, top, o);
    int j = __shfl_xor_sync(0xffffffff, id, o);
    if (v > top || (v == top && j < id)) top = v, id = j;
  }
  bad = __any_sync(0xffffffff, bad);
  if (threadIdx.x % 32 == 0) tops[threadIdx.x / 32] = top, ids[threadIdx.x / 32] = id, bads[threadIdx.x / 32] = bad;
  __syncthreads();
  if (threadIdx.x) return;
  for (int w = 1; w < 32; w++) {
    if (tops[w] > top || (tops[w] == top && ids[w] < id)) top = tops[w], id = ids[w];
    bad |= bads[w];
  }
  p.dst[blockIdx.x] = bad || id == NONE ? -1 : id;
}
