// Package systemd holds the unit files for a host that systemd manages. Its
// functions ask systemd-analyze about them, its tests hold them against what
// the worker promises. deploy/README.md shows how they are used.
package systemd
