// Ops that work row by row: embedding, norms, activation, choice of rows. Activations are
// float32, [n × cols], rows dense.
#include "formats.cuh"

extern "C" {

// Embed: dst[i] = table[tokens[i]]. Grid: n blocks of 256.
struct EmbedParams {
  float *dst;
  const uint8_t *table;
  Tokens tokens;
  int64_t rowbytes;
  int32_t cols, type;
};
__global__ void embed(const __grid_constant__ EmbedParams p) {
  wait_for_previous();
  const uint8_t *row = p.table + p.tokens.of(blockIdx.x) * p.rowbytes;
  for (int k = threadIdx.x; k < p.cols; k += blockDim.x) p.dst[(int64_t)blockIdx.x * p.cols + k] = element(p.type, row, k);
}

// Rows: dst[i] = x[index[i]]. Grid: n blocks of 256.
struct RowsParams {
  float *dst;
  const float *x;
  const int32_t *index;
  int32_t cols;
};
__global__ void rows(const __grid_constant__ RowsParams p) {
  wait_for_previous();
  const float *from = p.x + (int64_t)p.index[blockIdx.x] * p.cols;
  for (int k = threadIdx.x; k < p.cols; k += blockDim.x) p.dst[(int64_t)blockIdx.x * p.cols + k] = from[k];
}

// RMSNorm: dst = x / sqrt(mean(x²) + eps) · w. Grid: n blocks of 256. dst may be x.
struct NormParams {
  float *dst;
  const float *x;
  const uint8_t *w;
  int32_t cols, type;
  float eps;
};
__global__ void rms_norm(const __grid_constant__ NormParams p) {
  wait_for_previous();
  __shared__ float part[8];
  const float *x = p.x + (int64_t)blockIdx.x * p.cols;
  float *dst = p.dst + (int64_t)blockIdx.x * p.cols, sum = 0;
  for (int k = threadIdx.x; k < p.cols; k += 256) sum = fmaf(x[k], x[k], sum);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
  for (int i = 0; i < 8; i++) sum += part[i];
  float scale = 1 / sqrtf(sum / p.cols + p.eps);
  for (int k = threadIdx.x; k < p.cols; k += 256) dst[k] = x[k] * scale * element(p.type, p.w, k);
}

// HeadNorm: RMSNorm of each head of q and k in place. Grid: (n, q+kv) blocks of 32.
struct HeadNormParams {
  float *qkv;
  const uint8_t *wq, *wk;
  int64_t cols; // of a row of qkv
  int32_t q, kv, dim, type_q, type_k;
  float eps;
};
__global__ void head_norm(const __grid_constant__ HeadNormParams p) {
  wait_for_previous();
  const int head = blockIdx.y;
  float *x = p.qkv + blockIdx.x * p.cols + head * p.dim, sum = 0;
  for (int k = threadIdx.x; k < p.dim; k += 32) sum = fmaf(x[k], x[k], sum);
  float scale = 1 / sqrtf(warp_sum(sum) / p.dim + p.eps);
  for (int k = threadIdx.x; k < p.dim; k += 32)
    x[k] = x[k] * scale * (head < p.q ? element(p.type_q, p.wq, k) : element(p.type_k, p.wk, k));
}

// SwiGLU: dst = silu(gate)·up. Grid: as many blocks of 256 as elements need.
struct SwiGLUParams {
  float *dst;
  const float *gate_up;
  int64_t n; // elements of dst
  int32_t cols;
};
__global__ void swiglu(const __grid_constant__ SwiGLUParams p) {
  wait_for_previous();
  int64_t i = blockIdx.x * (int64_t)256 + threadIdx.x;
  if (i >= p.n) return;
  int64_t row = i / p.cols, k = i % p.cols;
  float g = p.gate_up[row * 2 * p.cols + k], u = p.gate_up[row * 2 * p.cols + p.cols + k];
  p.dst[i] = g / (1 + expf(-g)) * u;
}
}
