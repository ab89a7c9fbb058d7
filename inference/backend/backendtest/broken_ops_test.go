package backendtest

import (
	"llorch/inference/backend"
	"llorch/inference/sample"
	"llorch/inference/tensor"
)

// The ops of broken: the wrong one where there is one, else that of the device.

func (k *broken) Linear(dst, x matrix, w parts, b *batch) {
	if k.linear != nil {
		k.linear(k.device, dst, x, w, b)
		return
	}
	k.device.Linear(dst, x, w, b)
}

func (k *broken) LinearAdd(dst, x matrix, w parts, b *batch) {
	if k.linearAdd != nil {
		k.linearAdd(k.device, dst, x, w, b)
		return
	}
	k.device.LinearAdd(dst, x, w, b)
}

func (k *broken) RMSNorm(dst, x, w matrix, eps float32) {
	if k.norm != nil {
		k.norm(k.device, dst, x, w, eps)
		return
	}
	k.device.RMSNorm(dst, x, w, eps)
}

func (k *broken) HeadNorm(qkv, wq, wk matrix, h heads, eps float32) {
	if k.headNorm != nil {
		k.headNorm(k.device, qkv, wq, wk, h, eps)
		return
	}
	k.device.HeadNorm(qkv, wq, wk, h, eps)
}

func (k *broken) RopeStore(qkv matrix, kv backend.KV, r backend.Rope, h heads, b *batch) {
	if k.ropeStore != nil {
		k.ropeStore(k.device, qkv, kv, r, h, b)
		return
	}
	k.device.RopeStore(qkv, kv, r, h, b)
}

func (k *broken) Attend(dst, qkv matrix, kv backend.KV, h heads, b *batch) {
	if k.attend != nil {
		k.attend(k.device, dst, qkv, kv, h, b)
		return
	}
	k.device.Attend(dst, qkv, kv, h, b)
}

func (k *broken) SwiGLU(dst, gateUp matrix) {
	if k.swiGLU != nil {
		k.swiGLU(k.device, dst, gateUp)
		return
	}
	k.device.SwiGLU(dst, gateUp)
}

func (k *broken) Embed(dst, table matrix, b *batch) {
	if k.embed != nil {
		k.embed(k.device, dst, table, b)
		return
	}
	k.device.Embed(dst, table, b)
}

func (k *broken) Rows(dst, x matrix, b *batch) {
	if k.rows != nil {
		k.rows(k.device, dst, x, b)
		return
	}
	k.device.Rows(dst, x, b)
}

func (k *broken) Sample(dst []int32, logits matrix, p []sample.Params) {
	if k.sample != nil {
		k.sample(k.device, dst, logits, p)
		return
	}
	k.device.Sample(dst, logits, p)
}

func (k *broken) Alloc(use backend.Use, t tensor.DType, rows, cols int) (matrix, error) {
	if k.alloc != nil {
		return k.alloc(k.device, use, t, rows, cols)

	}
	return k.device.Alloc(use, t, rows, cols)
}

func (k *broken) Held() map[backend.Use]int64 {
	if k.held != nil {
		return k.held(k.device)

	}
	return k.device.Held()
}

func (k *broken) Sync() error {
	if k.sync != nil {
		return k.sync(k.device)

	}
	return k.device.Sync()
}
