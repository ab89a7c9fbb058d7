// The kernels of attend_cluster.cu for so few parts that most multiprocessors are left to the projection behind: a block of
// four teams has a part of a row. The same splits, products and sums, so the same bits.
//
// Launch: a block for each row and part, with the shared memory of teamsShared in attend_teams.go. A block fills a
// multiprocessor; on those that have none, the projection behind begins at once and fills its ring with weights.
//
// Measured on H200s, whole steps of one row at context 16 and 300 beside those with attend_cluster.cu, in the same run: TinyLlama
// 1538 tok/s (1477) and 1431 (1392), Llama-2-7B 314 (312) and 308 (305), Llama-3-8B 283 (280) and 276 (273), in Q8_0 477 (471)
// and 457 (449), in Q4_K_M 665 (651) and 628 (615). With 8 rows, which are 32 or 64 parts of these models, both are as fast.
//
// Tried: four multiprocessors kept free of the kernel in front (chain.cuh), so that all of TinyLlama's blocks begin while it
// runs (0 to 2 % faster; Q4_K_M 2 % slower); that kernel letting this one begin at its own beginning (as fast; Q4_K_M slower).
// Instead, L2 asked for the projection's weights while attention of any kind is under way: 64 KB a multiprocessor as fast, more is
// slower by what it takes to bring them.
#define TEAMS 4
#include "attend_teams.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define TEAM(T, DIM, COUNT) TEAMS_KERNEL(attend_teams, T, DIM, COUNT, 1)
#define ALL(T) TEAM(T, 128, 1) TEAM(T, 128, 4) TEAM(T, 64, 1) TEAM(T, 64, 4) TEAM(T, 64, 8)
ALL(F16) ALL(BF16)
#endif
