// Package backendtest is the suite that every device must pass, and the tap
// through which golden tests read hidden states on any device.
//
// Every op is compared with its formula, written out here in float64
// independently of any device (package ref has to pass like the others).
// Bounds are a number of float32 roundings times the sum of magnitudes that the
// op adds up (budget.go), so they hold for any data and leave no room for a
// wrong term. A device that rounds what it multiplies says so (backend.Rounder,
// backend.AttendRounder), and is allowed what that can change at most. Where a
// value is only moved, or a result must not depend on something, the comparison
// is bit for bit.
//
// Destinations lie between guard rows whose bits are checked afterwards. Weights
// end at the end of a mapping, with a page after it that cannot be read, so that
// a kernel that reads past a row dies instead of passing by luck. Cache slots
// that a row must not see hold NaN.
//
// What the suite leaves open: what RopeStore leaves in the k and v columns of
// qkv, and the ids of rows beside one whose logits are not finite.
package backendtest
