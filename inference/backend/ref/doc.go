// Package ref is the device in plain Go: the specification of every op, the
// oracle that other devices are compared with, and a slow but usable device for
// hosts on which no other one works.
//
// What must always hold:
//
//   - Every op is the formula of backend.Ops written out. Sums, roots and
//     exponentials are float64; the result is rounded to float32 once, where
//     the op stores it, and a key or value once more to the cache's format.
//   - A row is computed from its own inputs in one order. Phase, threads and
//     neighbours cannot change it, so it ignores Batch.Decode.
//   - An op runs when it is called, over a few goroutines that are gone when it
//     returns. Sync only reports.
//   - Weights are read where they are mapped. If the file behind a mapping was
//     truncated, the read fails as a backend.Fault of class "sigbus", which
//     stays; the process lives.
//
// RopeStore leaves the rotated keys in qkv as well.
//
// Held does not count a few rows of Go memory per worker, which conversions and
// attention scores grow on first use.
package ref
