// Package kvcache keeps the books of the paged key-value cache: which pages are
// free, which sequence holds which. It is plain bookkeeping, without device or
// lock; the scheduler is its only user.
//
// A page holds PageSize positions of one sequence in every layer. Pages are
// handed out lowest number first, so that a run is repeatable.
package kvcache
