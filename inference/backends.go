package inference

// The devices that are in every binary. Those that need a build tag are in
// files of their own beside this one.
import (
	_ "llorch/inference/backend/cpu"
	_ "llorch/inference/backend/ref"
)
