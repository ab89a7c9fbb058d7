package llama

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"llorch/inference/tensor"
	"llorch/inference/weights"
)

// Check implements model.Config: every tensor the forward pass reads is in s
// with the shape the config means and in a format that can be computed with.
// Errors are *weights.Error with both shapes.
//
// Tensors beyond those are left alone, such as the rotary_emb.inv_freq of old
// checkpoints, with two exceptions that would make wrong answers look right: a
// layer the config does not count, and a bias or norm it says is not there.
//
// Where the embeddings are tied and the file has a head of its own, the head
// counts and TiedEmbeddings becomes false: transformers 5 ties the two only if
// they are equal, and then it makes no difference. Warnings may grow.
func (c *Config) Check(s *weights.Source) error {
	if _, ok := s.Tensor(c.layout().head + ".weight"); ok {
		c.TiedEmbeddings = false
	}
	needs := c.needs()
	known := make(map[string]bool, len(needs))
	for _, n := range needs {
		known[n.name] = true
		if err := n.check(s, c.layout().meant); err != nil {
			return err
		}
	}
	if err := c.extra(s, known); err != nil {
		return err
	}
	c.checkDType(s, needs)
	return nil
}

func (n need) check(s *weights.Source, meant string) error {
	t, ok := s.Tensor(n.name)
	if !ok {
		return &weights.Error{File: s.Path, Tensor: n.name, Offset: -1, Reason: fmt.Sprintf("missing; %s one of shape %v%s", meant, n.shape, hint(s, n.name))}
	}
	fail := func(format string, args ...any) error {
		return &weights.Error{File: s.Files[t.File].Path, Tensor: n.name, Offset: t.Offset, Reason: fmt.Sprintf(format, args...)}
	}
	if !slices.Equal(t.Shape, n.shape) {
		return fail("shape %v, and %s %v", t.Shape, meant, n.shape)
	}
	if t.Type == 0 {
		return fail("format %s is not supported; give the model in F32, F16, BF16, or as GGUF in a format from Q2_K to Q8_0", t.Format)
	}
	if len(n.shape) == 1 && t.Type.Block() > 1 {
		return fail("format %s, in blocks, and norms and biases are read one by one", t.Format)
	}
	return nil
}

// hint guesses why a tensor is missing.
func hint(s *weights.Source, name string) string {
	if _, bare := s.Tensor(strings.TrimPrefix(name, "model.")); bare {
		return `; the file was saved from the bare model, without the prefix "model." and without a head: save the causal model`
	}
	if name == headName+".weight" {
		return "; set tie_word_embeddings if the embedding table is the head"
	}
	return ""
}

// extra looks through the tensors nobody asked for.
func (c *Config) extra(s *weights.Source, known map[string]bool) error {
	count, use := "num_hidden_layers", fmt.Sprintf("config.json does not have a %s use it (attention_bias, mlp_bias?); ignoring it would change every answer", c.Architecture)
	if c.GGUF {
		count, use = "block_count", fmt.Sprintf("the %s architecture has no use for it here; ignoring it would change every answer", c.Architecture)
	}
	for _, name := range s.Names() {
		rest, inLayer := strings.CutPrefix(name, c.layout().layers)
		if known[name] || !inLayer && !c.GGUF {
			continue
		}
		number, _, _ := strings.Cut(rest, ".")
		t, _ := s.Tensor(name)
		reason := ""
		if i, err := strconv.Atoi(number); inLayer && err == nil && i >= c.Layers {
			reason = fmt.Sprintf("a tensor of layer %d, and %s is %d", i, count, c.Layers)
		} else if strings.HasSuffix(name, ".bias") || strings.HasSuffix(name, "norm.weight") {
			reason = use
		}
		if reason != "" {
			return &weights.Error{File: s.Files[t.File].Path, Tensor: name, Offset: t.Offset, Reason: reason}
		}
	}
	return nil
}

// checkDType warns where config.json gives the weights another format than they
// have. The weights keep theirs.
func (c *Config) checkDType(s *weights.Source, needs []need) {
	spelled := map[string]tensor.DType{"float32": tensor.F32, "float16": tensor.F16, "bfloat16": tensor.BF16}
	want, ok := spelled[c.DType]
	if !ok {
		if c.DType != "" {
			c.warnf("%s: dtype %.80q is ignored: the tensors say what they are", c.File, c.DType)
		}
		return
	}
	other, bytes, total := tensor.DType(0), int64(0), int64(0)
	for _, n := range needs {
		t, _ := s.Tensor(n.name)
		if total += t.Bytes; t.Type != want {
			other = t.Type
			bytes += t.Bytes
		}
	}
	if bytes > total/2 {
		c.warnf("%s: dtype says %s, and most tensors are %v: the tensors count", c.File, c.DType, other)
	}
}
