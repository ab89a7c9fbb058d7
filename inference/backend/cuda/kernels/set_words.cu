// Few words from the host come to device memory as parameters of a launch, which lie where the launch lies: a copy engine
// would have to be told, and the kernels before and behind it to be waited for.
#include "formats.cuh"

struct SetWordsParams {
  int32_t *dst;
  int32_t n, pad;
  int32_t word[1000]; // parameters have 4096 bytes at most
};

// dst[i] = word[i]. Grid: a block of 128 for so many words: lanes of a warp get theirs one after the other.
extern "C" __global__ void set_words(const __grid_constant__ SetWordsParams p) {
  wait_for_previous();
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < p.n) p.dst[i] = p.word[i];
}
