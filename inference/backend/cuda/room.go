package cuda

import (
	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// What a process takes beside what it allocates, for the plan. Evidence measures it.
const (
	// driverBytes: 522 MiB of context and kernels were measured on an H200 (driver
	// 580.159). The rest is for what the backend allocates beside the model's scratch
	// (32 MiB for the splits of attention, activations of prompts once more in bf16,
	// quantised weights of a product of theirs in bf16, up to 128 MiB), graphs of decode
	// steps, the rests of pages, and drivers that take more.
	driverBytes = 1 << 30
	// hostBytes: RSS was 195 MB on that host, 43 MB of it pinned, where the CPU's
	// worker takes 36: the libraries of the driver. The slots of the loader, then 32 MiB,
	// are 64, while it loads.
	hostBytes = 192 << 20
)

// room is what an idle device has for a process.
func (f DeviceFacts) room() backend.Room {
	return backend.Room{Name: f.Name, Total: f.Total, Free: max(0, f.Free), Driver: driverBytes, Host: hostBytes}
}

// takes is what is allocated for a weight: what the matrix unit may multiply has room
// for the padding of fragment order, so that it can be laid out in place.
func takes(t tensor.DType, rows, cols int) int64 {
	bytes := int64(rows) * int64(t.RowBytes(cols))
	if packable(backend.Weights, t, rows, cols) {
		bytes = max(bytes, packedBytes(t, rows, cols))
	}
	return bytes
}

// beside is the copy that a projection is laid out from.
func beside(t tensor.DType, bytes int64) int64 {
	if packable(backend.Weights, t, 16, 256) {
		return bytes
	}
	return 0
}
