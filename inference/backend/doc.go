// Package backend is the line between the one forward pass of a model family
// and the devices that run it. Everything above this interface is written once
// for all devices; everything below it may know one device as well as it can.
//
// What must always hold, and is tested by backendtest for every device:
//
//   - Ops take the destination first, then sources, then scalars. A device may
//     run an op at once, launch it, or only record it: results are there after
//     Sync, which also returns the first failure since the last Sync.
//   - A wrong shape or type is a bug of ours and panics in Checked. A failure
//     of the device is kept and comes out of Sync.
//   - Every buffer exists once loading is over: ops allocate nothing that Held
//     does not report.
//   - The result of a row depends on that row, its sequence and its phase. It
//     does not depend on which other rows share the step, on how many threads
//     run it, or on where a prefill is cut, as long as cuts are multiples of
//     ChunkQuantum. A kernel is chosen by phase (decode or prefill), never by
//     the number of rows. That is what makes a request's text independent of
//     its neighbours.
package backend
