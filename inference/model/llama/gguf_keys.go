package llama

import (
	"slices"

	"llorch/inference/weights"
)

// keys reads the metadata of a GGUF file, those of one architecture. Like fields
// it keeps the first error, so that a reader needs to look once, at the end.
type keys struct {
	m    *weights.Metadata
	arch string
	err  error
}

// name is the full name of a key of the architecture.
func (k *keys) name(key string) string { return k.arch + "." + key }

func (k *keys) has(key string) bool { return k.m.Has(k.name(key)) }

func (k *keys) fail(key, format string, args ...any) {
	if k.err == nil {
		k.err = k.m.Fail(k.name(key), format, args...)
	}
}

// keep keeps the first error, and tells whether there is none.
func (k *keys) keep(err error) bool {
	if k.err == nil && err != nil {
		k.err = err
	}
	return k.err == nil
}

// required reads an integer from 1 to hi that every file must have.
func (k *keys) required(key string, hi int) int {
	if !k.has(key) {
		k.fail(key, "missing; the file does not say what the model is like")
		return 1
	}
	return k.integer(key, 0, 1, hi)
}

// integer reads an integer from lo to hi, of any width.
func (k *keys) integer(key string, byDefault, lo, hi int) int {
	if !k.has(key) {
		return byDefault
	}
	v, err := k.m.Int(k.name(key))
	if k.keep(err) && (v < int64(lo) || v > int64(hi)) {
		k.fail(key, "%d is not from %d to %d", v, lo, hi)
	}
	if k.err != nil {
		return lo
	}
	return int(v)
}

// everyLayer reads a number that some files have once and some for each layer, in
// which case all must be the same.
func (k *keys) everyLayer(key string, byDefault, layers, hi int) int {
	if !k.m.IsArray(k.name(key)) {
		return k.integer(key, byDefault, 1, hi)
	}
	list, err := k.m.Ints(k.name(key))
	if !k.keep(err) {
		return 1
	}
	if len(list) != layers {
		k.fail(key, "%d numbers for the %d layers of block_count", len(list), layers)
		return 1
	}
	for i, v := range list {
		if v != list[0] {
			k.fail(key, "%d in the first layer and %d in layer %d: layers that differ are not supported", list[0], v, i)
		}
		if v < 1 || v > int64(hi) {
			k.fail(key, "%d in layer %d is not from 1 to %d", v, i, hi)
		}
	}
	if k.err != nil {
		return 1
	}
	return int(list[0])
}

// positive reads a number above zero that float32 can hold, with room for a
// product.
func (k *keys) positive(key string, byDefault float64) float64 {
	if !k.has(key) {
		return byDefault
	}
	x, err := k.m.Float(k.name(key))
	if k.keep(err) && !(x >= 1e-30 && x <= 1e30) {
		k.fail(key, "%v is not from 1e-30 to 1e30", x)
	}
	return x
}

func (k *keys) text(key, byDefault string) string {
	if !k.has(key) {
		return byDefault
	}
	s, err := k.m.Text(k.name(key))
	k.keep(err)
	return s
}

// boolean reads a truth value.
func (k *keys) boolean(key string, byDefault bool) bool {
	if !k.has(key) {
		return byDefault
	}
	b, err := k.m.Bool(k.name(key))
	k.keep(err)
	return b
}

// refuse looks for keys that would change the arithmetic in a way this forward
// pass does not know. Answering without them would look like answering.
func (k *keys) refuse() {
	for _, key := range []string{"expert_count", "expert_used_count", "nextn_predict_layers", "attention.shared_kv_layers"} {
		if n := k.integer(key, 0, 0, maxWidth); n != 0 {
			k.fail(key, "%d: mixtures of experts and additional layers are not supported by the %s architecture", n, k.arch)
		}
	}
	// A scale of 0 means none, in the files of some converters.
	for key, neutral := range map[string][]float64{
		"attention.clamp_kqv": {0}, "attention.max_alibi_bias": {0}, "attention.scale": {0}, "attention.temperature_scale": {0}, "attn_logit_softcapping": {0},
		"final_logit_softcapping": {0}, "logit_scale": {0, 1}, "embedding_scale": {0, 1}, "residual_scale": {0, 1}, "rope.scaling.yarn_log_multiplier": {0},
	} {
		if !k.has(key) {
			continue
		}
		if x, err := k.m.Float(k.name(key)); k.keep(err) && !slices.Contains(neutral, x) {
			k.fail(key, "%v is not supported by the %s architecture", x, k.arch)
		}
	}
	if !k.boolean("attention.causal", true) {
		k.fail("attention.causal", "false is not supported: the model does not generate text")
	}
	if k.boolean("use_parallel_residual", false) {
		k.fail("use_parallel_residual", "true is not supported by the %s architecture", k.arch)
	}
}
