package llama

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"llorch/inference/cputime"
)

func TestConfigRefused(t *testing.T) {
	yarn := func(fields string) string { return `{"rope_type":"yarn","factor":4.0` + fields + `}` }
	llama3 := func(fields string) string { return `{"rope_type":"llama3","factor":8.0` + fields + `}` }
	for _, c := range []struct{ field, name, value, reason string }{
		{"hidden_size", "hidden_size", "0", "0 is not from 1"},
		{"hidden_size", "hidden_size", "-64", "-64 is not from 1"},
		{"hidden_size", "hidden_size", "64.0", "not written as an integer"},
		{"hidden_size", "hidden_size", "6.4e1", "not written as an integer"},
		{"hidden_size", "hidden_size", `"64"`, "a string where an integer"},
		{"hidden_size", "hidden_size", "null", "null where an integer"},
		{"hidden_size", "hidden_size", "true", "a boolean where an integer"},
		{"hidden_size", "hidden_size", "[64]", "an array where an integer"},
		{"hidden_size", "hidden_size", "9223372036854775808", "does not fit"},
		{"hidden_size", "hidden_size", "1099511627776", "is not from 1 to"},
		{"hidden_size", "hidden_size", "60", "not a multiple of the 8 of num_attention_heads"},
		{"num_hidden_layers", "num_hidden_layers", "0", "0 is not from 1"},
		{"num_hidden_layers", "num_hidden_layers", "1000000000", "is not from 1 to"},
		{"intermediate_size", "intermediate_size", "-1", "-1 is not from 1"},
		{"vocab_size", "vocab_size", "0", "0 is not from 1"},
		{"vocab_size", "vocab_size", "4294967296", "is not from 1 to"},
		{"num_attention_heads", "num_attention_heads", "0", "0 is not from 1"},
		{"num_attention_heads", "num_attention_heads", "8.5", "not written as an integer"},
		{"num_key_value_heads", "num_key_value_heads", "0", "0 is not from 1"},
		{"num_key_value_heads", "num_key_value_heads", "16", "16 is more than the 8"},
		{"num_key_value_heads", "num_key_value_heads", "3", "3 does not divide the 8"},
		{"head_dim", "head_dim", "7", "7 is odd"},
		{"head_dim", "head_dim", "0", "0 is not from 1"},
		{"head_dim", "head_dim", "-8", "-8 is not from 1"},
		{"head_dim", "head_dim", "1048576", "times 8 heads"},
		{"max_position_embeddings", "max_position_embeddings", "0", "0 is not from 1"},
		{"max_position_embeddings", "max_position_embeddings", "9223372036854775808", "does not fit"},
		{"max_position_embeddings", "max_position_embeddings", "9223372036854775807", "is not from 1 to"},
		{"max_position_embeddings", "max_position_embeddings", "2147483648", "is not from 1 to"},
		{"rms_norm_eps", "rms_norm_eps", "0", "not above zero"},
		{"rms_norm_eps", "rms_norm_eps", "-1e-5", "not above zero"},
		{"rms_norm_eps", "rms_norm_eps", `"1e-5"`, "a string where a number"},
		{"rms_norm_eps", "rms_norm_eps", "1e999", "beyond the range"},
		{"rms_norm_eps", "rms_norm_eps", "1e-50", "not from 1e-30 to 1e30"},
		{"rope_theta", "rope_theta", "0", "not above zero"},
		{"rope_theta", "rope_theta", "-10000", "not above zero"},
		{"rope_theta", "rope_theta", "1e400", "beyond the range"},
		{"tie_word_embeddings", "tie_word_embeddings", "1", "a number where true or false"},
		{"attention_bias", "attention_bias", `"yes"`, "a string where true or false"},
		{"mlp_bias", "mlp_bias", "0", "a number where true or false"},
		{"hidden_act", "hidden_act", `"gelu"`, `"gelu" is not supported`},
		{"hidden_act", "hidden_act", `["silu"]`, "an array where a string"},
		{"partial_rotary_factor", "partial_rotary_factor", "-1", "not above zero"},
		{"quantization_config", "quantization_config", `{"quant_method":"gptq"}`, "f32, f16 or bf16"},
		{"final_logit_softcapping", "final_logit_softcapping", "30.0", "not supported"},
		{"use_mrope", "use_mrope", "true", "not supported"},
		{"is_encoder_decoder", "is_encoder_decoder", "true", "not supported"},
		{"logits_scaling", "logits_scaling", "8.0", "only 1 is"},
		{"model_type", "model_type", `"mamba"`, `architecture "mamba" is not supported; supported: llama`},
		{"model_type", "model_type", "5", "a number where a string"},
		{"model_type", "model_type", `"` + strings.Repeat("x", 1<<16) + `"`, "not supported"},
		{"rope_scaling", "rope_scaling", `"yarn"`, "a string where an object"},
		{"rope_scaling", "rope_scaling", "4.0", "a number where an object"},
		{"rope_scaling.rope_type", "rope_scaling", `{"rope_type":"dynamic","factor":2.0}`, `"dynamic" is not supported; supported: default, linear, llama3, yarn`},
		{"rope_scaling.rope_type", "rope_scaling", `{"type":"dynamic"}`, `"dynamic" is not supported`},
		{"rope_scaling.short_factor", "rope_scaling", longRoPE("short_factor", ""), "missing, and longrope"},
		{"rope_scaling.long_factor", "rope_scaling", longRoPE("long_factor", "null"), "missing, and longrope"},
		{"rope_scaling.short_factor", "rope_scaling", longRoPE("short_factor", "[1,2]"), "not a list of 4 numbers"},
		{"rope_scaling.long_factor", "rope_scaling", longRoPE("long_factor", "[1,1,1,0]"), "entry 3, 0, is not from"},
		{"rope_scaling.long_factor", "rope_scaling", longRoPE("long_factor", `[1,1,1,"2"]`), "a string where a number"},
		{"rope_scaling.factor", "rope_scaling", longRoPE("factor", "-1"), "not above zero"},
		{"partial_rotary_factor", "partial_rotary_factor", "0.5", "not supported by the llama family"},
		{"rope_scaling.rope_type", "rope_scaling", `{"rope_type":3}`, "a number where a string"},
		{"rope_scaling.factor", "rope_scaling", `{"type":"linear"}`, "missing"},
		{"rope_scaling.factor", "rope_scaling", `{"type":"linear","factor":0}`, "not above zero"},
		{"rope_scaling.factor", "rope_scaling", `{"type":"linear","factor":-2.0}`, "not above zero"},
		{"rope_scaling.factor", "rope_scaling", `{"type":"linear","factor":"2.0"}`, "a string where a number"},
		{"rope_scaling.factor", "rope_scaling", `{"type":"linear","factor":null}`, "null where a number"},
		{"rope_scaling.factor", "rope_scaling", `{"type":"linear","factor":1e999}`, "beyond the range"},
		{"", "rope_scaling", `{"type":"linear","factor":NaN}`, "NaN"},
		{"rope_scaling.factor", "rope_scaling", `{"type":"linear","Factor":2.0}`, "missing"},
		{"rope_scaling.type", "rope_scaling", `{"Type":"linear"}`, `also spelled "Type"`},
		{"rope_scaling.rope_theta", "rope_scaling", `{"type":"linear","factor":2.0,"rope_theta":0}`, "not above zero"},
		{"rope_scaling.partial_rotary_factor", "rope_scaling", `{"rope_type":"default","partial_rotary_factor":0.25}`, "only 1 is"},
		{"rope_scaling.original_max_position_embeddings", "rope_scaling", longRoPE("original_max_position_embeddings", "1"), "too short for longrope"},
		{"rope_parameters.full_attention", "rope_parameters", `{"full_attention":{"rope_type":"default"}}`, "by kind of layer"},
		{"rope_parameters.factor", "rope_parameters", `{"rope_type":"llama3","factor":0.0}`, "not above zero"},
		{"rope_scaling.low_freq_factor", "rope_scaling", llama3(`,"high_freq_factor":4.0`), "missing"},
		{"rope_scaling.high_freq_factor", "rope_scaling", llama3(`,"low_freq_factor":1.0`), "missing"},
		{"rope_scaling.high_freq_factor", "rope_scaling", llama3(`,"low_freq_factor":4.0,"high_freq_factor":4.0`), "not above low_freq_factor"},
		{"rope_scaling.low_freq_factor", "rope_scaling", llama3(`,"low_freq_factor":0,"high_freq_factor":4.0`), "not above zero"},
		{"rope_scaling.original_max_position_embeddings", "rope_scaling", llama3(`,"original_max_position_embeddings":0`), "0 is not from 1"},
		{"rope_scaling.beta_fast", "rope_scaling", yarn(`,"beta_fast":-1`), "negative"},
		{"rope_scaling.beta_fast", "rope_scaling", yarn(`,"beta_fast":1,"beta_slow":2`), "below beta_slow"},
		{"rope_scaling.attention_factor", "rope_scaling", yarn(`,"attention_factor":0`), "not above zero"},
		{"rope_scaling.truncate", "rope_scaling", yarn(`,"truncate":0`), "a number where true or false"},
		{"rope_scaling.mscale", "rope_scaling", yarn(`,"mscale":"1"`), "a string where a number"},
		{"rope_theta", "rope_theta", "\n1", ""}, // replaced below: yarn with theta 1
		{"bos_token_id", "bos_token_id", "512", "not below the 512 of vocab_size"},
		{"bos_token_id", "bos_token_id", "-1", "-1 is not from 0"},
		{"bos_token_id", "bos_token_id", "[1]", "an array where an integer"},
		{"eos_token_id", "eos_token_id", "-1", "-1 is not from 0"},
		{"eos_token_id", "eos_token_id", `"2"`, "a string where an integer"},
		{"eos_token_id", "eos_token_id", "2.0", "not written as an integer"},
		{"eos_token_id", "eos_token_id", "[2,null]", "null where an integer"},
		{"eos_token_id", "eos_token_id", "[[2]]", "an array where an integer"},
		{"eos_token_id", "eos_token_id", "4294967298", "is not from 0"},
		{"eos_token_id", "eos_token_id", "[" + strings.Repeat("2,", 10_000) + "2]", "10001 ids; at most"},
		{"", "eos_token_id", "[" + strings.Repeat("2,", 1_000_000) + "2]", "more than 65536 values"},
		{"layer_types", "layer_types", `["full_attention"]`, "1 entries for the 2 layers"},
		{"layer_types", "layer_types", `["full_attention","sliding_attention"]`, "no sliding window"},
		{"layer_types", "layer_types", `["full_attention","mamba"]`, `"mamba"; known are`},
		{"layer_types", "layer_types", `"full_attention"`, "not a list"},
		{"architectures", "architectures", `"LlamaForCausalLM"`, "not a list"},
		{"hidden_size", "Hidden_Size", "64", `also spelled "Hidden_Size"`},
		{"model_type", "MODEL_TYPE", `"llama"`, `also spelled "MODEL_TYPE"`},
		{"hidden_size", "hidden_ſize", "64", "also spelled"},
		{"", "x", strings.Repeat("[", 1_000_000), "deeper than"},
	} {
		t.Run(c.name+"="+c.value[:min(len(c.value), 40)], func(t *testing.T) {
			changes := []string{c.name, c.value}
			if c.reason == "" {
				changes = []string{"rope_theta", "1", "rope_scaling", yarn("")}
				c.field, c.reason = "rope_scaling.rope_theta", "not above 1"
			}
			_, err := parse(Family, changes...)
			refusedConfig(t, err, configFile, c.field, c.reason)
		})
	}
}

func TestConfigMalformed(t *testing.T) {
	good := string(text())
	for _, c := range []struct{ name, text, reason string }{
		{"empty", "", "ends"},
		{"byte order mark", "\uFEFF" + good, "byte order mark"},
		{"not UTF-8", "{\"a\":\"\xff\"}", "not UTF-8"},
		{"a list", "[]", "an array where an object"},
		{"bytes after", good + "x", "after the value"},
		{"duplicate", strings.Replace(good, "{", `{"hidden_size":32,`, 1), "second time"},
		{"escaped duplicate", strings.Replace(good, "{", `{"hidden\u005fsize":32,`, 1), "second time"},
		{"Infinity", `{"a":Infinity}`, "no value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseConfig(configFile, []byte(c.text), nil, Family)
			refusedConfig(t, err, configFile, "", c.reason)
			_, err = Architecture(configFile, []byte(c.text))
			refusedConfig(t, err, configFile, "", c.reason)
			_, err = ParseConfig(configFile, []byte(good), []byte(c.text), Family)
			refusedConfig(t, err, "some/model/generation_config.json", "", c.reason)
		})
	}
}

func TestGenerationRefused(t *testing.T) {
	for _, c := range []struct{ field, text, reason string }{
		{"eos_token_id", `{"eos_token_id":-1}`, "not from 0"},
		{"eos_token_id", `{"eos_token_id":[1,"2"]}`, "a string where an integer"},
		{"eos_token_id", `{"eos_token_id":1.0}`, "not written as an integer"},
		{"bos_token_id", `{"bos_token_id":512}`, "vocab_size"},
		{"eos_token_id", `{"EOS_token_id":1}`, "also spelled"},
	} {
		_, err := ParseConfig(configFile, text(), []byte(c.text), Family)
		refusedConfig(t, err, "some/model/generation_config.json", c.field, c.reason)
	}
}

// TestConfigBounded: a file of the size that is read at all costs at most a
// second of the processor and 64 MiB, whatever is in it.
func TestConfigBounded(t *testing.T) {
	const size = 4 << 20
	fill := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	body := strings.TrimSuffix(strings.TrimPrefix(string(text()), "{"), "}")
	for _, c := range []struct {
		name, text string
		accepted   bool
	}{
		{"one long string", "{" + body + `,"x":"` + strings.Repeat("x", size) + `"}`, true},
		{"many long keys", "{" + fill(`"hidden_siz%0128d":0,`) + body + "}", true},
		{"more keys than allowed", "{" + fill(`"%d":0,`) + body + "}", false},
		{"a list of lists", "{" + body + `,"x":[` + fill("[%d],") + "0]}", false},
		{"rope_scaling of many keys", "{" + body + `,"rope_scaling":{` + fill(`"facto%0150d":0,`) + `"rope_type":"linear","factor":2}}`, true},
		{"a hundred thousand ends", "{" + strings.ReplaceAll(body, `"eos_token_id":2`, `"eos_token_id":[`+fill("1%030d,")+"1]") + "}", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := cputime.Now()
			_, err := ParseConfig(configFile, []byte(c.text), nil, Family)
			took := cputime.Now() - start
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			t.Logf("%v, %d MB", took, allocated>>20)
			if (err == nil) != c.accepted {
				t.Errorf("got %.200v", err)
			}
			if took > time.Second || allocated > 64<<20 {
				t.Errorf("took %v and %d MB", took, allocated>>20)
			}
		})
	}
}

// longRoPE is a rope_scaling for heads of 8 with one field changed, or left out.
func longRoPE(field, value string) string {
	fields := map[string]string{"rope_type": `"longrope"`, "short_factor": "[1,1,1,2]", "long_factor": "[1,2,3,4]"}
	if fields[field] = value; value == "" {
		delete(fields, field)
	}
	var list []string
	for name, v := range fields {
		list = append(list, fmt.Sprintf("%q:%s", name, v))
	}
	return "{" + strings.Join(list, ",") + "}"
}
