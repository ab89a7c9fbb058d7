// Package notify speaks the protocol by which a service tells systemd, or any
// manager that copies it, how it fares: datagrams of NAME=value lines sent to
// the Unix socket named in NOTIFY_SOCKET (sd_notify(3), sd_watchdog_enabled(3)).
//
// What must always hold:
//
//   - Without NOTIFY_SOCKET nothing is sent and nothing fails: a nil *Socket is
//     a working one that has nobody to tell.
//   - A manager that does not read its socket costs a message, not the caller's
//     time: a send is given up after writeTime.
//   - One call is one datagram, so what belongs together arrives together. A
//     value cannot smuggle in a line of its own.
//
// Decision: the environment and the process id are handed in, never read here,
// so that a worker inside a test is not taken for the test's own service.
package notify
