// Package agent is the worker process: the order of start and stop, the HTTP
// side, logs and metrics, and the commands of the program. It sees the engine
// through the small interface Engine, so all of HTTP is tested with a fake.
//
// What must always hold:
//
//   - One type, Machine, owns the process's state. /health, /v1/ready, metrics
//     and logs read that one value; none keeps a copy.
//   - Probes and scrapes read atomics. They never wait for the device, a lock
//     that work is done under, or a slow client.
//   - Every stream that began ends with exactly one terminal frame, whatever
//     happens: end, an error of the engine, a cancel, a deadline, a drain, a panic.
//     Counters, state and the job's id are settled before that frame goes out.
//   - A client can hurt itself only: bodies, headers, the time to send them and
//     each write to a stream are bounded, and the engine never waits for a reader
//     (the engine keeps a few events of a request for its reader, the rest aside).
//   - Prompts and generated text are never logged; hashes and lengths are.
//   - Every route says in one table who may use it (open, token, admin); saying nothing
//     closes it as an admin route, and fails a test.
//   - Profiles are on the debug listener alone, which is bound to loopback.
//   - Every answer that says "not ready" has a cause of one word and the time since
//     when. One table (cause.go) holds all causes, their HTTP status, whether they
//     heal and the exit status they lead to.
//   - The service manager's watchdog is fed from the loop that looks for a hang, and
//     only while it finds none. What stops that loop starves the watchdog, too.
//
// Decisions:
//
//   - Bodies are read by a decoder of our own (scanner.go), not encoding/json:
//     the status of a malformed body is part of the wire, and encoding/json folds
//     case, takes null for anything and lets a duplicate key win.
//   - Frames are written by hand (frames.go) into a reused buffer: a token costs
//     no allocation. All frames that wait go out in one write.
//   - A cancelled stream gets its last frame after 100 ms even when the device is
//     still inside a long step; the engine frees the slot when that step is over.
//     llorch_cancel_to_free_seconds is measured up to there.
//   - The mirror of vLLM's metrics (mirror.go) takes its times from the engine's
//     events. The handler reads them late when its client reads slowly, and such
//     a client must not look like a slow device. A name whose value we do not
//     know is not exported: a dashboard must not show a zero that nobody counted.
//   - vram_bytes in /health is the figure of the callback (size of the weight
//     files); vram_bytes_used, worker_vram_bytes and the metrics frames have what
//     the device really holds. On a CPU both are host memory.
//   - While degraded the worker finishes what runs and takes nothing new: its
//     speed can no longer be trusted, its results can.
//   - Listeners come from one place (bind.go): TCP, a Unix socket, or what a service
//     manager has passed on, which takes the place of the setting of its kind. A Unix
//     socket has neither TLS nor a check of the Host header: its mode is its guard.
//   - DELETE /v1/inference/:id is an admin route, as /cancel is: both end any job whose
//     id is known. A client ends its own by closing its connection.
//   - Client certificates are asked for by route and not in the handshake, so that
//     probes of a kubelet get through (agent/certs).
//   - HTTP/2 resets a stream whose write deadline passes, also while it rests, so the
//     deadline is lifted between the writes of such a stream.
//   - A device fault ends the process with an exit status of its own, 3. Only a new
//     process can get a clean device, and the spawner is the one to start it.
//   - Impairments (a hang, lost pages, changed files) are kept as a set beside the
//     state, and degraded is derived from it as busy is from the requests: each heals
//     by itself, and none can hide or end another.
//   - A hang is work outstanding and a step counter that stands still for
//     --hang-timeout, for four times the longest step seen so far, or for twice what
//     the warm-up lets a full prefill step expect, whichever is longest. Time in
//     which the process itself stood still does not count.
//   - A hang does not end the process: nothing is lost by waiting, and it may heal.
//     Whether to wait is for the watchdog of whoever started it.
//   - Pages that are missing are read in again before anything else, and only if that
//     takes longer than a request may wait, or does not help, is the worker degraded
//     (resident.go). When to look and when to give up is decided without a clock of
//     its own (keeper.go). A loss that lasts ends the process with status 4: its cause
//     is outside of it, so it can only make room for a worker elsewhere, or for one
//     that loads the files as they are now.
package agent
