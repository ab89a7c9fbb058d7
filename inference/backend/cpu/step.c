// Runs a recorded step: every thread walks the same list of ops, takes work
// items of the current phase from its counter, and meets the others at a
// barrier. Items never split an output row, so which thread takes one has no
// effect on the numbers.
#include "llo.h"

#include <string.h>

static const float *row_of(const llo_op *op, int64_t i) { return op->x + i * op->cols; }

static int64_t head_floats(const llo_op *op) { return (op->q + 2 * op->kv) * op->dim; }

static void embed_row(const llo_kernels *k, const llo_op *op, int64_t i) {
  k->widen(op->dst + i * op->cols, op->w + op->b->tokens[i] * llo_row_bytes(op->wtype, op->cols), op->wtype, op->cols);
}

static void rmsnorm(const llo_kernels *k, float *dst, const float *x, const char *w, int wtype, int64_t n, float eps) {
  k->weigh(dst, x, k->rms(x, n, eps), w, wtype, n);
}

static void headnorm_row(const llo_kernels *k, const llo_op *op, int64_t i) {
  float *x = op->dst + i * head_floats(op);
  for (int64_t h = 0; h < op->q + op->kv; h++, x += op->dim) {
    int key = h >= op->q;
    rmsnorm(k, x, x, key ? op->w2 : op->w, key ? op->wtype2 : op->wtype, op->dim, op->eps);
  }
}

static void rope_row(const llo_kernels *k, const llo_op *op, int64_t i) {
  const llo_batch *b = op->b;
  int64_t pos = b->positions[i], half = op->pairs, size = llo_row_bytes(op->kvtype, op->dim);
  int64_t page = b->pages[b->page0[b->seq_of[i]] + pos / op->page];
  float *x = op->dst + i * head_floats(op);
  for (int64_t h = 0; h < op->q + op->kv; h++)
    k->rotate(x + h * op->dim, op->cosines + pos * half, op->sines + pos * half, 2 * half, op->interleaved);
  for (int64_t h = 0; h < op->kv; h++) {
    int64_t row = (page * op->kv + h) * op->page + pos % op->page;
    k->narrow(op->k + row * size, x + (op->q + h) * op->dim, op->kvtype, op->dim);
    k->narrow(op->v + row * size, x + (op->q + op->kv + h) * op->dim, op->kvtype, op->dim);
  }
}

// A part of a norm takes the square mean of the whole row: it is cheaper than to
// wait for another thread's.
void llo_make(const llo_kernels *k, const llo_op *op, int64_t i, int64_t c, int64_t n) {
  float *dst = op->dst + i * op->cols + c;
  if (op->code == LLO_RMSNORM) {
    const float *x = row_of(op, i);
    k->weigh(dst, x + c, k->rms(x, op->cols, op->eps), op->w + llo_row_bytes(op->wtype, c), op->wtype, n);
    return;
  }
  const float *x = op->x + i * 2 * op->cols + c;
  k->swiglu(dst, x, x + op->cols, n);
}

static void swiglu_item(const llo_kernels *k, const llo_op *op, int64_t item) {
  int64_t per = (op->cols + LLO_COLS - 1) / LLO_COLS, c = item % per * LLO_COLS;
  llo_make(k, op, item / per, c, op->cols - c < LLO_COLS ? op->cols - c : LLO_COLS);
}

static void row_item(const llo_kernels *k, const llo_op *op, int64_t i) {
  switch (op->code) {
    case LLO_EMBED: embed_row(k, op, i); break;
    case LLO_RMSNORM: rmsnorm(k, op->dst + i * op->cols, row_of(op, i), op->w, op->wtype, op->cols, op->eps); break;
    case LLO_HEADNORM: headnorm_row(k, op, i); break;
    case LLO_ROPE: rope_row(k, op, i); break;
    case LLO_SWIGLU: swiglu_item(k, op, i); break;
    case LLO_ROWS: memcpy(op->dst + i * op->cols, row_of(op, op->b->logits[i]), (size_t)op->cols * 4); break;
  }
}

// Runs this thread's share of a phase; returns whether another phase follows.
static int run_phase(llo_step *s, llo_op *op, int phase, float *scratch) {
  if (op->code == LLO_LINEAR) return llo_linear(s, op, phase, scratch);
  if (op->code == LLO_ATTEND) return llo_attention(s, op, phase, scratch);
  int64_t items = op->n;
  if (op->code == LLO_SWIGLU) items *= (op->cols + LLO_COLS - 1) / LLO_COLS;
  for (int64_t i; (i = llo_next(op->next[phase])) < items;) row_item(s->kern, op, i);
  return 0;
}

static void work(void *arg, int thread, int threads) {
  llo_step *s = arg;
  (void)threads;
  float *scratch = s->scratch + thread * s->stride;
  for (int64_t i = 0; i < s->nops; i++) {
    if (i + 1 < s->nops && s->ops[i + 1].fuses) continue;
    for (int phase = 0, more = 1; more; phase++) {
      more = run_phase(s, &s->ops[i], phase, scratch);
      llo_pool_barrier(s->pool);
    }
  }
}

void llo_run(llo_step *s) { llo_pool_run(s->pool, work, s); }
