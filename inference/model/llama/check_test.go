package llama

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llorch/inference/tensor"
	"llorch/inference/weights"
)

// fake is the tensors of a config, to be changed by a case and written.
type fake struct {
	specs []weights.Spec
}

func modelOf(c *Config) *fake {
	m := &fake{}
	for _, n := range c.needs() {
		m.specs = append(m.specs, weights.Spec{Name: n.name, Type: tensor.BF16, Shape: n.shape})
	}
	return m
}

func (m *fake) add(name string, d tensor.DType, shape ...int) {
	m.specs = append(m.specs, weights.Spec{Name: name, Type: d, Shape: shape})
}

func (m *fake) drop(name string) {
	m.specs = slices.DeleteFunc(m.specs, func(s weights.Spec) bool { return s.Name == name })
}

// open writes the tensors, all zeros, and opens the file.
func (m *fake) open(t *testing.T) *weights.Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.safetensors")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	err = weights.WriteSafeTensors(f, m.specs, func(i int, w io.Writer) error {
		n, err := m.specs[i].Bytes()
		if err == nil {
			_, err = w.Write(make([]byte, n))
		}
		return err
	})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	s, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestCheckRefused(t *testing.T) {
	const l1 = "model.layers.1."
	for _, c := range []struct {
		name    string
		changes []string // of config.json, after the tensors were made for tiny
		edit    func(m *fake)
		tensor  string
		reason  string
	}{
		{"vocabulary", []string{"vocab_size", "500", "eos_token_id", "2"}, nil, embedName, "shape [512 64], and config.json means [500 64]"},
		{"hidden", []string{"hidden_size", "32"}, nil, embedName, "shape [512 64], and config.json means [512 32]"},
		{"kv heads", []string{"num_key_value_heads", "4"}, nil, "model.layers.0.self_attn.k_proj.weight", "shape [16 64], and config.json means [32 64]"},
		{"head_dim", []string{"head_dim", "16"}, nil, "model.layers.0.self_attn.q_proj.weight", "shape [64 64], and config.json means [128 64]"},
		{"fewer layers in the config", []string{"num_hidden_layers", "1"}, nil, l1 + "input_layernorm.weight", "layer 1, and num_hidden_layers is 1"},
		{"fewer layers in the file", []string{"num_hidden_layers", "3"}, nil, "model.layers.2.input_layernorm.weight", "missing; config.json means one of shape [64]"},
		{"a tensor missing", nil, func(m *fake) { m.drop(l1 + "mlp.up_proj.weight") }, l1 + "mlp.up_proj.weight", "missing; config.json means one of shape [176 64]"},
		{"head missing", nil, func(m *fake) { m.drop("lm_head.weight") }, "lm_head.weight", "tie_word_embeddings"},
		{"bias missing", []string{"attention_bias", "true"}, nil, "model.layers.0.self_attn.q_proj.bias", "missing; config.json means one of shape [64]"},
		{"bias unasked", nil, func(m *fake) { m.add(l1+"self_attn.k_proj.bias", tensor.F32, 16) }, l1 + "self_attn.k_proj.bias", "would change every answer"},
		{"norm unasked", nil, func(m *fake) { m.add(l1+"self_attn.q_norm.weight", tensor.F32, 8) }, l1 + "self_attn.q_norm.weight", "would change every answer"},
		{"matrix as vector", nil, func(m *fake) { m.drop(normName); m.add(normName, tensor.F32, 64, 1) }, normName, "shape [64 1], and config.json means [64]"},
		{"transposed", nil, func(m *fake) { n := l1 + "mlp.down_proj.weight"; m.drop(n); m.add(n, tensor.F16, 176, 64) }, l1 + "mlp.down_proj.weight", "shape [176 64], and config.json means [64 176]"},
		{"bare model", nil, func(m *fake) {
			for i := range m.specs {
				m.specs[i].Name = strings.TrimPrefix(m.specs[i].Name, "model.")
			}
		}, embedName, `without the prefix "model."`},
	} {
		t.Run(c.name, func(t *testing.T) {
			made, err := parse(Family)
			if err != nil {
				t.Fatal(err)
			}
			m := modelOf(made)
			if c.edit != nil {
				c.edit(m)
			}
			s := m.open(t)
			config, err := parse(Family, c.changes...)
			if err != nil {
				t.Fatal(err)
			}
			var e *weights.Error
			if err = config.Check(s); !errors.As(err, &e) {
				t.Fatalf("no *weights.Error: %v", err)
			}
			if e.File != s.Path || e.Tensor != c.tensor || !strings.Contains(e.Reason, c.reason) {
				t.Errorf("got %v\nwant %s: %s", err, c.tensor, c.reason)
			}
		})
	}
}

// TestCheckFormat: a format we cannot compute with stops only who needs it.
func TestCheckFormat(t *testing.T) {
	head := `{"model.embed_tokens.weight":{"dtype":"F8_E4M3","shape":[4,2],"data_offsets":[0,8]}}        `
	head = head[:len(head)-len(head)%8]
	path := filepath.Join(t.TempDir(), "model.safetensors")
	data := append([]byte{byte(len(head)), 0, 0, 0, 0, 0, 0, 0}, head...)
	if err := os.WriteFile(path, append(data, make([]byte, 8)...), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := &Config{Vocab: 4, Hidden: 2}
	if err := c.Check(s); err == nil || !strings.Contains(err.Error(), "format F8_E4M3 is not supported") {
		t.Errorf("got %v", err)
	}
}

func TestCheckAccepted(t *testing.T) {
	for _, c := range []struct {
		name     string
		changes  []string
		edit     func(m *fake)
		tied     bool
		warnings int
	}{
		{"plain", nil, nil, false, 0},
		{"tied", []string{"tie_word_embeddings", "true"}, nil, true, 0},
		{"tied, with a head of its own", []string{"tie_word_embeddings", "true"}, func(m *fake) { m.add("lm_head.weight", tensor.BF16, 512, 64) }, false, 0},
		{"all biases", []string{"attention_bias", "true", "mlp_bias", "true"}, nil, false, 0},
		{"old checkpoint", nil, func(m *fake) { m.add("model.layers.0.self_attn.rotary_emb.inv_freq", tensor.F32, 4) }, false, 0},
		{"something beside", nil, func(m *fake) { m.add("value_head.bias", tensor.F32, 1) }, false, 0},
		{"mixed formats", nil, func(m *fake) { m.drop(normName); m.add(normName, tensor.F32, 64) }, false, 0},
		{"dtype right", []string{"torch_dtype", `"bfloat16"`}, nil, false, 0},
		{"dtype lie", []string{"torch_dtype", `"float16"`}, nil, false, 1},
		{"dtype unknown", []string{"dtype", `"float8_e4m3fn"`}, nil, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := parse(Family, c.changes...)
			if err != nil {
				t.Fatal(err)
			}
			m := modelOf(config)
			if c.edit != nil {
				c.edit(m)
			}
			if err := config.Check(m.open(t)); err != nil {
				t.Fatal(err)
			}
			if config.TiedEmbeddings != c.tied || len(config.Warnings) != c.warnings {
				t.Errorf("tied %v, warnings %q", config.TiedEmbeddings, config.Warnings)
			}
		})
	}
}
