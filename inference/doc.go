// Package inference is the engine: prompts in, streams of tokens out, for one
// model on one device.
//
// A request goes down once. Generate tokenizes it on the caller's goroutine and
// queues a sequence; the loop, the only goroutine that touches the device, asks
// the scheduler who runs in the next step, runs the model's forward pass over
// the flattened rows of all of them, and sends each token on its request's own
// channel. What its reader leaves no room for is kept aside, so that no reader can
// slow the loop.
//
// What must always hold:
//
//   - A request's text depends on the request, the weights and the backend,
//     never on its neighbours, its arrival, a preemption or a restart. Rows of
//     the decode and of the prefill phase use kernels of their own, prefills are
//     cut at multiples of backend.ChunkQuantum, and tokens that are recomputed
//     after a preemption take the kernels that made them. A prompt begins with
//     pages that another request has computed only if all of their rows are of
//     the prefill phase and they end at such a multiple.
//   - Every stream ends with exactly one terminal event.
//   - A sequence that ends or is cancelled has given its pages back before its
//     terminal event is sent; cancelling takes at most one step.
//   - Memory is known before anything is touched (Plan), and nothing is
//     allocated on the device after Load.
//   - After a device fault no token is sent any more, ever.
//
// Decisions:
//
//   - A device that feeds on its own choices (backend.Pipeliner) begins a step before the
//     tokens of the one before are read (turn.go), so that neither waits for the
//     other. It does so where the step behind is foreseen: everybody who runs has
//     chosen a token, by rules that the device has, pages are free, and nobody waits to
//     be let in, for an aside or for the end. What a sequence has in such a step counts for
//     nothing if it ends with the one before; its pages may be given out meanwhile,
//     for whatever is written to them comes later.
//   - Requests are refused early or served whole. Admission is bounded by number
//     and by tokens, foretells the wait from measured rates, and refuses what
//     could not begin before its deadline; decode goes before prefill. So more
//     load than can be served costs no goodput.
//   - Answers are expected to use the share of max_tokens that answers of late
//     have used.
//   - A sequence runs as soon as its tokens, and 64 more of each that runs
//     already, fit the cache. Keeping pages for all that is expected to grow
//     preempted four times less often, and achieved up to 8 % less in a cache
//     for a third of the slots, because pages kept are pages idle.
//   - A prompt takes what is known of it when it is let in and again before each
//     of its steps, so of requests that come together with one long beginning
//     the first computes it. A page is known from the end of the step that has
//     filled it; what a failed step wrote, or a request whose numbers were not
//     finite, is not, and nothing that begins like the latter stays known.
//   - How soon an answer begins tells whether its prompt was known. Requests of
//     users who must not learn that of each other have salts of their own
//     (Request.CacheSalt), or the prefix cache is off.
//
// Scheduler, admission, page bookkeeping, sampling and stop strings are plain code without
// device, clock or goroutine. families.go and backends*.go are the only places
// that know which families and devices there are.
package inference
