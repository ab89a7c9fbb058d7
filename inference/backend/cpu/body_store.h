#define STORE_AHEAD 4 // tokens between the fetch of a destination, whose rows lie far apart, and the store

// dst[t] (+)= c[t] (+ bias) for the finished sums of one work item of a prefill
// projection. bias is read where the projection has one.
FN void gemm_store(const llo_gemm *g, const float *bias, const float *c, int64_t ldc, int64_t t0, int64_t tn) {
  for (int64_t t = 0; t < tn; t++) {
    const float *s = c + t * ldc;
    float *y = g->out + (t0 + t) * g->ldo;
    for (int64_t r = 0; r < g->rows; r += VL) {
      int64_t n = g->rows - r < VL ? g->rows - r : VL;
      vf v = vload(s + r);
      __builtin_prefetch(y + STORE_AHEAD * g->ldo + r, 1);
      if (g->b) v = vadd(v, vloadn(bias + r, n));
      if (g->add) v = vadd(v, vloadn(y + r, n));
      if (n == VL) vstore(y + r, v);
      else vstoren(y + r, v, n);
    }
  }
}
