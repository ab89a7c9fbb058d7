// Package cpu runs the operations of a decoder on the host's processor: C
// kernels for each instruction set, chosen at run time, behind
// backend.Device. It registers the kind "cpu".
//
// How a step runs. Ops append to a flat plan in C memory; Sync (or Download,
// which needs results) runs the plan in one cgo call, on a pool of C threads
// and the caller. Threads walk the list together: an op is one to three phases,
// each a counter of work items and a barrier behind it (step.c). A cgo call
// costs 35 ns and a barrier 0.2 µs, a goroutine fork-join 25–50 µs, and
// spinning in Go stops its scheduler: so there is one call a step and all
// waiting is in C (pool.c). An idle pool is parked and takes no CPU.
//
// What must always hold:
//
//   - A work item is whole output rows with a fixed order of additions, so
//     results are the same bits for any number of threads and any cut.
//   - Rows of the decode phase, and all rows of a Linear without a batch, take
//     the decode kernel (body_gemv.h; for blocked formats body_quant.h with
//     body_panel.h, on AVX-512 body_rows.h, with the same bits for a few rows of Q4_0
//     body_turned.h and for many rows on AMX body_amx_rows.h), rows of the prefill
//     phase one of the tile kernels, however many there are of either. On AMX a thread
//     takes its next item while it still multiplies with the one before, and converts
//     the weights of the one beside the other (body_amx.h, body_amx_beside.h).
//   - Decode rows attend by body_attend_row.h, which reads each key and value
//     once for all heads of its group; prefill rows by body_attend.h, with AMX by
//     body_amx_attend.h. Chunks of LLO_CHUNK positions of a decode row are softened
//     apart and merged in order, always.
//   - Weights are read in place, in their own format, at any byte address; no
//     load passes their last byte. Sums are float32. Activations that meet
//     blocked weights in a decode row are rounded to int8 with a scale for each
//     32 of them, whatever the format.
//   - The plan's own memory is taken when the tensors are allocated, weights before
//     the activations that meet them, and Held reports it as scratch. It grows only
//     with a step that nothing allocated has announced.
//   - A file that shrinks under its mapping makes a fault with a reason, not a
//     dead process (guard.c).
//
// Prefill multiplies float32 panels (body_gemm.h), exact in what it multiplies,
// where the instruction set has nothing faster. With VNNI, and on ARM with the
// matrix multiplication of bytes (i8mm), quantised weights are multiplied in int8,
// activations rounded with a scale for each 32 of a row (body_int8.h); with AVX2 all of
// them but Q8_0 (dot_maddubs.h). avx512bf16 rounds activations that meet bf16 weights to
// bf16 and multiplies in pairs (body_pairs.h); it is preferred where that is faster than
// float32, which it is on AMD's processors and not on Intel's. With AMX all weights but
// F32 and the activations that meet them are rounded to bf16 (body_amx.h,
// body_amx_weights.h), and so is what attention multiplies, unless the cache is F32
// (body_amx_attend.h). Device.Rounds and Device.AttendRounds tell which, and
// backendtest and the self-test take their bounds from them. LLORCH_CPU=avx512 turns
// AMX off; amx-emulated runs its kernels on any AVX-512 host, slowly, for tests.
//
// The C files. vec_*.h, quad_*.h and dot_*.h are the vocabulary of one instruction set,
// body_*.h are the kernels in that vocabulary, isa_*.c puts the two together. Function
// attributes choose the instruction set because cgo refuses most -m options;
// -std=c11 keeps the compiler from contracting a*b+c, so that a kernel does
// the same arithmetic wherever it is inlined. Bodies end in .h because the go
// command watches no other suffix.
//
// Q4_K, Q5_K and Q6_K are encoded in AVX2 and AVX-512 (encode_*.c, body_fit.h,
// body_encode.h), a group of elements in each lane, several times as fast as package
// tensor does it and to the same bytes. That is done by the caller's goroutine,
// outside a step and with its denormals.
//
// 64-bit ARM has NEON, NEON with dot products (dotprod), and that with matrix
// multiplication of bytes (i8mm). Their tests pass emulated
// (scripts/test_arm64.sh); no figure was measured on such a processor.
//
// Numbers: denormal operands and results count as zero inside a step (threads
// set FTZ and DAZ; the caller's mode is restored). NaN and infinity surface.
package cpu
