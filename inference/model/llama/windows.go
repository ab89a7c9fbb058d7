package llama

import "llorch/inference/weights/strictjson"

// WindowRule says how a family reads sliding_window.
type WindowRule uint8

const (
	// NoWindow: every layer sees everything (llama).
	NoWindow WindowRule = iota
	// AllLayers: sliding_window, 4096 where the field is absent and none where it
	// is null, holds for all layers (Mistral).
	AllLayers
	// AllLayersIfSet: the same, and none where the field is absent (Phi-3).
	AllLayersIfSet
	// ByLayer: with use_sliding_window, the layers that layer_types names, or
	// those from max_window_layers up (Qwen2, Qwen3).
	ByLayer
)

// Defaults of MistralConfig, Qwen2Config and Qwen3Config.
const (
	defaultWindow          = 4096
	defaultMaxWindowLayers = 28
)

const (
	fullAttention    = "full_attention"
	slidingAttention = "sliding_attention"
)

// windows fills c.Windows. Transformers lets position q see position k where
// q - window < k ≤ q.
func (c *Config) windows(f *fields, rule WindowRule) {
	types := f.texts("layer_types", maxLayers)
	if types != nil && len(types) != c.Layers {
		f.fail("layer_types", "%d entries for the %d layers of num_hidden_layers", len(types), c.Layers)
	}
	window := 0
	switch rule {
	case NoWindow:
		if v := f.some("sliding_window"); v != nil {
			c.warnf("%s: sliding_window is ignored, as transformers does for model_type %s", f.file, c.Architecture)
		}
	case AllLayers:
		window = f.window()
	case AllLayersIfSet:
		if f.some("sliding_window") != nil {
			window = f.window()
		}
		rule = AllLayers
	case ByLayer:
		if f.boolean("use_sliding_window", false) {
			window = f.window()
		}
		if types == nil {
			types = c.upperLayers(f, window)
		}
	}
	if f.err != nil {
		return
	}
	c.applyWindow(f, rule, types, window)
}

// window reads sliding_window: absent is the default, null is none.
func (f *fields) window() int {
	if v := f.get("sliding_window"); v != nil && v.Kind == strictjson.Null {
		return 0
	}
	return f.integer("sliding_window", defaultWindow, 1, maxPositions)
}

// upperLayers is the layer_types that Qwen's older fields mean.
func (c *Config) upperLayers(f *fields, window int) []string {
	first := f.integer("max_window_layers", defaultMaxWindowLayers, 0, maxPositions)
	types := make([]string, c.Layers)
	for i := range types {
		types[i] = fullAttention
		if window > 0 && i >= first {
			types[i] = slidingAttention
		}
	}
	return types
}

func (c *Config) applyWindow(f *fields, rule WindowRule, types []string, window int) {
	windows, any := make([]int, c.Layers), false
	for i := range windows {
		sliding := rule == AllLayers && window > 0
		if types != nil {
			switch types[i] {
			case fullAttention, slidingAttention:
			default:
				f.fail("layer_types", "layer %d is %.80q; known are %s and %s", i, types[i], fullAttention, slidingAttention)
			}
			named := types[i] == slidingAttention
			if named && window == 0 {
				f.fail("layer_types", "layer %d is %s, and the model has no sliding window", i, slidingAttention)
			}
			if rule != ByLayer && named != sliding {
				f.fail("layer_types", "layer %d is %q: a %s has one kind of layer", i, types[i], c.Architecture)
			}
			sliding = named
		}
		if sliding {
			windows[i], any = window, true
		}
	}
	if any {
		c.Windows = windows
	}
}
