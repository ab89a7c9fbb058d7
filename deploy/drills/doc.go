// Command drills breaks a built worker on purpose and checks what it promises
// about that: one line for each drill with the figure it measured, exit status 1
// if any promise was not kept. With -soak it runs a thousand streams for as long
// as asked, with clients and orchestrators that misbehave, and prints one table.
//
//	make drills                                    all of them, in under ten minutes
//	go run ./deploy/drills -only health,kill       sections, drills or promises by name
//	make soak MIN=30
//
// A drill sees the worker as an orchestrator, a client or an operator does: by
// command line, HTTP, signals, log and /proc. Drills that need a device to fail
// run a worker built with -tags llorch_faults, which does so at a given step.
//
// What must always hold:
//
//   - A drill is a row of the table: a name, the promises it proves, the longest
//     it may take. It is bounded by that time whatever the worker does.
//   - What a drill has started ends with it, also on Ctrl-C: processes in groups
//     of their own, listeners, files in a folder that is removed.
//   - A drill fails only for what the worker did, never for a slow machine: it
//     waits for a state, and compares times only with limits far above them.
//
// README.md says which attack and which fault is covered by what.
package main
