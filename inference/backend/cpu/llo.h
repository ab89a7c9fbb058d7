// Interfaces between the Go side, the step runner and the kernels of one
// instruction set. Everything a step needs lies in C memory; nothing here holds
// a pointer into the Go heap after a call returns.
#ifndef LLO_H
#define LLO_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stddef.h>
#include <stdint.h>

// The numbers of tensor.DType.
enum {
  LLO_F32 = 1,
  LLO_F16,
  LLO_BF16,
  LLO_Q4_0,
  LLO_Q4_1,
  LLO_Q5_0,
  LLO_Q5_1,
  LLO_Q8_0,
  LLO_Q2_K,
  LLO_Q3_K,
  LLO_Q4_K,
  LLO_Q5_K,
  LLO_Q6_K,
  LLO_TYPES,
};

// How activations are laid out for a projection. A table says which one its
// kernels want for a weight format, by phase, and packs it.
enum {
  LLO_NATURAL, // decode: f32 in order
  LLO_SPLIT,   // decode: f32, even and odd elements apart
  LLO_BLOCKS,  // decode: int8 with a scale for each block
  LLO_GATHERED, // decode: LLO_BLOCKS of several rows side by side, made from it
  LLO_TILES,   // prefill: f32 tiles [k][nt]
  LLO_NARROW,  // prefill: tiles of the narrow numbers that the set multiplies fastest
  LLO_PAIRS,   // prefill: bf16 tiles [k/2][nt][2]
  LLO_PACKINGS,
};

enum {
  LLO_EMBED = 1,
  LLO_RMSNORM,
  LLO_HEADNORM,
  LLO_LINEAR,
  LLO_ROPE,
  LLO_ATTEND,
  LLO_SWIGLU,
  LLO_ROWS,
};

enum {
  LLO_KEYS = 64,          // keys of one attention tile, counted from position 0
  LLO_GATHER = 256,       // columns that one work item gathers
  LLO_COLS = 1024,        // columns of a row that one work item makes or packs
  LLO_CHUNK = 256,        // positions of one decode-attention chunk
  LLO_KBLOCK = 256,       // k extent of one panel of the prefill GEMM
  LLO_PANELS = 4,         // most weight panels of one prefill work item
  LLO_TILES_MOST = 43,    // most token tiles of one prefill work item
  LLO_QUERIES = 64,       // most query positions of one prefill-attention item
  LLO_HEADS = 8,          // most query heads of one attention item (1, 2, 4 or 8)
  LLO_MAX_PHASES = 3,     // parts of an op with a barrier in between
  LLO_MAX_THREADS = 1024,
};

// llo_part is one matrix of a projection: w [out x in] row-major at any byte
// address, b [out] or NULL. col is its first column in the destination.
typedef struct {
  const char *w, *b;
  int64_t out, rowbytes, col;
  int32_t wtype, btype;
} llo_part;

// llo_batch is backend.Batch, copied. seq_of gives the sequence of each row;
// pages of sequence s start at pages[page0[s]].
typedef struct {
  const int32_t *tokens, *positions, *logits, *seq_of, *pages;
  const int64_t *seq_first, *seq_rows, *page0;
  int64_t n, decode, nseq;
} llo_batch;

// llo_op is one recorded operation. A field that an op does not name is zero.
typedef struct {
  int32_t code, add, wtype, wtype2, interleaved, kvtype, split;
  int32_t fuses; // linear: its packing also runs the op before it, which makes its x
  float eps, scale;
  float *dst;
  const float *x;          // n rows of cols
  const char *w, *w2;      // table or norm weights
  int64_t n, cols, decode; // rows; of them in [0, decode) by the decode kernel
  llo_part *parts;
  int64_t nparts, out;
  llo_batch *b;
  char *k, *v;
  int64_t page, q, kv, dim, pairs, window; // pairs: of a head that are rotated
  const float *cosines, *sines;
  char *packed[LLO_PACKINGS]; // activations for the kernels
  int64_t at[LLO_PACKINGS];   // where they are in the plan's buffer, in bytes from 1; 0 = not wanted
  float *partial;          // decode attention: what chunks leave for the merge
  int64_t chunks;          // decode attention: most chunks of a row
  int64_t dec_rows, panels; // linear: rows of a decode item, panels of a prefill item
  int64_t next[LLO_MAX_PHASES][8]; // work counters, a cache line each
} llo_op;

// llo_gemv: out[t*ldo + r] (+)= sum_k w[r][k]*x[t][k] (+ b[r]), r < rows, t < m.
// x is packed as the table wants it for the weight's format, ldx bytes a row;
// gathered is all rows once more where the table wants that, else NULL. kept is 0 at
// first, and what a kernel makes of it for the next call of the same thread with the same
// x and scratch.
typedef struct {
  const char *w, *b;
  int64_t rowbytes, rows, k, m, ldx, ldo;
  const char *x, *gathered;
  float *out;
  int32_t wtype, btype, add;
  int32_t *kept;
} llo_gemv;

// llo_gemm: the same over token tiles, x being all m rows as packed. next is what the
// same thread multiplies then in the same scratch, NULL if nothing or where the table does
// not begin with it; a kernel that does leaves in its begun, which is 0 at first, what it
// wants to know then.
typedef struct llo_gemm {
  const char *w, *b;
  int64_t rowbytes, rows, k, m, ldo;
  const char *x;
  float *out;
  int32_t wtype, btype, add, begun;
  struct llo_gemm *next;
} llo_gemm;

// llo_attend: queries (rows of one sequence at consecutive positions, heads of
// one group) against keys [lo, hi) of one key head.
typedef struct {
  const float *q;          // first row, first head
  int64_t ldq, rows, heads, dim, pos, window, lo, hi;
  float scale;
  const char *k, *v;
  const int32_t *pages;
  int64_t page, kvheads, kvhead;
  int32_t kvtype;
} llo_attend;

// llo_kernels is what an instruction set provides. Results of a table do not
// depend on how work is cut into calls.
typedef struct {
  const char *name;
  int vl, mr, nt;    // float lanes; rows of a panel; tokens of a tile
  int64_t gemm_bytes; // scratch that gemm and gemv want for a work item
  int begins;         // gemm begins with the next item beside the one before
  // packing is the layout for weights of a format, -1 where there is no kernel.
  int (*packing)(int wtype, int prefill);
  // rounds is the format to which what a layout's kernel multiplies is rounded:
  // LLO_F32 not at all, LLO_BF16 activations and weights, LLO_Q8_0 activations.
  int (*rounds)(int packing);
  // group is how many rows of activations are packed together: 1 in the layouts
  // of the decode phase but LLO_GATHERED. packed is the bytes of one group.
  int64_t (*group)(int packing);
  int64_t (*packed)(int packing, int64_t cols);
  void (*pack)(int packing, void *dst, const float *x, int64_t ldx, int64_t cols, int64_t rows);
  // gathers is the number of decode rows from which LLO_GATHERED is wanted beside
  // LLO_BLOCKS, 0 for never. gather makes columns [LLO_GATHER*item, …) of a group.
  int gathers;
  void (*gather)(char *dst, const char *x, int64_t ldx, int64_t cols, int64_t rows, int64_t item);
  void (*widen)(float *dst, const void *src, int type, int64_t n);
  void (*narrow)(void *dst, const float *src, int type, int64_t n);
  float (*rms)(const float *x, int64_t n, float eps); // 1/sqrt(mean(x²) + eps)
  void (*weigh)(float *dst, const float *x, float scale, const void *w, int wtype, int64_t n); // dst = x*scale*w
  void (*swiglu)(float *dst, const float *gate, const float *up, int64_t n);
  void (*rotate)(float *x, const float *cosines, const float *sines, int64_t dim, int interleaved);
  void (*gemv)(const llo_gemv *g, void *scratch);
  void (*gemm)(const llo_gemm *g, void *scratch);
  // attend leaves per query m, l and the unnormalised sum: state is [heads*rows]
  // of (2 + dim) floats. attend_rounds is the format to which it rounds queries,
  // keys, weights and values, by the format of the cache; attend_floats the scratch
  // that it wants, where that is more than llo_attend_floats counts; attend_queries
  // how many queries should share the keys that it packs. Zero where there is none.
  void (*attend)(const llo_attend *a, float *state, float *scratch);
  int (*attend_rounds)(int kvtype);
  int64_t (*attend_floats)(int64_t rows, int64_t heads, int64_t dim);
  int64_t attend_queries;
  void (*attend_row)(const llo_attend *a, float *state, float *scratch); // one row, decode
  void (*merge)(float *state, const float *more, int64_t dim);
  void (*finish)(float *dst, const float *state, int64_t dim);
  void (*exp)(float *x, int64_t n);
  float (*read)(const char *p, int64_t bytes);
  double (*fma)(int64_t iterations); // returns the FLOPs done
  double (*tiles)(int64_t iterations); // the same of a matrix unit in bf16, or NULL
  double (*pairs)(int64_t iterations); // the same of dot products of bf16 pairs, or NULL
} llo_kernels;

extern const llo_kernels llo_portable;
#ifdef __x86_64__
extern const llo_kernels llo_avx2, llo_avxvnni, llo_vnni256, llo_avx512f, llo_avx512;
const llo_kernels *llo_avx512bf16(void), *llo_amx(void), *llo_amx_emulated(void);
#endif
#ifdef __aarch64__
extern const llo_kernels llo_neon, llo_dotprod, llo_i8mm;
#endif
// llo_find returns the table of a name if this host can run it, else NULL.
const llo_kernels *llo_find(const char *name);
// llo_fast_pairs: dot products of bf16 pairs take no longer than as many instructions of
// float32.
int llo_fast_pairs(void);

void llo_exp(const llo_kernels *k, float *x, int64_t n); // x = e^x, for the self-test

// pool.c
typedef struct llo_pool llo_pool;
typedef void (*llo_work)(void *arg, int thread, int threads);
llo_pool *llo_pool_open(int threads); // NULL and errno
void llo_pool_close(llo_pool *p);
int llo_pool_threads(const llo_pool *p);
void llo_pool_run(llo_pool *p, llo_work f, void *arg);
void llo_pool_barrier(llo_pool *p);
int64_t llo_next(int64_t *counter);

// step.c
typedef struct {
  llo_pool *pool;
  const llo_kernels *kern;
  llo_op *ops;
  int64_t nops;
  float *scratch; // one stretch of `stride` floats a thread
  int64_t stride;
} llo_step;
void llo_run(llo_step *s);
int64_t llo_attend_floats(const llo_kernels *k, int64_t heads, int64_t dim);
int llo_attend_rounds(const llo_kernels *k, int kvtype, int prefill);
int llo_packing(const llo_kernels *k, int wtype, int prefill);
int llo_rounds(const llo_kernels *k, int wtype, int prefill);
int64_t llo_packed(const llo_kernels *k, int packing, int64_t rows, int64_t cols);

// llo_make writes columns [c, c+n) of row i of an RMSNorm or a SwiGLU. c is a
// multiple of LLO_COLS.
void llo_make(const llo_kernels *k, const llo_op *op, int64_t i, int64_t c, int64_t n);

// one op each: run the phase, taking work items from op->next[phase]
int llo_linear(llo_step *s, llo_op *op, int phase, float *scratch);
int llo_attention(llo_step *s, llo_op *op, int phase, float *scratch);

// formats.c
int64_t llo_block(int type);       // elements of a block
int64_t llo_block_bytes(int type);
int64_t llo_row_bytes(int type, int64_t n);
void llo_dequantize(int type, float *dst, const void *src, int64_t n); // blocked formats only

// Encoders, in the instruction sets that have them. llo_encode makes blocks that
// package tensor's are byte for byte, at most 64, and returns a bit for each that it
// leaves to it. It computes with the caller's denormals.
int llo_encodes(const llo_kernels *k, int type);
uint64_t llo_encode(const llo_kernels *k, int type, uint8_t *dst, const float *src, int64_t blocks);
#ifdef __x86_64__
uint64_t llo_encode_avx2(int type, uint8_t *dst, const float *src, int64_t blocks);
uint64_t llo_encode_avx512(int type, uint8_t *dst, const float *src, int64_t blocks);
#endif

// memory.c
void *llo_map(int64_t bytes, int huge); // zeroed, touched, 64-byte aligned; NULL and errno
void llo_unmap(void *p, int64_t bytes);

// guard.c
int llo_guard_open(void); // slot, or -1
int llo_guard_add(int slot, const void *from, int64_t bytes);
uintptr_t llo_guard_fault(int slot); // address of the first fault, 0 = none
void llo_guard_close(int slot);

// limits.c
double llo_read_seconds(llo_pool *p, const llo_kernels *k, const char *buf, int64_t bytes);
// llo_peak computes on registers and returns the operations done.
typedef double (*llo_peak)(int64_t iterations);
llo_peak llo_int8_peak(const llo_kernels *k); // of 8-bit dot products; NULL where the instruction set has none
double llo_peak_seconds(llo_pool *p, llo_peak f, int64_t iterations, double *ops);

#endif
