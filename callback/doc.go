// Package callback keeps a worker registered with its orchestrator over HTTP: it tells that the worker is ready, that it
// is still there, and that it goes.
//
// The body of the ready call depends on the generation of the orchestrator, known by the path of its URL (ProfileFor):
//
//	v1   any path                          exactly worker_id, vram_bytes, uri
//	v1s  …/v2/internal/workers/ready       v1 and what the placement service reads beside it
//	v2   …/v1/workers/ready                worker_id, url, model_ref, backend, device, and the rest
//
// A v1 body is exact because an old receiver compares it whole; the others read what they know and ignore the rest,
// so they get a superset: memory, capabilities, the epoch of the process and evidence of what is resident. Heartbeats
// have the bodies of their receivers, exactly.
//
// Registration is the protocol as a state machine without clock or call; Client drives it.
//
//	unregistered → registering → registered ⇄ lost ⇄ re-registering,  any of them → deregistering → deregistered
//
// What always holds:
//   - Ready returns nil only after a 2xx answer. All calls are idempotent: the same epoch may be told any number of times.
//   - One process is one epoch. It goes with every call in the header X-Llorch-Epoch, and in the bodies that are ours to
//     extend, so that an orchestrator can tell a worker from its predecessor of the same id.
//   - A ready call is only made while the worker takes work, also after a loss: one that is unfit at that moment registers
//     when it is well.
//   - A worker whose identity belongs to another process (409) makes no call any more, and is ended. An orchestrator that
//     goes by ids alone would take its farewell for the other's.
//   - The first registration is tried within the spawn window: no answer and 5xx are repeated with growing, jittered
//     waits, any other answer is final at once, since repeating a refused body cannot help and hides the reason.
//   - A registered worker never ends itself because its orchestrator cannot be reached, trusted or followed: it serves,
//     and tries again at most 2.5 s later. Only an answer ends it: a 409, or a 4xx to the ready call.
//   - The token and the signature go to the configured origin (scheme, host and port) and nowhere else: a redirect is
//     followed only within it, and only when it keeps the POST (307, 308).
//   - Link-local and multicast addresses are never connected to, whatever name leads there.
//   - A reply is read up to 64 KiB and never longer than an attempt's timeout; neither a log line nor an error holds the
//     token, the URL's user part or its query.
//   - The package starts no goroutine. After Ready and Keep have returned no connection of theirs is left.
//
// Decisions:
//
// When to register again is decided by the state machine and not by an HTTP library: it depends on where the
// registration stands, and one place must decide it to be testable. Heartbeats and the last word of a drain have no
// further attempt planned there; they are repeated at once, twice, where nobody answered (go-retryablehttp).
//
// Connections are not kept, and names are looked up at each attempt: calls are rare, and a fresh connection finds a
// receiver that moved. Certificates and the secret are read at each attempt, too, so they can be replaced in place.
//
// HTTP_PROXY and its like are not honoured. The orchestrator is a peer inside the cluster; a variable meant for
// downloads must not send the token somewhere else, nor have the name looked up there.
//
// A lost registration is mended by the ready call and not by the next heartbeat, for what is lost is mostly the
// orchestrator's memory. That call waits at most 2.5 s, a connection at most 2 s: an orchestrator that was away hears
// of the worker within 5 s of its return. One that restarts between two heartbeats is found by the next of them.
//
// Heartbeats go on while the worker drains: their receivers kill what is silent. 404 and 410 mean that the worker is
// not known there; other refusals of a heartbeat say nothing about the registration.
//
// A signature is HMAC-SHA256 over "<Unix seconds>.<epoch>.<body>", in the header X-Llorch-Signature as
// t=<Unix seconds>,v1=<hex>. A receiver refuses an old t, and an epoch that it has seen end.
//
// The trial address http://localhost:9999 is the documented way to try a worker by hand. It is called like any other;
// only when nobody listens there, Ready says so at once (ErrTrialNobody) and the program serves standalone. Older
// workers skipped the call whenever the URL contained that text, so that a real manager on this port was never told.
package callback
