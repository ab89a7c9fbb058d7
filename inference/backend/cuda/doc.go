// Package cuda is the backend for NVIDIA GPUs. It registers the kind "cuda".
//
// How a step runs. Ops are recorded (plan.go) and launched when somebody needs a
// result. By then the plan shows what follows what, and ops that have one kernel
// together are launched as one (fuse.go): SwiGLU, or the rotation with the store of keys and
// values, goes into the projection before it. RMSNorm goes into both (normed.go): what adds to
// the residual stream leaves it in bf16, times the norm's weights, with sums of squares, and the
// projection behind multiplies its results by the factors that follow. What a
// fused op would have left in memory is written only where a later op of the plan may
// read it, or somebody else, unless tokens are chosen: then the step is over. A step of decode
// rows that comes again with the same tensors is captured as a graph, one for each number of
// rows and class of contexts, and replayed: what changes from step to step lies in one buffer, whose
// words come with a launch (batch.go). Kernels of a step are launched programmatically, so that the weights of one are on their way while the one
// before ends; steps do not overlap.
//
// Steps may follow each other without the host (pipeline.go): rows are embedded that the step
// before has chosen, kernels leave choices on the host, too, and an event tells when. So no copy is between two steps.
//
// A step of one row is a matter of latency, and its projections from attention to attention go in one
// launch (chain.go, kernels/chain.cuh), where blocks hand each other results word by word.
// How blocks share the attention of decode rows is found once a step (attend_share.go). While few rows look back no
// further than 2048 positions, a cluster of blocks has each part of a row (attend_cluster.go); up to 512 positions, one large
// block, where that leaves most multiprocessors to the projection behind, or one of two that a multiprocessor has room for
// (attend_teams.go).
// Other projections of one or two decode rows have their activations in registers (project.cu).
// More rows, up to 32 in a launch, stream them beside the weights (stream.cu), as the matrix unit's
// fragments, in which SwiGLU, attention and what adds to the residual stream leave them; where nobody
// has, a small kernel packs them. Either way the weights are read once, and bits are the same.
//
// Weights in bf16 are put into fragment order (layout.go) when the first plan shows what
// they are for, in place, in the warm-up: the order in which the matrix unit takes them,
// with rows whose results meet side by side. Weights in Q8_0, Q4_0, Q4_K and Q6_K become
// records in the same way (quant.go), of the size that they had: their integers are
// multiplied as they are, by activations in integers of 16 bits, 32 of which have a scale, and sums
// are scaled in float32. Up to 32 rows are multiplied by one reading of them: blocks of a cluster share
// out k, so that all rows find room (quant_cluster.cu). For prompts they are rounded to bf16, slice by slice. Every other
// format is multiplied as files have it by kernels that are exact and slow (linear.cu).
//
// What must always hold:
//
//   - A row's result depends on that row alone, and on its phase: the sums of a
//     projection are those of 16 slices of k in one order, whatever the number of rows
//     is; nothing is added atomically.
//   - Everything that the device computes from is a plain allocation of device memory
//     (memory.go); weights get there through a small pinned ring (loader.go). There is no
//     managed memory and no computing from the host's.
//   - All calls come from one goroutine on one OS thread. Those that read files into the
//     ring (feed.go) call nothing of the driver.
//   - Steps do not overlap: attention reads keys and values of older positions before it waits for the
//     kernel in front, and the blocks' shares, which the step's first kernel has written; projections, where
//     rows are.
//   - Every kernel waits for the one before it (griddepcontrol.wait), also those that
//     need nothing of it: who comes later relies on that.
//   - Blocks of a chain wait for each other, so all must run at once: no more than there are
//     multiprocessors, each of which holds one. A word that does not come ends the launch.
//   - A place in a ring is given back by an arrival whose address waits for what was loaded
//     from it (once_loaded): the compiler moves an arrival before a load has ended.
//   - The first failure is kept for Sync. One that has spoiled the context is latched
//     as a backend.Fault, and nothing is launched or copied any more.
//
// Projections of bf16 round the activations that they multiply to bf16, those of quantised
// weights to 2⁻¹⁵ of the largest of 32 (decode) and to bf16, as the weights then, too (prompts); sums are
// float32, and so is the residual stream. Tokens are chosen on the device, by every rule and with the
// bits of package sample (choose.cu).
//
// What needs a driver, or the kernels that a CUDA compiler made, is behind the tag
// cuda: scripts/cuda/go.sh runs go with both, and `make build-cuda` builds the
// program. What decides without them is here untagged, with tests: which code runs
// on which GPU, whether a host can serve at all (Facts.Check), as sentences that say
// what to do, layouts, geometry and the parameters of kernels.
package cuda
