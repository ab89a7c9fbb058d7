#ifndef LLORCH_CUDA_SHIM_H
#define LLORCH_CUDA_SHIM_H

// Loads the driver and initialises it; a second call only repeats the answer. 0: ready. −1: the library cannot be
// loaded, *why says so. Above 0: the CUresult of cuInit. *lacking counts the functions of calls.h that it has not.
int llorch_cuda_open(const char **why, int *lacking);

#endif
