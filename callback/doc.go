// Package callback tells the orchestrator over HTTP that this worker is ready.
//
// The body depends on the generation of the orchestrator, known by the path of its URL (ProfileFor):
//
//	v1   any path                          exactly worker_id, vram_bytes, uri
//	v1s  …/v2/internal/workers/ready       v1 and what the placement service reads beside it
//	v2   …/v1/workers/ready                worker_id, url, model_ref, backend, device, and the rest
//
// A v1 body is exact because an old receiver compares it whole; the others read what they know and ignore the rest,
// so they get a superset.
//
// What always holds:
//   - Ready returns nil only after a 2xx answer. It is safe to be called again.
//   - Connection errors, timeouts and 5xx are repeated with growing, jittered waits inside the spawn window; any other
//     answer is final at once, since repeating a refused body cannot help and hides the reason from the operator.
//   - The token goes to the configured origin (scheme, host and port) and nowhere else: a redirect is followed only
//     within it, and only when it keeps the POST (307, 308).
//   - A reply is read up to 64 KiB and never longer than an attempt's timeout; neither a log line nor an error holds the
//     token, the URL's user part or its query.
//   - After Ready returns there is no goroutine and no connection of it left.
//
// Decisions:
//
// Connections are not kept: there is one request, and a fresh connection finds a receiver that moved.
// HTTP_PROXY and NO_PROXY are honoured, as by every HTTP client of the field.
//
// The trial address http://localhost:9999 is the documented way to try a worker by hand. It is called like any other;
// only when nobody listens there, Ready says so at once (ErrTrialNobody) and the program serves standalone. Older
// workers skipped the call whenever the URL contained that text, so that a real manager on this port was never told.
//
// Heartbeats and leases will be further methods of Client beside Ready: post, with its redirect, retry and logging
// rules, does not know what it sends.
package callback
