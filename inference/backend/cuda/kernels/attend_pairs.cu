// The kernels of attend_ring.cu for about as many parts as two for each multiprocessor: a block of two teams has a part of a
// row, whose splits meet in shared memory. The same splits, products and sums, so the same bits.
//
// Launch: a block for each row and part, with the shared memory of teamsShared in attend_teams.go.
//
// Measured on H200s beside attend_ring.cu in the same run, and beside clusters of two for heads of 64. One launch, overlapping, 8 rows of 32
// heads of 128, one each, context 300: 12.3 us (15.2). Graphs of whole steps: Llama-2-7B, 8 rows at 300 3644 -> 3602 us, at 512 3845
// -> 3744, at eight different lengths from 50 to 500 3651 -> 3571; TinyLlama, 17 to 32 rows at 300 1.6 to 2.2 % shorter, rows
// of up to 512 as long. It is slower where most rows are short: Llama-2-7B, 8 rows at 64 3333 -> 3369, one at 512 and seven at 40 3449 ->
// 3564; and with so many parts that few multiprocessors have two blocks: 5 rows at 300 3488 -> 3506.
//
// Tried: the kernel behind told to begin after the wait instead of before all else (as fast).
#define TEAMS 2
#include "attend_teams.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define PAIR(T, DIM, COUNT) TEAMS_KERNEL(attend_pairs, T, DIM, COUNT, 2)
#define ALL(T) PAIR(T, 128, 1) PAIR(T, 64, 1) PAIR(T, 64, 4) PAIR(T, 64, 8)
ALL(F16) ALL(BF16)
#endif
