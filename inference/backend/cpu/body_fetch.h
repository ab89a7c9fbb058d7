// What a prefill kernel unpacks next, and is fetched while it multiplies: rows are too
// short and too far apart for the hardware to foresee.

// n rows of weights, so many bytes of each.
typedef struct {
  const char *w;
  int64_t rowbytes, n, bytes;
} rows_ahead;

// What panel p, of `most` rows, has of the weights [k0, k0+kn). p may be one beyond the
// last: then it is the first panel of the next stretch of k, of at most kblock.
FN rows_ahead ahead_of(const llo_gemm *g, int64_t p, int64_t most, int64_t k0, int64_t kn, int64_t kblock) {
  if (p * most >= g->rows) p = 0, k0 += kn, kn = g->k - k0 < kblock ? g->k - k0 : kblock;
  const int64_t left = g->rows - p * most;
  return (rows_ahead){g->w + p * most * g->rowbytes + llo_row_bytes(g->wtype, k0), g->rowbytes, left < most ? left : most, llo_row_bytes(g->wtype, kn)};
}

// Fetches the i-th of `parts` parts.
FN void fetch_ahead(const rows_ahead *a, int64_t i, int64_t parts) {
  for (int64_t r = a->n * i / parts; r < a->n * (i + 1) / parts; r++)
    for (int64_t at = 0; at < a->bytes; at += 64) __builtin_prefetch(a->w + r * a->rowbytes + at, 0, 2);
}
