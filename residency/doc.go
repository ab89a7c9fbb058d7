// Package residency answers two questions about memory: will the model fit, before a byte of it is touched (Plan), and
// is it all there, after loading and again on a timer (Verify).
//
// The verdicts are pure functions of numbers. Each probe that gathers the numbers is a file of its own: host.go and
// cgroup.go for what is free, process.go for what we hold, pages_linux.go for which pages are in memory. A device adds
// its probe beside them.
//
// What always holds:
//   - A refusal is a *ShortfallError with required and available bytes, device and model.
//   - Verify fails closed: what was not observed, was observed with an error, or was never claimed is not resident.
//   - Missing bytes are exact: a claim is counted by its own bytes on resident pages, so tensors that share a page at
//     their edges are each counted right.
//   - A device with memory of its own is believed twice or not at all: its driver must place every claim in plain device
//     memory, and the management library must count for this process what the claims add up to (VerifyDevice).
//
// # Plan: page cache is not in the way, and is not a gift
//
// Weights are a file mapping: their pages live in the page cache, clean, and can be dropped and read again. A plan must
// neither refuse because the cache is full of them nor count them twice.
//
//   - On the host, MemAvailable already counts file pages as available, the cached pages of this very model among them.
//     So the whole of the weights is compared with the whole of MemAvailable: what is cached stands on both sides.
//     Subtracting the cached part from the need would count it twice.
//   - In a control group, usage includes the file pages that members of the group touched first. They can be
//     reclaimed, so what is free is limit − usage + active and inactive file pages, and again the whole of the weights
//     is compared with it.
//   - Weights that another group has cached already cost this group nothing as long as they stay. They are counted all
//     the same: once evicted they come back on our account, and residency must not depend on who was first.
//   - Swap never counts: a page in swap is not resident. A group's memory.high counts as a limit, since above it the
//     kernel reclaims from the group, and it reclaims clean weight pages first. The tightest of the host and of every
//     group up to the root decides.
//   - Pages that another process has locked are in no available figure, although a second mapping of them would be
//     free. The plan refuses then rather than rely on the other process.
//
// # Pages: why the page table is asked before mincore
//
// mincore tells which pages of a file mapping are in the page cache, but since Linux 5.2 it answers "all of them" to a
// process that neither owns the file nor may write it, as a guard against spying. A worker that runs as its own user on
// a root-owned model is in that position, and a check built on mincore alone would never fail there. So the probe asks
// /proc/self/pagemap first: a page present in our page table is in memory, whoever owns the file. Whether all pages of a
// range are, Linux 6.7 and later tell at once (PAGEMAP_SCAN), five times as fast as entry by entry. Only for pages that
// are absent there, and only where the kernel answers mincore truthfully (anonymous memory, a file we own or may
// write), mincore may still find them in the page cache.
package residency
