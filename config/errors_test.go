package config

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestUsageErrors(t *testing.T) {
	long := strings.Repeat("x", maxTokenBytes+1)
	for _, tc := range []struct {
		name, file    string
		environ, args []string
		want          string // in the message
	}{
		{"port too large", "", nil, []string{"--port", "70000"}, "port is 70000: give 0 to 65535"},
		{"port below 0", "port: -1\n", nil, nil, "port is -1"},
		{"port in words", "", []string{"LLORCH_PORT=http"}, nil, `LLORCH_PORT: usage error: "http" is not a whole number`},
		{"port a fraction", "port: 80.5\n", nil, nil, "worker.yaml: port: usage error: 80.5"},
		{"port a list", "port: [1, 2]\n", nil, nil, "port"},
		{"unknown key", "callbak_url: http://h\n", nil, nil, `unknown key "callbak_url" (did you mean callback_url?)`},
		{"key spelled as a flag", "max-queue: 1\n", nil, nil, `"max-queue" (did you mean max_queue?)`},
		{"nested key", "callback:\n  url: http://h\n", nil, nil, `unknown key "callback.url"`},
		{"key without value", "model:\n", nil, nil, "model has no value"},
		{"key given twice", "port: 1\nport: 2\n", nil, nil, "worker.yaml"},
		{"not YAML", "port: [\n", nil, nil, "worker.yaml"},
		{"YAML without keys", "- port\n", nil, nil, "worker.yaml"},
		{"file names a file", "config: b.yaml\n", nil, nil, "cannot name another"},
		{"number for a name", "worker_id: 0017\n", nil, nil, "put it in quotes"},
		{"bare duration", "callback_timeout: 5\n", nil, nil, "callback_timeout: usage error: 5 is not a duration: give a number and its unit"},
		{"bare duration in the environment", "", []string{"LLORCH_SPAWN_WINDOW=60"}, nil, "LLORCH_SPAWN_WINDOW"},
		{"no duration", "", nil, []string{"--callback-timeout=0s"}, "must be above 0"},
		{"truth", "", []string{"LLORCH_MLOCK=maybe"}, nil, `"maybe" is neither true nor false`},
		{"negative cache", "kv_cache_mb: -1\n", nil, nil, "give a whole number, or auto"},
		{"kv dtype", "", nil, []string{"--kv-dtype", "f8"}, `kv_dtype is "f8": give f16, bf16, f32, q8_0`},
		{"backend", "", nil, []string{"--backend", "vulkan"}, "backend"},
		{"profile", "", nil, []string{"--callback-profile", "v9"}, "callback_profile"},
		{"metrics compat", "", nil, []string{"--metrics-compat", "sglang"}, `metrics_compat is "sglang": give vllm, none`},
		{"prefix cache", "", nil, []string{"--prefix-cache", "yes"}, `prefix_cache is "yes": give on, off`},
		{"verify weights", "", nil, []string{"--verify-weights", "no"}, `verify_weights is "no": give off, auto, require, sha256`},
		{"log format", "", []string{"LLORCH_LOG_FORMAT=xml"}, nil, "log_format"},
		{"log level", "", nil, []string{"--log-level", "trace"}, "log_level"},
		{"context of one token", "", nil, []string{"--max-context", "1"}, "max_context is 1: give 2 or more"},
		{"overload status", "", nil, []string{"--overload-status", "500"}, "overload_status is 500: give 503, which pool clients know, or 429"},
		{"queue tokens", "max_queue_tokens: -1\n", nil, nil, "give a whole number, or auto"},
		{"two times for a drain", "", nil, []string{"--drain-timeout", "1s", "--shutdown-timeout", "2s"}, "contradict each other"},
		{"no output", "", nil, []string{"--max-tokens-out", "0"}, "max_tokens_out is 0: give 1 to"},
		{"callback scheme", "", nil, []string{"--callback-url", "ftp://h/ready"}, "callback_url ftp://h/ready is not an http:// or https://"},
		{"collector without a scheme", "", nil, []string{"--otlp-endpoint", "collector:4318"}, "otlp_endpoint"},
		{"callback host", "", nil, []string{"--callback-url", "http:///ready"}, "callback_url"},
		{"callback address alone", "", nil, []string{"--callback-url", "localhost:9200/ready"}, "callback_url"},
		{"host with port", "", nil, []string{"--host", "0.0.0.0:80"}, "host is"},
		{"advertised address", "", nil, []string{"--advertise-host", "http://h"}, "advertise_host is"},
		{"local mode on a public address", "", nil, []string{"--local-mode", "--host", "10.0.0.1"}, "loopback only"},
		{"worker id with a line end", "", nil, []string{"--worker-id", "a\nb"}, "worker_id"},
		{"worker id too long", "", nil, []string{"--worker-id", strings.Repeat("w", 257)}, "256 bytes"},
		{"empty token", "", nil, []string{"--api-key", ""}, "--api-key: usage error: the value is empty"},
		{"token with a line end", "", []string{"LLORCH_API_TOKEN=hidden\nx"}, nil, "printable ASCII"},
		{"token too long", "", []string{"LLORCH_API_TOKEN=" + long}, nil, "8193 bytes"},
		{"tokens differ", "", nil, []string{"--api-key", "hidden1", "--api-token", "hidden2"}, "contradict each other"},
		{"admin token with a line end", "", []string{"LLORCH_ADMIN_TOKEN=hidden\nx"}, nil, "admin_token must be printable ASCII"},
		{"admin token is the token", "", nil, []string{"--api-token", "hidden", "--admin-token", "hidden"}, "admin_token is the api_token"},
		{"profiles for the network", "", nil, []string{"--debug-addr", "0.0.0.0:6060"}, "give 127.0.0.1:6060"},
		{"profiles without a port", "", nil, []string{"--debug-addr", "127.0.0.1"}, "debug_addr"},
		{"profiles on a name", "", nil, []string{"--debug-addr", "worker.example:6060"}, "not loopback"},
		{"relative socket", "", nil, []string{"--unix-socket", "w.sock"}, "unix_socket is \"w.sock\": give an absolute path"},
		{"abstract socket", "", nil, []string{"--unix-socket", "@w"}, "absolute path"},
		{"long socket", "", nil, []string{"--unix-socket", "/" + strings.Repeat("x", 107)}, "at most 107 bytes"},
		{"origin with a path", "", nil, []string{"--cors-origins", "https://a.example/app"}, "cors_origins has"},
		{"origin without a scheme", "", nil, []string{"--cors-origins", "https://b.example,a.example"}, `cors_origins has "a.example"`},
		{"origin null", "", nil, []string{"--cors-origins", "null"}, "cors_origins"},
		{"all origins and one", "", nil, []string{"--cors-origins", "*,https://a.example"}, `cors_origins has "*"`},
		{"caches differ", "", nil, []string{"--kv-cache-mb=1", "--kv-cache-size-mb=2"}, "--kv-cache-mb and --kv-cache-size-mb contradict"},
		{"device", "", nil, []string{"--device", "tpu:0"}, `"tpu:0" is not a device`},
		{"device and cuda device", "", nil, []string{"--device=cpu", "--cuda-device=0"}, "--cuda-device 0 contradicts device cpu"},
		{"backend and device", "", nil, []string{"--device=cpu", "--backend=cuda"}, "device cpu contradicts backend cuda"},
		{"GPU on the CPU", "", nil, []string{"--device=GPU-0", "--backend=cpu"}, "contradicts backend cpu"},
		{"gpu and device", "", nil, []string{"--device=cuda:1", "--gpu=0"}, "gpu 0 contradicts device cuda:1"},
		{"gpu and gpu device", "", nil, []string{"--gpu=1", "--gpu-device=0"}, "--gpu and --gpu-device contradict"},
		{"two kinds", "", nil, []string{"--cuda-device=0", "--metal-device=0"}, "contradicts"},
	} {
		_, err := load(t, tc.file, tc.environ, tc.args)
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want a usage error with %q", tc.name, err, tc.want)
		} else if strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), long) {
			t.Errorf("%s: the error shows the token: %v", tc.name, err)
		}
	}
}

// A device index below zero is no usage error: the program ends with status 1, as for one that is too large.
func TestNegativeDevices(t *testing.T) {
	for _, arg := range []string{"--device=-1", "--device=cuda:-1", "--cuda-device=-1", "--gpu=-1", "--gpu-device=-1"} {
		_, err := load(t, "", nil, []string{arg})
		if err == nil || errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "device indices count from 0: give 0") {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

func TestFlagParseErrors(t *testing.T) {
	for _, args := range [][]string{
		{"--no-such-flag"}, {"--port"}, {"--port", "x"}, {"--threads", "many"}, {"--threads=-1"}, {"--callback-timeout", "5"},
	} {
		fs := pflag.NewFlagSet("llorch", pflag.ContinueOnError)
		fs.SetOutput(io.Discard)
		Register(fs, Common|Engine|Serve)
		if fs.Parse(args) == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}
