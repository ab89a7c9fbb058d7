//go:build !linux

package agent

import (
	"context"

	"llorch/residency"
)

// fetch does nothing where residency cannot be observed either.
func fetch(context.Context, []residency.Loss, func()) {}
