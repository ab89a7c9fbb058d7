// How a projection is cut into work items. Phase 0 packs the activations, once
// for all parts; phase 1 multiplies: panels of the prefill rows first, because
// these items are long, then stretches of weight rows for the decode rows.
#include "llo.h"

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t llo_packed_cols(const llo_kernels *k, int64_t cols) { return ceil_div(cols, 2 * k->vl) * 2 * k->vl; }

int64_t llo_tile_floats(const llo_kernels *k, int64_t rows, int64_t cols) { return ceil_div(rows, k->nt) * k->nt * cols; }

int64_t llo_linear_floats(const llo_kernels *k) {
  return (int64_t)LLO_PANELS * k->mr * (LLO_KBLOCK + LLO_TILES * k->nt);
}

static void pack(const llo_kernels *k, const llo_op *op, int64_t item) {
  if (item < op->decode) {
    const float *x = op->x + item * op->cols;
    int64_t wide = llo_packed_cols(k, op->cols), i = op->cols;
    if (op->packed[1]) k->split(op->packed[1] + item * wide, x, op->cols);
    if (!op->packed[0]) return;
    float *dst = op->packed[0] + item * wide;
    k->widen(dst, x, LLO_F32, op->cols);
    for (; i < wide; i++) dst[i] = 0;
    return;
  }
  int64_t t = (item - op->decode) * k->nt, left = op->n - op->decode - t;
  k->tile(op->packed[2] + t * op->cols, op->x + (op->decode + t) * op->cols, op->cols, op->cols, left < k->nt ? left : k->nt);
}

// The part an item of `rows` weight rows lies in and its first row there.
static const llo_part *part_of(const llo_op *op, int64_t item, int64_t rows, int64_t *first) {
  const llo_part *p = op->parts;
  for (;; p++) {
    int64_t n = ceil_div(p->out, rows);
    if (item < n) break;
    item -= n;
  }
  *first = item * rows;
  return p;
}

static int64_t items_of(const llo_op *op, int64_t rows) {
  int64_t n = 0;
  for (int64_t i = 0; i < op->nparts; i++) n += ceil_div(op->parts[i].out, rows);
  return n;
}

static const char *bias_at(const llo_part *p, int64_t row) {
  return p->b ? p->b + row * (p->btype == LLO_F32 ? 4 : 2) : 0;
}

static void prefill(const llo_kernels *k, const llo_op *op, int64_t item, float *scratch) {
  int64_t row, rows = op->panels * k->mr;
  const llo_part *p = part_of(op, item, rows, &row);
  llo_gemm g = {
      .w = p->w + row * p->rowbytes, .b = bias_at(p, row), .rowbytes = p->rowbytes,
      .rows = p->out - row < rows ? p->out - row : rows, .k = op->cols, .m = op->n - op->decode, .ldo = op->out,
      .x = op->packed[2], .out = op->dst + op->decode * op->out + p->col + row,
      .wtype = p->wtype, .btype = p->btype, .add = op->add,
  };
  k->gemm(&g, scratch);
}

static void decode(const llo_kernels *k, const llo_op *op, int64_t item) {
  int64_t row, rows = op->dec_rows;
  const llo_part *p = part_of(op, item, rows, &row);
  llo_gemv g = {
      .w = p->w + row * p->rowbytes, .b = bias_at(p, row), .rowbytes = p->rowbytes,
      .rows = p->out - row < rows ? p->out - row : rows, .k = op->cols, .m = op->decode,
      .ldx = llo_packed_cols(k, op->cols), .ldo = op->out,
      .x = op->packed[p->wtype == LLO_BF16], .out = op->dst + p->col + row,
      .wtype = p->wtype, .btype = p->btype, .add = op->add,
  };
  k->gemv(&g);
}

int llo_linear(llo_step *s, llo_op *op, int phase, float *scratch) {
  const llo_kernels *k = s->kern;
  int64_t later = op->n - op->decode, i;
  if (phase == 0) {
    int64_t items = op->decode + ceil_div(later, k->nt);
    while ((i = llo_next(op->next[0])) < items) pack(k, op, i);
    return 1;
  }
  int64_t first = later ? items_of(op, op->panels * k->mr) : 0;
  int64_t items = first + (op->decode ? items_of(op, op->dec_rows) : 0);
  while ((i = llo_next(op->next[1])) < items) {
    if (i < first) prefill(k, op, i, scratch);
    else decode(k, op, i - first);
  }
  return 0;
}
