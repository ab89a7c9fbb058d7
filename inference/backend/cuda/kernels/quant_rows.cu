// Makes integers of the activations of decode rows (quant_rows.cuh) for quant_cluster.cu, once for
// all of its blocks, and leaves the squares of the norm before, in parts.
//
// Grid: (rows, 4, formats) of 128: a warp for each slice of a row.
#include "quant_rows.cuh"

struct QuantRowsParams {
  ProjectParams p;
  unsigned char *dst[3]; // of each format
  float *squares;        // [slice][32 rows]
  int32_t format[3], chunks, rows, pad; // rows: m and what fills it up to a multiple of 8
};

template <class Q, bool PACKED, int N> __device__ __forceinline__ void take_row(const QuantRowsParams &q) {
  const int slice = blockIdx.y * 4 + threadIdx.x / 32;
  const Rows<Q> to(q.dst[blockIdx.z], q.chunks, q.rows, WARPS, slice, slice);
  take_rows<Q, PACKED, 1, N>(q.p, to, blockIdx.x, [&](int row, float squares) {
    if ((threadIdx.x & 31) == 0) q.squares[slice * MOST_ROWS + row] = squares;
  });
}

template <class Q> __device__ __forceinline__ void take_row(const QuantRowsParams &q) {
  if (q.p.packed_x) q.chunks > 8 ? take_row<Q, true, 4>(q) : take_row<Q, true, 2>(q);
  else q.chunks > 8 ? take_row<Q, false, 4>(q) : take_row<Q, false, 2>(q);
}

extern "C" __global__ void __launch_bounds__(128) quant_rows(const __grid_constant__ QuantRowsParams q) {
  let_next_start();
  switch (q.format[blockIdx.z]) {
#define CASE(T) case T: return take_row<Quant<T>>(q);
    CASE(Q8_0) CASE(Q4_0) CASE(Q4_K) CASE(Q6_K)
#undef CASE
  }
}
