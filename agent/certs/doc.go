// Package certs keeps the worker's TLS certificate, its key and the certificate
// authorities of its clients as their files are now, not as they were at start.
//
// What must always hold:
//
//   - The files are looked at in a handshake, at most once in checkEvery, so that
//     nothing runs while nobody connects. What is established stays as it was.
//   - Files that cannot be used (half written, of different pairs, unreadable) change
//     nothing: the last good ones stay, and each such state is logged once.
//   - A change of the authorities ends the resumption of sessions that were
//     checked by the old ones.
//
// Decision: a client certificate is verified if it is given and not demanded in the
// handshake. Probes of a kubelet have none and must get through; routes that need one
// refuse requests without (package agent).
package certs
