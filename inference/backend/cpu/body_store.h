// The results of a prefill projection leave their sums tile by tile, as soon as these are finished: their rows lie
// far apart, and each store would wait for a line of its own. So a tile's lines are fetched before it is multiplied
// by the last block of k, and stored after it.

// Results [row, row+MR) of a projection for tokens [t, t+n) will be stored.
FN void store_ahead(const llo_gemm *g, int64_t row, int64_t t, int64_t n) {
  const int64_t rows = g->rows - row < MR ? g->rows - row : MR;
  for (int64_t i = t; i < t + n; i++)
    for (int64_t r = 0; r < rows; r += VL) __builtin_prefetch(g->out + i * g->ldo + row + r, 1);
}

// dst[t] (+)= c[t] (+ bias) for those. bias is read where the projection has one.
FN void store_tile(const llo_gemm *g, const float *bias, const float *c, int64_t ldc, int64_t row, int64_t t, int64_t n) {
  const int64_t rows = g->rows - row < MR ? g->rows - row : MR;
  for (int64_t i = 0; i < n; i++) {
    float *y = g->out + (t + i) * g->ldo + row;
    for (int64_t r = 0; r < rows; r += VL) {
      const int64_t some = rows - r < VL ? rows - r : VL;
      vf v = vload(c + i * ldc + r);
      if (g->b) v = vadd(v, vloadn(bias + row + r, some));
      if (g->add) v = vadd(v, vloadn(y + r, some));
      if (some == VL) vstore(y + r, v);
      else vstoren(y + r, v, some);
    }
  }
}
