//go:build cuda

package inference

import _ "llorch/inference/backend/cuda"
