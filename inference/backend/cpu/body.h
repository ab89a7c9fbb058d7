// All kernels of one instruction set. A file isa_*.c includes the vocabulary of
// its set and then this; the kernels know nothing but that vocabulary.
#include "body_cache.h"
#include "body_exp.h"
#include "body_small.h"
#include "body_gemv.h"
#include "body_blocks.h"
#include "body_quant.h"
#ifndef QUANT // the decode kernels of blocked weights
#define QUANT "body_panel.h"
#endif
#include QUANT
#include "body_gemm.h"
#ifndef NARROW // the prefill kernels of a unit faster than the set's floats
#define NARROW "body_plain.h"
#endif
#include NARROW
#include "body_pack.h"
#include "body_attend.h"
#include "body_attend_row.h"
#include "body_limits.h"

const llo_kernels TABLE = {
    .name = TABLE_NAME, .vl = VL, .mr = MR, .nt = NT, .gemm_bytes = GEMM_BYTES > NARROW_BYTES ? GEMM_BYTES : NARROW_BYTES,
    .packing = k_packing, .rounds = k_rounds, .group = k_group, .packed = k_packed, .pack = k_pack,
    .widen = k_widen, .narrow = k_narrow, .rms = k_rms, .weigh = k_weigh, .swiglu = k_swiglu,
    .rotate = k_rotate, .gemv = k_gemv, .gemm = k_gemm,
    .attend = k_attend, .attend_row = k_attend_row, .merge = k_merge, .finish = k_finish, .exp = k_exp,
    .read = k_read, .fma = k_fma,
};
