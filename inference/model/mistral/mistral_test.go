package mistral

import (
	"reflect"
	"testing"

	"llorch/inference/model/llama"
)

// TestDefaults: a config.json that says nothing is the one transformers makes
// of nothing, MistralConfig() of transformers 5.23.
func TestDefaults(t *testing.T) {
	got, err := llama.ParseConfig("config.json", []byte(`{"model_type":"mistral"}`), nil, Quirks)
	if err != nil {
		t.Fatal(err)
	}
	got.Warnings = nil
	want := &llama.Config{
		File: "config.json", Architecture: "mistral",
		Hidden: 4096, Layers: 32, Heads: 32, KVHeads: 8, HeadDim: 128, RotaryDim: 128, FFN: 14336, Vocab: 32000, MaxPositions: 131072,
		BOS: 1, EOS: []int32{2}, Windows: windows(32, 4096),
		NormEps: 1e-6, RopeTheta: 10000, Rope: llama.RopeScaling{AttentionFactor: 1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func windows(layers, window int) []int {
	w := make([]int, layers)
	for i := range w {
		w[i] = window
	}
	return w
}

// TestNoBiases: MistralAttention has none, whatever a config says; Check then
// refuses a file that has them.
func TestNoBiases(t *testing.T) {
	got, err := llama.ParseConfig("config.json", []byte(`{"model_type":"mistral","attention_bias":true,"mlp_bias":true,"num_key_value_heads":null}`), nil, Quirks)
	if err != nil || got.QKVBias || got.OutputBias || got.MLPBias || got.QKNorm || got.KVHeads != 32 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestWindows(t *testing.T) {
	for _, c := range []struct {
		fields string
		want   []int
	}{
		{``, []int{4096, 4096, 4096}},
		{`,"sliding_window":null`, nil},
		{`,"sliding_window":7`, []int{7, 7, 7}},
		{`,"sliding_window":7,"layer_types":["sliding_attention","sliding_attention","sliding_attention"]`, []int{7, 7, 7}},
		{`,"sliding_window":null,"layer_types":["full_attention","full_attention","full_attention"]`, nil},
		{`,"use_sliding_window":false,"sliding_window":7`, []int{7, 7, 7}}, // a field of other families
	} {
		text := `{"model_type":"mistral","num_hidden_layers":3` + c.fields + `}`
		got, err := llama.ParseConfig("config.json", []byte(text), nil, Quirks)
		if err != nil {
			t.Errorf("%s: %v", c.fields, err)
		} else if !reflect.DeepEqual(got.Windows, c.want) {
			t.Errorf("%s: %v, want %v", c.fields, got.Windows, c.want)
		}
	}
	for _, fields := range []string{
		`,"sliding_window":0`,
		`,"sliding_window":-1`,
		`,"sliding_window":"4096"`,
		`,"sliding_window":7,"layer_types":["sliding_attention","full_attention","sliding_attention"]`,
		`,"sliding_window":null,"layer_types":["sliding_attention","sliding_attention","sliding_attention"]`,
	} {
		text := `{"model_type":"mistral","num_hidden_layers":3` + fields + `}`
		if got, err := llama.ParseConfig("config.json", []byte(text), nil, Quirks); err == nil {
			t.Errorf("%s gave %v", fields, got.Windows)
		}
	}
}
