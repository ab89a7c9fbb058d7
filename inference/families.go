package inference

import (
	"maps"
	"slices"

	"llorch/inference/model"
	"llorch/inference/model/llama"
	"llorch/inference/model/mistral"
	"llorch/inference/model/phi3"
	"llorch/inference/model/qwen2"
	"llorch/inference/model/qwen3"
)

// families reads a config by its model_type. A new family is one line here.
var families = map[string]func(file string, config, generation []byte) (model.Config, error){
	"llama":   llamaShaped(llama.Family),
	"mistral": llamaShaped(mistral.Quirks),
	"phi3":    llamaShaped(phi3.Quirks),
	"qwen2":   llamaShaped(qwen2.Quirks),
	"qwen3":   llamaShaped(qwen3.Quirks),
}

// ggufFamilies are the families of GGUF files by general.architecture. Mistral is
// a llama there.
var ggufFamilies = map[string]llama.Quirks{
	"llama": llama.Family,
	"phi3":  phi3.Quirks,
	"qwen2": qwen2.Quirks,
	"qwen3": qwen3.Quirks,
}

func llamaShaped(q llama.Quirks) func(string, []byte, []byte) (model.Config, error) {
	return func(file string, config, generation []byte) (model.Config, error) {
		return llama.ParseConfig(file, config, generation, q)
	}
}

// parseConfig reads a config with the reader of its family.
func parseConfig(file string, config, generation []byte) (model.Config, error) {
	name, err := llama.Architecture(file, config)
	if err != nil {
		return nil, err
	}
	parse, ok := families[name]
	if !ok {
		return nil, llama.UnknownArchitecture(file, name, slices.Sorted(maps.Keys(families)))
	}
	return parse(file, config, generation)
}
