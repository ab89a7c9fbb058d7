// How attention is cut into work items.
//
// Decode: a row's keys are taken in chunks of LLO_CHUNK positions, each softened
// by itself and merged in the order of positions, always, so that chunks may or
// may not be items of their own (op->split) without a difference in a bit.
// Prefill: up to LLO_QUERIES rows of one sequence with the heads of one group,
// over all their keys, the longest first; more rows where a table wants more
// queries to an item (attend_queries) and there are items enough without.
#include "llo.h"

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t group(const llo_op *op) { return op->q / op->kv; }
static int64_t blocks(const llo_op *op) { return (group(op) + LLO_HEADS - 1) / LLO_HEADS; }

// Twice the rows of a prefill item, if that is not too many queries for the table.
static int64_t more_rows(const llo_kernels *k, int64_t rows, int64_t heads) {
  return 2 * rows * heads <= k->attend_queries ? 2 * rows : rows;
}

int64_t llo_attend_floats(const llo_kernels *k, int64_t heads, int64_t dim) {
  int64_t h = min64(heads, LLO_HEADS), rows = LLO_QUERIES, wide = (dim + k->mr - 1) / k->mr * k->mr;
  for (int64_t n; (n = more_rows(k, rows, h)) > rows;) rows = n;
  int64_t scratch = LLO_KEYS * (2 * dim + wide + k->nt) + rows * h * (wide + dim) + 64;
  if (k->attend_floats) scratch = max64(scratch, k->attend_floats(rows, h, dim));
  return scratch + rows * h * (2 + dim);
}

// A decode row is never rounded.
int llo_attend_rounds(const llo_kernels *k, int kvtype, int prefill) {
  return prefill && k->attend_rounds ? k->attend_rounds(kvtype) : LLO_F32;
}

// Rows [row, row+rows) of one sequence with head block `block` of key head kvh.
static llo_attend query(const llo_op *op, int64_t row, int64_t rows, int64_t kvh, int64_t block) {
  const llo_batch *b = op->b;
  int64_t h0 = block * LLO_HEADS, pos = b->positions[row];
  return (llo_attend){
      .q = op->x + row * (op->q + 2 * op->kv) * op->dim + (kvh * group(op) + h0) * op->dim,
      .ldq = (op->q + 2 * op->kv) * op->dim, .rows = rows, .heads = min64(group(op) - h0, LLO_HEADS),
      .dim = op->dim, .pos = pos, .window = op->window,
      .lo = op->window > 0 ? max64(0, pos - op->window + 1) : 0, .hi = pos + rows, .scale = op->scale,
      .k = op->k, .v = op->v, .pages = b->pages + b->page0[b->seq_of[row]],
      .page = op->page, .kvheads = op->kv, .kvhead = kvh, .kvtype = op->kvtype,
  };
}

static void store(const llo_kernels *k, const llo_op *op, const llo_attend *a, int64_t row, int64_t block, const float *state) {
  float *dst = op->dst + row * op->q * op->dim + (a->kvhead * group(op) + block * LLO_HEADS) * op->dim;
  for (int64_t h = 0; h < a->heads; h++)
    for (int64_t r = 0; r < a->rows; r++)
      k->finish(dst + r * op->q * op->dim + h * op->dim, state + (h * a->rows + r) * (2 + op->dim), op->dim);
}

static void attend_chunk(const llo_kernels *k, llo_attend a, int64_t chunk, float *state, float *scratch) {
  a.lo = max64(a.lo, chunk * LLO_CHUNK), a.hi = min64(a.hi, (chunk + 1) * LLO_CHUNK);
  k->attend_row(&a, state, scratch);
}

static void merge(const llo_kernels *k, const llo_attend *a, float *state, const float *more) {
  for (int64_t h = 0; h < a->heads; h++) k->merge(state + h * (2 + a->dim), more + h * (2 + a->dim), a->dim);
}

// A decode row as one item.
static void whole_row(const llo_kernels *k, const llo_op *op, int64_t item, float *scratch) {
  int64_t block = item % blocks(op), kvh = item / blocks(op) % op->kv, row = item / blocks(op) / op->kv;
  llo_attend a = query(op, row, 1, kvh, block);
  float *state = scratch, *more = state + LLO_HEADS * (2 + op->dim), *rest = more + LLO_HEADS * (2 + op->dim);
  int64_t c = a.lo / LLO_CHUNK;
  attend_chunk(k, a, c, state, rest);
  while (++c * LLO_CHUNK < a.hi) {
    attend_chunk(k, a, c, more, rest);
    merge(k, &a, state, more);
  }
  store(k, op, &a, row, block, state);
}

static float *slot(const llo_op *op, int64_t item) { return op->partial + item * LLO_HEADS * (2 + op->dim); }

// One chunk of a decode row; the row may not have it.
static void one_chunk(const llo_kernels *k, const llo_op *op, int64_t item, float *scratch) {
  int64_t c = item % op->chunks, i = item / op->chunks;
  int64_t block = i % blocks(op), kvh = i / blocks(op) % op->kv, row = i / blocks(op) / op->kv;
  llo_attend a = query(op, row, 1, kvh, block);
  if (c >= a.lo / LLO_CHUNK && c * LLO_CHUNK < a.hi) attend_chunk(k, a, c, slot(op, item), scratch);
}

static void merge_row(const llo_kernels *k, const llo_op *op, int64_t i) {
  int64_t block = i % blocks(op), kvh = i / blocks(op) % op->kv, row = i / blocks(op) / op->kv;
  llo_attend a = query(op, row, 1, kvh, block);
  int64_t c = a.lo / LLO_CHUNK;
  float *state = slot(op, i * op->chunks + c);
  while (++c * LLO_CHUNK < a.hi) merge(k, &a, state, slot(op, i * op->chunks + c));
  store(k, op, &a, row, block, state);
}

// Prefill rows of a sequence start at max(first, decode).
static int64_t prefill_tiles(const llo_op *op, int64_t s, int64_t rows) {
  int64_t first = max64(op->b->seq_first[s], op->decode), end = op->b->seq_first[s] + op->b->seq_rows[s];
  return end > first ? (end - first + rows - 1) / rows : 0;
}

static int64_t prefill_items(const llo_op *op, int64_t rows) {
  int64_t tiles = 0;
  for (int64_t s = 0; s < op->b->nseq; s++) tiles += prefill_tiles(op, s, rows);
  return tiles * op->kv * blocks(op);
}

// Rows of an item. Threads end together if each has some items.
static int64_t prefill_rows(const llo_step *s, const llo_op *op) {
  int64_t rows = LLO_QUERIES, few = 4 * llo_pool_threads(s->pool);
  for (int64_t n; (n = more_rows(s->kern, rows, min64(group(op), LLO_HEADS))) > rows && prefill_items(op, n) >= few;) rows = n;
  return rows;
}

static void prefill_item(const llo_kernels *k, const llo_op *op, int64_t item, int64_t most, float *scratch) {
  int64_t block = item % blocks(op), kvh = item / blocks(op) % op->kv, tile = item / blocks(op) / op->kv, s = 0;
  for (int64_t n; tile >= (n = prefill_tiles(op, s, most)); s++) tile -= n;
  int64_t first = max64(op->b->seq_first[s], op->decode), end = op->b->seq_first[s] + op->b->seq_rows[s];
  int64_t row = first + (prefill_tiles(op, s, most) - 1 - tile) * most;
  llo_attend a = query(op, row, min64(end - row, most), kvh, block);
  float *state = scratch, *rest = state + a.heads * a.rows * (2 + op->dim);
  k->attend(&a, state, rest);
  store(k, op, &a, row, block, state);
}

int llo_attention(llo_step *s, llo_op *op, int phase, float *scratch) {
  const llo_kernels *k = s->kern;
  int64_t rows = op->decode * op->kv * blocks(op), most = prefill_rows(s, op), i;
  if (phase == 1) {
    while ((i = llo_next(op->next[1])) < rows) merge_row(k, op, i);
    return 0;
  }
  int64_t first = prefill_items(op, most), items = first + rows * (op->split ? op->chunks : 1);
  while ((i = llo_next(op->next[0])) < items) {
    if (i < first) prefill_item(k, op, i, most, scratch);
    else if (op->split) one_chunk(k, op, i - first, scratch);
    else whole_row(k, op, i - first, scratch);
  }
  return op->split;
}
