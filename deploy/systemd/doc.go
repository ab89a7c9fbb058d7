// Package systemd holds unit files for a host that systemd manages, and the
// tests that keep them correct. deploy/README.md shows how they are used.
package systemd
