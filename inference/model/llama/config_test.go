package llama

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// tiny is a config.json every case starts from.
var tiny = map[string]string{
	"model_type": `"llama"`, "architectures": `["LlamaForCausalLM"]`,
	"hidden_size": "64", "intermediate_size": "176", "num_hidden_layers": "2",
	"num_attention_heads": "8", "num_key_value_heads": "2", "vocab_size": "512",
	"max_position_embeddings": "256", "rms_norm_eps": "1e-05", "eos_token_id": "2",
}

// text is tiny with fields replaced, added, or where the value is "-" left out.
func text(changes ...string) []byte {
	m := maps.Clone(tiny)
	for i := 0; i < len(changes); i += 2 {
		m[changes[i]] = changes[i+1]
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if m[k] != "-" {
			parts = append(parts, fmt.Sprintf("%q:%s", k, m[k]))
		}
	}
	return []byte("{" + strings.Join(parts, ",") + "}")
}

const configFile = "some/model/config.json"

func parse(q Quirks, changes ...string) (*Config, error) {
	return ParseConfig(configFile, text(changes...), nil, q)
}

// refusedConfig checks that err is a *ConfigError about the file and field.
func refusedConfig(t *testing.T, err error, file, field, reason string) {
	t.Helper()
	var e *ConfigError
	if !errors.As(err, &e) {
		t.Fatalf("no *ConfigError: %v", err)
	}
	if e.File != file || e.Field != field {
		t.Errorf("about %q of %q, want %q of %q: %v", e.Field, e.File, field, file, err)
	}
	if !strings.Contains(err.Error(), reason) {
		t.Errorf("%q does not say %q", err, reason)
	}
	if len(err.Error()) > 500 {
		t.Errorf("a message of %d bytes", len(err.Error()))
	}
}

func TestConfigOfTiny(t *testing.T) {
	got, err := parse(Family)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File: configFile, Architecture: "llama", Hidden: 64, Layers: 2, Heads: 8, KVHeads: 2, HeadDim: 8, RotaryDim: 8, FFN: 176,
		Vocab: 512, MaxPositions: 256, NormEps: 1e-5, RopeTheta: 10000, Rope: RopeScaling{AttentionFactor: 1},
		BOS: 1, EOS: []int32{2},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestConfigFields(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes []string
		ok      func(c *Config) bool
	}{
		{"kv heads absent", []string{"num_key_value_heads", "-"}, func(c *Config) bool { return c.KVHeads == 8 }},
		{"kv heads null", []string{"num_key_value_heads", "null"}, func(c *Config) bool { return c.KVHeads == 8 }},
		{"head_dim", []string{"head_dim", "32"}, func(c *Config) bool { return c.HeadDim == 32 }},
		{"head_dim frees hidden", []string{"head_dim", "32", "hidden_size", "60"}, func(c *Config) bool { return c.HeadDim == 32 && c.Hidden == 60 }},
		{"head_dim null", []string{"head_dim", "null"}, func(c *Config) bool { return c.HeadDim == 8 }},
		{"attention_bias", []string{"attention_bias", "true"}, func(c *Config) bool { return c.QKVBias && c.OutputBias && !c.MLPBias }},
		{"mlp_bias", []string{"mlp_bias", "true"}, func(c *Config) bool { return c.MLPBias && !c.QKVBias }},
		{"tied", []string{"tie_word_embeddings", "true"}, func(c *Config) bool { return c.TiedEmbeddings }},
		{"eos list", []string{"eos_token_id", "[5,7,5]"}, func(c *Config) bool { return slices.Equal(c.EOS, []int32{5, 7}) }},
		{"eos null", []string{"eos_token_id", "null"}, func(c *Config) bool { return len(c.EOS) == 0 && len(c.Warnings) == 1 }},
		{"eos absent", []string{"eos_token_id", "-"}, func(c *Config) bool { return slices.Equal(c.EOS, []int32{2}) }},
		{"eos beyond the vocabulary", []string{"eos_token_id", "[2,512]"}, func(c *Config) bool { return slices.Equal(c.EOS, []int32{2}) && len(c.Warnings) == 1 }},
		{"bos null", []string{"bos_token_id", "null"}, func(c *Config) bool { return c.BOS == -1 }},
		{"integer theta", []string{"rope_theta", "500000"}, func(c *Config) bool { return c.RopeTheta == 500000 }},
		{"theta inside first", []string{"rope_theta", "1", "rope_parameters", `{"rope_theta":70000.0,"rope_type":"default"}`}, func(c *Config) bool { return c.RopeTheta == 70000 && c.Rope.Type == "" }},
		{"scaling null", []string{"rope_scaling", "null"}, func(c *Config) bool { return c.Rope.Type == "" }},
		{"old context from max_position_embeddings", []string{"rope_scaling", `{"type":"yarn","factor":2}`}, func(c *Config) bool { return c.Rope.OriginalPositions == 256 }},
		{"old context from outside", []string{"original_max_position_embeddings", "64", "rope_scaling", `{"type":"yarn","factor":2,"original_max_position_embeddings":128}`}, func(c *Config) bool { return c.Rope.OriginalPositions == 64 }},
		{"yarn factor null", []string{"rope_scaling", `{"type":"yarn","factor":null,"original_max_position_embeddings":64}`}, func(c *Config) bool { return c.Rope.Factor == 4 }},
		{"yarn betas 0", []string{"rope_scaling", `{"type":"yarn","factor":2,"beta_fast":0,"beta_slow":null}`}, func(c *Config) bool { return c.Rope.BetaFast == 32 && c.Rope.BetaSlow == 1 && c.Rope.Truncate }},
		{"factor below 1", []string{"rope_scaling", `{"type":"linear","factor":0.5}`}, func(c *Config) bool { return c.Rope.Factor == 0.5 && len(c.Warnings) == 1 }},
		{"swish", []string{"hidden_act", `"swish"`}, func(c *Config) bool { return true }},
		{"neutral values", []string{"quantization_config", "null", "partial_rotary_factor", "1.0", "use_mrope", "false", "logit_scale", "1"}, func(c *Config) bool { return len(c.Warnings) == 0 }},
		{"auto_map", []string{"auto_map", `{"AutoModel":"x--y.Z"}`}, func(c *Config) bool { return len(c.Warnings) == 1 && strings.Contains(c.Warnings[0], "auto_map") }},
		{"no text generator", []string{"architectures", `["LlamaForSequenceClassification"]`}, func(c *Config) bool { return len(c.Warnings) == 1 }},
		{"window of a llama", []string{"sliding_window", "4096"}, func(c *Config) bool { return c.Windows == nil && len(c.Warnings) == 1 }},
		{"capital letters", []string{"model_type", `"LLaMA"`}, func(c *Config) bool { return c.Architecture == "llama" }},
		{"only architectures", []string{"model_type", "-"}, func(c *Config) bool { return c.Architecture == "llama" }},
		{"dtype", []string{"torch_dtype", `"float16"`, "dtype", `"bfloat16"`}, func(c *Config) bool { return c.DType == "bfloat16" }},
		{"torch_dtype", []string{"torch_dtype", `"torch.float16"`}, func(c *Config) bool { return c.DType == "float16" }},
		{"unknown fields", []string{"pretraining_tp", "1", "x", `{"a":[1,{"b":null}]}`, "id2label", `{"A":"x","a":"y"}`}, func(c *Config) bool { return len(c.Warnings) == 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(Family, c.changes...)
			if err != nil {
				t.Fatal(err)
			}
			if !c.ok(got) {
				t.Errorf("got %+v", got)
			}
		})
	}
	if len(Family.EOS) != 1 || Family.EOS[0] != 2 {
		t.Errorf("the family's default was written to: %v", Family.EOS)
	}
}

func TestGeneration(t *testing.T) {
	for _, c := range []struct {
		config, generation string
		bos                int32
		eos                []int32
	}{
		{"2", `{}`, 1, []int32{2}},
		{"2", `{"eos_token_id":[7,9],"bos_token_id":4}`, 4, []int32{7, 9}},
		{"[2,3]", `{"eos_token_id":7}`, 1, []int32{7}},
		{"2", `{"eos_token_id":null,"bos_token_id":null}`, 1, []int32{2}},
		{"null", `{"eos_token_id":[7]}`, 1, []int32{7}},
		{"2", `{"eos_token_id":[]}`, 1, nil},
	} {
		got, err := ParseConfig(configFile, text("eos_token_id", c.config), []byte(c.generation), Family)
		if err != nil {
			t.Fatal(err)
		}
		if got.BOS != c.bos || !slices.Equal(got.EOS, c.eos) {
			t.Errorf("%s and %s: bos %d, eos %v", c.config, c.generation, got.BOS, got.EOS)
		}
	}
}

func TestArchitecture(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"model_type":"Qwen2","architectures":["LlamaForCausalLM"]}`, "qwen2"},
		{`{"architectures":["MistralForCausalLM"]}`, "mistral"},
		{`{"model_type":"","architectures":["Qwen3ForCausalLM"]}`, "qwen3"},
	} {
		if got, err := Architecture(configFile, []byte(c.text)); got != c.want || err != nil {
			t.Errorf("%s: %q %v", c.text, got, err)
		}
	}
	_, err := Architecture(configFile, []byte(`{"architectures":[]}`))
	refusedConfig(t, err, configFile, "model_type", "missing")
	refusedConfig(t, UnknownArchitecture(configFile, "gemma", []string{"llama", "mistral"}), configFile, "model_type", "supported: llama, mistral")
}

// FuzzConfig: every text is a Config whose sizes are in bounds, or an error of
// the documented type; the table of a Config can be made.
func FuzzConfig(f *testing.F) {
	f.Add(text(), []byte(`{"eos_token_id":[1,2]}`))
	f.Add(text("rope_scaling", `{"rope_type":"yarn","factor":4.0,"truncate":false}`), []byte(nil))
	f.Add(text("rope_parameters", `{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4}`), []byte(nil))
	f.Add(text("head_dim", "2", "rope_theta", "1e-300"), []byte(`{}`))
	f.Add(text("layer_types", `["full_attention","sliding_attention"]`, "use_sliding_window", "true"), []byte(`[]`))
	f.Fuzz(func(t *testing.T, config, generation []byte) {
		byLayer, allLayers := Family, Family
		byLayer.Window, byLayer.KVHeads, byLayer.BOS = ByLayer, 4, -1
		allLayers.Window, allLayers.QKNorm, allLayers.HeadDim = AllLayers, true, 128
		for _, q := range []Quirks{Family, byLayer, allLayers} {
			c, err := ParseConfig(configFile, config, generation, q)
			var e *ConfigError
			if err != nil {
				if !errors.As(err, &e) {
					t.Fatalf("not a *ConfigError: %v", err)
				}
				continue
			}
			if !json.Valid(config) || c.Heads%c.KVHeads != 0 || c.HeadDim < 2 || c.Vocab < 1 || c.Hidden < 1 || c.MaxPositions < 1 || int(c.BOS) >= c.Vocab {
				t.Fatalf("accepted %+v", c)
			}
			cos, _ := c.RopeTable(2)
			if len(cos) != c.HeadDim || slices.ContainsFunc(cos, func(x float32) bool { return x != x }) {
				t.Fatalf("a table of %d entries, some maybe NaN, for %+v", len(cos), c)
			}
		}
	})
}
