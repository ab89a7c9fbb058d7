package backendtest

import (
	"llorch/inference/backend"
	"llorch/inference/sample"
)

// Tap returns d with every op followed by Sync and a look at what it wrote:
// show gets the op's name and its destination (qkv for HeadNorm and RopeStore,
// which work in place) and may Download it and Sync. Sample, which writes to
// the host, is not shown. After a failure nothing is shown; the next Sync
// returns it.
func Tap(d backend.Device, show func(op string, dst backend.Tensor)) backend.Device {
	return &tap{Device: d, show: show}
}

type tap struct {
	backend.Device
	show func(op string, dst backend.Tensor)
	err  error
}

// Unwrap returns the device behind the tap.
func (t *tap) Unwrap() backend.Device { return t.Device }

func (t *tap) ran(op string, dst backend.Tensor) {
	if t.err == nil {
		t.err = t.Device.Sync()
	}
	if t.err == nil {
		t.show(op, dst)
	}
}

func (t *tap) Sync() error {
	err := t.err
	t.err = nil
	if err != nil {
		return err
	}
	return t.Device.Sync()
}

func (t *tap) Embed(dst, table backend.Tensor, b *backend.Batch) {
	t.Device.Embed(dst, table, b)
	t.ran("Embed", dst)
}

func (t *tap) RMSNorm(dst, x, w backend.Tensor, eps float32) {
	t.Device.RMSNorm(dst, x, w, eps)
	t.ran("RMSNorm", dst)
}

func (t *tap) Linear(dst, x backend.Tensor, w backend.Linear, b *backend.Batch) {
	t.Device.Linear(dst, x, w, b)
	t.ran("Linear", dst)
}

func (t *tap) LinearAdd(dst, x backend.Tensor, w backend.Linear, b *backend.Batch) {
	t.Device.LinearAdd(dst, x, w, b)
	t.ran("LinearAdd", dst)
}

func (t *tap) HeadNorm(qkv, wq, wk backend.Tensor, h backend.Heads, eps float32) {
	t.Device.HeadNorm(qkv, wq, wk, h, eps)
	t.ran("HeadNorm", qkv)
}

func (t *tap) RopeStore(qkv backend.Tensor, kv backend.KV, r backend.Rope, h backend.Heads, b *backend.Batch) {
	t.Device.RopeStore(qkv, kv, r, h, b)
	t.ran("RopeStore", qkv)
}

func (t *tap) Attend(dst, qkv backend.Tensor, kv backend.KV, h backend.Heads, b *backend.Batch) {
	t.Device.Attend(dst, qkv, kv, h, b)
	t.ran("Attend", dst)
}

func (t *tap) SwiGLU(dst, gateUp backend.Tensor) {
	t.Device.SwiGLU(dst, gateUp)
	t.ran("SwiGLU", dst)
}

func (t *tap) Rows(dst, x backend.Tensor, b *backend.Batch) {
	t.Device.Rows(dst, x, b)
	t.ran("Rows", dst)
}

func (t *tap) Sample(dst []int32, logits backend.Tensor, p []sample.Params) {
	t.Device.Sample(dst, logits, p)
}
