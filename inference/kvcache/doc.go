// Package kvcache keeps the books of the paged key-value cache: which pages are
// free, which sequences hold which, and what the full ones say. It is plain
// bookkeeping, without device, clock or lock; the scheduler is its only user.
//
// A page holds PageSize positions of one sequence in every layer. Blank pages
// are handed out before such whose content is known, lowest number first, so
// that a run is repeatable.
//
// A page that is full may be published: from then on any text that begins with
// the same tokens may hold it, too, instead of computing it again. What must
// always hold:
//
//   - A published page is never written to: only full pages are published, and
//     who holds one holds every page of the text before it. So there is nothing
//     to copy on write.
//   - A page is found by the hash of its tokens chained to that of the page
//     before it, and then its tokens and the page before it are compared. A hash
//     that collides costs time, never a wrong text.
//   - A published page that nobody holds is idle: it counts as free, and is
//     evicted when the blank ones are used up, longest idle first. Of one text
//     the last page goes first: a page is never idle for longer than one that
//     continues it, so what is known is always whole from the first page on.
//   - Texts of different salts share nothing.
//
// What may be published is the caller's to decide. Equal tokens are equal keys
// and values only where the same kernels made both: the scheduler publishes
// pages of which every position was computed in the prefill phase, because the
// kernels of the decode phase round differently, and a text must not depend on
// who had it computed before.
package kvcache
