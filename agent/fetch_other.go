//go:build !linux

package agent

import "llorch/residency"

// fetch does nothing where residency cannot be observed either.
func fetch([]residency.Loss) {}
