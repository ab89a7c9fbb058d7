// How a projection is cut into work items. Phase 0 packs the activations, once
// for all parts; where kernels want decode rows gathered, phase 1 does that; the last
// phase multiplies: panels of the prefill rows first, because these items are long,
// then stretches of weight rows for the decode rows.
#include "llo.h"

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int llo_packing(const llo_kernels *k, int wtype, int prefill) { return k->packing(wtype, prefill); }

int llo_rounds(const llo_kernels *k, int wtype, int prefill) {
  int packing = k->packing(wtype, prefill);
  return packing < 0 ? 0 : k->rounds(packing);
}

// Bytes of `rows` packed rows, rounded up to whole groups.
int64_t llo_packed(const llo_kernels *k, int packing, int64_t rows, int64_t cols) {
  return ceil_div(rows, k->group(packing)) * k->packed(packing, cols);
}

static int of_prefill(int packing) { return packing >= LLO_TILES; }

static int64_t rows_of(const llo_op *op, int packing) { return of_prefill(packing) ? op->n - op->decode : op->decode; }

// The items of a layout that the op wants: groups of prefill rows, parts of decode
// rows.
static int64_t pack_items(const llo_kernels *k, const llo_op *op, int packing) {
  if (!op->packed[packing] || packing == LLO_GATHERED) return 0;
  if (of_prefill(packing)) return ceil_div(rows_of(op, packing), k->group(packing));
  return op->decode * ceil_div(op->cols, LLO_COLS);
}

static void pack_group(const llo_kernels *k, const llo_op *op, int packing, int64_t item) {
  int64_t per = k->group(packing), from = item * per, left = rows_of(op, packing) - from, rows = left < per ? left : per;
  if (op->fuses)
    for (int64_t i = op->decode + from; i < op->decode + from + rows; i++) llo_make(k, op - 1, i, 0, op->cols);
  k->pack(packing, op->packed[packing] + item * k->packed(packing, op->cols), op->x + (op->decode + from) * op->cols, op->cols, op->cols, rows);
}

static void pack_part(const llo_kernels *k, const llo_op *op, int packing, int64_t item) {
  int64_t per = ceil_div(op->cols, LLO_COLS), row = item / per, c = item % per * LLO_COLS, n = op->cols - c < LLO_COLS ? op->cols - c : LLO_COLS;
  if (op->fuses) llo_make(k, op - 1, row, c, n);
  k->pack(packing, op->packed[packing] + row * k->packed(packing, op->cols) + k->packed(packing, c), op->x + row * op->cols + c, op->cols, n, 1);
}

// Items of a layout are contiguous.
static void pack(const llo_kernels *k, const llo_op *op, int64_t item) {
  int packing = 0;
  for (int64_t n; item >= (n = pack_items(k, op, packing)); packing++) item -= n;
  if (of_prefill(packing)) pack_group(k, op, packing, item);
  else pack_part(k, op, packing, item);
}

// One item is LLO_GATHER columns of a group of decode rows.
static void gather(const llo_kernels *k, const llo_op *op, int64_t item) {
  int64_t per = ceil_div(op->cols, LLO_GATHER), group = item / per, first = group * k->group(LLO_GATHERED);
  int64_t ldx = k->packed(LLO_BLOCKS, op->cols), left = op->decode - first;
  k->gather(op->packed[LLO_GATHERED] + group * k->packed(LLO_GATHERED, op->cols), op->packed[LLO_BLOCKS] + first * ldx, ldx, op->cols,
            left < k->group(LLO_GATHERED) ? left : k->group(LLO_GATHERED), item % per);
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

static llo_gemm gemm_of(const llo_kernels *k, const llo_op *op, int64_t item) {
  int64_t row, rows = op->panels * k->mr;
  const llo_part *p = part_of(op, item, rows, &row);
  return (llo_gemm){
      .w = p->w + row * p->rowbytes, .b = bias_at(p, row), .rowbytes = p->rowbytes,
      .rows = p->out - row < rows ? p->out - row : rows, .k = op->cols, .m = op->n - op->decode, .ldo = op->out,
      .x = op->packed[k->packing(p->wtype, 1)], .out = op->dst + op->decode * op->out + p->col + row,
      .wtype = p->wtype, .btype = p->btype, .add = op->add,
  };
}

// Takes items of prefill rows until there are no more. A kernel that begins with the next
// one gets it while the one before is still to be multiplied; for all others that would only
// keep it from an idle thread. Returns the item behind them that it took.
static int64_t prefill(const llo_kernels *k, const llo_op *op, int64_t *next, int64_t items, void *scratch) {
  llo_gemm g[2];
  int64_t item = llo_next(next);
  if (item < items) g[0] = gemm_of(k, op, item);
  for (int turn = 0; item < items; turn ^= 1) {
    if (!k->begins) k->gemm(&g[turn], scratch);
    item = llo_next(next);
    if (item < items) g[turn ^ 1] = gemm_of(k, op, item), g[turn].next = &g[turn ^ 1];
    if (k->begins) k->gemm(&g[turn], scratch);
  }
  return item;
}

static void decode(const llo_kernels *k, const llo_op *op, int64_t item, void *scratch, int32_t *kept) {
  int64_t row, rows = op->dec_rows;
  const llo_part *p = part_of(op, item, rows, &row);
  llo_gemv g = {
      .w = p->w + row * p->rowbytes, .b = bias_at(p, row), .rowbytes = p->rowbytes,
      .rows = p->out - row < rows ? p->out - row : rows, .k = op->cols, .m = op->decode,
      .ldx = k->packed(k->packing(p->wtype, 0), op->cols), .ldo = op->out,
      .x = op->packed[k->packing(p->wtype, 0)], .gathered = k->packing(p->wtype, 0) == LLO_BLOCKS ? op->packed[LLO_GATHERED] : 0,
      .out = op->dst + p->col + row,
      .wtype = p->wtype, .btype = p->btype, .add = op->add, .kept = kept,
  };
  k->gemv(&g, scratch);
}

int llo_linear(llo_step *s, llo_op *op, int phase, float *scratch) {
  const llo_kernels *k = s->kern;
  int64_t later = op->n - op->decode, i;
  if (phase == 0) {
    int64_t items = 0;
    for (int p = 0; p < LLO_PACKINGS; p++) items += pack_items(k, op, p);
    while ((i = llo_next(op->next[0])) < items) pack(k, op, i);
    return 1;
  }
  if (phase == 1 && op->packed[LLO_GATHERED]) {
    int64_t items = ceil_div(op->cols, LLO_GATHER) * ceil_div(op->decode, k->group(LLO_GATHERED));
    while ((i = llo_next(op->next[1])) < items) gather(k, op, i);
    return 1;
  }
  int64_t first = later ? items_of(op, op->panels * k->mr) : 0;
  int64_t items = first + (op->decode ? items_of(op, op->dec_rows) : 0);
  int32_t kept = 0; // prefill items, which use the scratch, come first
  for (i = prefill(k, op, op->next[phase], first, scratch); i < items; i = llo_next(op->next[phase]))
    decode(k, op, i - first, scratch, &kept);
  return 0;
}
