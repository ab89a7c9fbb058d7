package qwen2

import (
	"reflect"
	"testing"

	"llorch/inference/model/llama"
)

// TestDefaults: a config.json that says nothing is the one transformers makes
// of nothing, Qwen2Config() of transformers 5.23.
func TestDefaults(t *testing.T) {
	got, err := llama.ParseConfig("config.json", []byte(`{"model_type":"qwen2"}`), nil, Quirks)
	if err != nil {
		t.Fatal(err)
	}
	got.Warnings = nil
	want := &llama.Config{
		File: "config.json", Architecture: "qwen2",
		Hidden: 4096, Layers: 32, Heads: 32, KVHeads: 32, HeadDim: 128, RotaryDim: 128, FFN: 22016, Vocab: 151936, MaxPositions: 32768,
		BOS: -1, EOS: []int32{}, QKVBias: true,
		NormEps: 1e-6, RopeTheta: 10000, Rope: llama.RopeScaling{AttentionFactor: 1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestWindows(t *testing.T) {
	for _, c := range []struct {
		fields string
		want   []int
	}{
		{``, nil},
		{`,"sliding_window":64`, nil},
		{`,"use_sliding_window":false,"sliding_window":64,"max_window_layers":0`, nil},
		{`,"use_sliding_window":true`, nil}, // max_window_layers is 28
		{`,"use_sliding_window":true,"max_window_layers":2`, []int{0, 0, 4096}},
		{`,"use_sliding_window":true,"sliding_window":64,"max_window_layers":0`, []int{64, 64, 64}},
		{`,"use_sliding_window":true,"sliding_window":null,"max_window_layers":0`, nil},
		{`,"use_sliding_window":true,"sliding_window":64,"layer_types":["sliding_attention","full_attention","sliding_attention"]`, []int{64, 0, 64}},
		{`,"layer_types":["full_attention","full_attention","full_attention"]`, nil},
	} {
		text := `{"model_type":"qwen2","num_hidden_layers":3` + c.fields + `}`
		got, err := llama.ParseConfig("config.json", []byte(text), nil, Quirks)
		if err != nil {
			t.Errorf("%s: %v", c.fields, err)
		} else if !reflect.DeepEqual(got.Windows, c.want) {
			t.Errorf("%s: %v, want %v", c.fields, got.Windows, c.want)
		}
	}
	for _, fields := range []string{
		`,"layer_types":["full_attention","full_attention","sliding_attention"]`, // no window
		`,"use_sliding_window":true,"layer_types":["full_attention"]`,
		`,"use_sliding_window":true,"sliding_window":0`,
		`,"use_sliding_window":true,"max_window_layers":-1`,
		`,"use_sliding_window":1`,
	} {
		text := `{"model_type":"qwen2","num_hidden_layers":3` + fields + `}`
		if got, err := llama.ParseConfig("config.json", []byte(text), nil, Quirks); err == nil {
			t.Errorf("%s gave %v", fields, got.Windows)
		}
	}
}
