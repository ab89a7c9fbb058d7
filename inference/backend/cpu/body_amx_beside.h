// Conversion of weights beside products: the vectors make the tiles of the next rows while
// the matrix unit multiplies with those of the rows before (body_amx.h), and memory is
// read all the time.
//
// Measured on two cores of a Xeon that reads 15 GB/s a core, ns for the 1088 bytes that two tiles have in
// Q8_0: 72 to read, 58 to convert from the first cache, 70 from the second, 99 with the reading, and 110
// with the products of 16 tokens beside it. One row after the other instead of four in turns takes 128
// where four take 94, and streams that never jump would take 83.

#define AMX_STRETCH 256 // weights of a row that are converted at once
#define AMX_STREAMS 4   // rows that take turns then
#define AMX_AHEAD 2     // stretches of a row between a fetch and the conversion

enum { AMX_EACH = AMX_ROWS / AMX_STREAMS }; // rows of a stream

// Weights [k0, k0+kn) of the rows [row, row+AMX_ROWS) of an item on their way to two tiles of rows. A round is one stretch
// of each of AMX_STREAMS rows far apart: so the processor fetches each of those by itself, too.
typedef struct {
  amx_row_fn *convert;
  uint16_t *w;                    // of the round
  const char *p, *soon;           // of the first stream: the round, and the one that is fetched with it
  int64_t k, kn, later, row;      // k of both; rows of a stream that were fetched
  int64_t rows, bytes, rowbytes;  // rows that are there; bytes of a stretch
  int64_t left, due, each, steps; // rounds; of `each` each of so many steps takes its share
} amx_beside;

FN amx_beside amx_unpacking(const llo_gemm *g, int64_t row, int64_t k0, int64_t kn, uint16_t *w) {
  const int64_t rounds = AMX_EACH * ((kn + AMX_STRETCH - 1) / AMX_STRETCH);
  const char *p = g->w + row * g->rowbytes + llo_row_bytes(g->wtype, k0);
  amx_beside b = {.convert = amx_rows[g->wtype], .w = w, .p = p, .soon = p, .kn = kn, .rows = g->rows - row,
                  .bytes = llo_row_bytes(g->wtype, AMX_STRETCH), .rowbytes = g->rowbytes, .left = rounds, .each = rounds};
  if (kn > AMX_AHEAD * AMX_STRETCH) b.soon += AMX_AHEAD * b.bytes, b.later = AMX_AHEAD * AMX_STRETCH;
  return b;
}

// The next stretch of a stream is that of its row, else of its next row, else of the rows that come after these.
FN void amx_fetched(amx_beside *b) {
  b->soon += b->bytes, b->later += AMX_STRETCH;
  if (b->later < b->kn) return;
  b->soon += b->rowbytes - b->later / AMX_STRETCH * b->bytes, b->later = 0;
  if (++b->row == AMX_EACH) b->soon += (AMX_ROWS - AMX_EACH) * b->rowbytes;
}

FN void amx_converted(amx_beside *b) {
  b->left--;
  b->p += b->bytes, b->w += AMX_STRETCH / 32 * AMX_TILE, b->k += AMX_STRETCH;
  if (b->k < b->kn) return;
  b->p += b->rowbytes - b->k / AMX_STRETCH * b->bytes, b->w += 32 - b->k / 32 * AMX_TILE, b->k = 0;
  b->rows--;
}

// Rows that are not there keep what was there, and nobody reads their results.
FN void amx_round(amx_beside *b) {
  const int64_t n = amx_least(b->kn - b->k, AMX_STRETCH);
  for (int64_t row = 0; row < AMX_ROWS; row += AMX_EACH) {
    const char *soon = b->soon + row * b->rowbytes;
    for (int64_t line = 0; line < b->bytes; line += 64) __builtin_prefetch(soon + line);
    if (row < b->rows) b->convert(b->w + row / 16 * (AMX_KBLOCK / 32 * AMX_TILE) + row % 16 * 32, b->p + row * b->rowbytes, n);
  }
  amx_fetched(b);
  amx_converted(b);
}

// What one step of the products takes along.
FN void amx_share(amx_beside *b) {
  for (b->due += b->each; b->due >= b->steps; b->due -= b->steps) amx_round(b);
}

FN void amx_finish(amx_beside *b) {
  while (b->left > 0) amx_round(b);
}
