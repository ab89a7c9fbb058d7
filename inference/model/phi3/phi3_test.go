package phi3

import (
	"reflect"
	"testing"

	"llorch/inference/model/llama"
)

// TestDefaults: a config.json that says nothing is the one transformers makes
// of nothing, Phi3Config() of transformers 5.24.
func TestDefaults(t *testing.T) {
	got, err := llama.ParseConfig("config.json", []byte(`{"model_type":"phi3"}`), nil, Quirks)
	if err != nil {
		t.Fatal(err)
	}
	got.Warnings = nil
	want := &llama.Config{
		File: "config.json", Architecture: "phi3",
		Hidden: 3072, Layers: 32, Heads: 32, KVHeads: 32, HeadDim: 96, RotaryDim: 96, FFN: 8192, Vocab: 32064, MaxPositions: 4096,
		BOS: 1, EOS: []int32{32000}, Fused: true,
		NormEps: 1e-5, RopeTheta: 10000, Rope: llama.RopeScaling{AttentionFactor: 1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestVariants: what the published models of the family set.
func TestVariants(t *testing.T) {
	factors := `"short_factor":[1,1.1],"long_factor":[1.5,4]`
	for _, c := range []struct {
		name, fields string
		ok           func(c *llama.Config) bool
	}{
		{"window", `"sliding_window":2047,"num_hidden_layers":2`, func(c *llama.Config) bool { return reflect.DeepEqual(c.Windows, []int{2047, 2047}) }},
		{"no window", `"sliding_window":null`, func(c *llama.Config) bool { return c.Windows == nil }},
		{"su", `"hidden_size":128,"max_position_embeddings":131072,"rope_scaling":{"type":"su",` + factors + `}`,
			func(c *llama.Config) bool {
				return c.Rope.Type == "longrope" && c.Rope.Factor == 32 && c.Rope.OriginalPositions == 4096
			}},
		{"yarn of its first files", `"hidden_size":128,"rope_scaling":{"type":"yarn",` + factors + `}`, func(c *llama.Config) bool { return c.Rope.Type == "longrope" }},
		{"part of a head", `"partial_rotary_factor":0.75`, func(c *llama.Config) bool { return c.RotaryDim == 72 && c.HeadDim == 96 }},
		{"part of a head, rounded down", `"rope_parameters":{"rope_type":"default","partial_rotary_factor":0.4}`, func(c *llama.Config) bool { return c.RotaryDim == 38 }},
	} {
		got, err := llama.ParseConfig("config.json", []byte(`{"model_type":"phi3",`+c.fields+`}`), nil, Quirks)
		if err != nil || !c.ok(got) {
			t.Errorf("%s: %+v %v", c.name, got, err)
		}
	}
	for _, fields := range []string{
		`"partial_rotary_factor":1.5`, `"partial_rotary_factor":0.01`, `"partial_rotary_factor":0.345`,
		`"hidden_size":128,"rope_scaling":{"type":"longrope","short_factor":[1,1.1],"long_factor":[1.5]}`,
	} {
		if got, err := llama.ParseConfig("config.json", []byte(`{"model_type":"phi3",`+fields+`}`), nil, Quirks); err == nil {
			t.Errorf("%s: %+v", fields, got)
		}
	}
}
