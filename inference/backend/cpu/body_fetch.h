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

// A walk over its lines, `each` of them at a step. What is fetched all at once keeps the loads behind it
// waiting; so memory works while the kernel multiplies.
typedef struct {
  const char *p, *end;           // the next line, and the end of its row
  int64_t rowbytes, bytes, left; // left: rows
  int each;
} fetcher;

// A walk of so many steps; of no lines if there are none.
FN fetcher fetch_in(const rows_ahead *a, int64_t steps) {
  const int64_t lines = a->n * ((a->bytes + 63) / 64);
  return (fetcher){a->w, a->w + a->bytes, a->rowbytes, a->bytes, a->n, steps > 0 ? (int)((lines + steps - 1) / steps) : 0};
}

FN void fetch_some(fetcher *f) {
  for (int i = 0; i < f->each && f->left > 0; i++) {
    __builtin_prefetch(f->p, 0, 2);
    if ((f->p += 64) < f->end) continue;
    f->end += f->rowbytes, f->p = f->end - f->bytes, f->left--;
  }
}
