// Package listen makes the worker's listeners: TCP, a Unix socket, and sockets
// that a service manager has opened and passed on (sd_listen_fds(3)).
//
// What must always hold:
//
//   - An address that is taken is an error that wraps syscall.EADDRINUSE and says
//     which process has it, as far as this user may see.
//   - Of that process only the program's name and its worker id are told: the rest
//     of a command line may hold secrets.
//   - The file of a Unix socket is replaced only if nobody answers on it, removed
//     when its listener closes, and never if it has become another's. It is never
//     open to more than owner and group, not even for a moment.
//
// Decision: two workers that start at once on one path would both find the file
// of a dead one and the later would take away the earlier's. They take turns by a
// lock on the folder, which leaves no file and ends with its process.
package listen
