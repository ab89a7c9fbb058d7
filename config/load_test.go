package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
)

// load runs Load as the program does; file, if not empty, is the content of the settings file.
func load(t *testing.T, file string, environ, args []string) (Config, error) {
	t.Helper()
	if file != "" {
		environ = append(environ, "LLORCH_CONFIG="+writeFile(t, file, 0o600))
	}
	fs := pflag.NewFlagSet("llorch", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	Register(fs, Common|Engine|Serve)
	if err := fs.Parse(args); err != nil {
		t.Fatalf("parse %q: %v", args, err)
	}
	return Load(fs, environ)
}

func writeFile(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "worker.yaml")
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	file := "port: 1001\nmax_queue: 1001\nthreads: 11\nlog_level: debug\n"
	environ := []string{"LLORCH_PORT=1002", "LLORCH_MAX_QUEUE=1002", "OTHER=1"}
	c, err := load(t, file, environ, []string{"--port", "1003"})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Port, c.MaxQueue, c.Threads, c.LogLevel, c.MaxBatch}
	want := []any{1003, 1002, 11, "debug", Default().MaxBatch} // flag, variable, file, file, default
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFlagNamesFile(t *testing.T) {
	inFlag, inEnv := writeFile(t, "port: 7001\n", 0o600), writeFile(t, "port: 7002\n", 0o600)
	c, err := load(t, "", []string{"LLORCH_CONFIG=" + inEnv}, []string{"--config=" + inFlag})
	if err != nil || c.Port != 7001 || c.File != inFlag {
		t.Errorf("port %d of %s, %v; want 7001 of %s", c.Port, c.File, err, inFlag)
	}
}

// Every setting must be settable in every source, and give the same value there.
func TestEverySettingInEverySource(t *testing.T) {
	sample := map[string]string{
		"log_format": "pretty", "log_level": "warn", "model": "/m", "model_ref": "hf:acme/mini", "backend": "cuda",
		"device": "cuda:2", "gpu": "3", "gpu_device": "3", "cuda_device": "4", "metal_device": "1", "threads": "7",
		"max_batch": "9", "max_context": "512", "prefill_chunk": "64", "kv_cache_mb": "128", "kv_cache_size_mb": "128",
		"kv_dtype": "bf16", "quantize": "q8_0", "prefix_cache": "off", "verify_weights": "sha256", "mlock": "true", "worker_id": "w-17", "host": "10.0.0.1", "port": "8004",
		"advertise_host": "pod.local", "local_mode": "true", "api_token": "s3cret", "api_key": "s3cret",
		"admin_token": "adm1n", "cors_origins": "https://a.example", "debug_addr": "127.0.0.1:6060",
		"otlp_endpoint": "http://collector:4318",
		"unix_socket":   "/run/w.sock", "tls_cert": "/c.pem", "tls_key": "/k.pem", "tls_client_ca": "/ca.pem",
		"callback_url": "http://h/ready", "callback_profile": "v2", "callback_timeout": "7s", "spawn_window": "1m1s",
		"callback_ca": "/ca.pem", "callback_cert": "/cert.pem", "callback_key": "/key.pem", "callback_secret_file": "/secret",
		"deregister_url": "http://h/bye", "register_interval": "9s", "heartbeat_interval": "8s", "hive_url": "http://h:1", "queen_url": "http://q:1", "max_tokens_in": "100", "max_tokens_out": "200",
		"inference_timeout_sec": "33", "max_queue": "0", "max_body_bytes": "4096", "write_timeout": "3s",
		"drain_timeout": "2s", "max_queue_tokens": "5000", "overload_status": "429",
		"hang_timeout": "20s", "residency_interval": "0s", "residency_timeout": "9s", "metrics_compat": "none", "shutdown_timeout": "2s",
	}
	for _, s := range settings {
		if s.key == "config" {
			continue
		}
		value, ok := sample[s.key]
		if !ok {
			t.Fatalf("no sample for %s: add one", s.key)
		}
		base, err := load(t, "worker_id: base\n", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var seen []string
		for _, source := range [][2][]string{
			{nil, {"--" + s.flagName() + "=" + value}},
			{{s.variable() + "=" + value}, nil},
		} {
			c, err := load(t, "", source[0], source[1])
			if err != nil {
				t.Fatalf("%s: %q: %v", s.key, source, err)
			}
			seen = append(seen, settingsOf(c, s))
		}
		c, err := load(t, s.key+": "+value+"\n", nil, nil)
		if err != nil {
			t.Fatalf("%s in the file: %v", s.key, err)
		}
		seen = append(seen, settingsOf(c, s))
		if seen[0] != seen[1] || seen[1] != seen[2] {
			t.Errorf("%s differs by source: flag %s, variable %s, file %s", s.key, seen[0], seen[1], seen[2])
		}
		if seen[0] == settingsOf(base, s) {
			t.Errorf("%s=%s changed nothing", s.key, value)
		}
	}
}

// settingsOf prints a Config without what a test's sources always differ in.
func settingsOf(c Config, s setting) string {
	c.File, c.Notes = "", nil
	if s.key != "worker_id" {
		c.WorkerID = ""
	}
	return fmt.Sprintf("%+v token=%s admin=%s", c, c.APIToken.Reveal(), c.AdminToken.Reveal())
}

func TestTableMatchesStruct(t *testing.T) {
	fields := map[string]bool{}
	for key := range Default().byKey() {
		fields[key] = true
		if _, ok := lookup(key); !ok {
			t.Errorf("Config field %s has no setting", key)
		}
	}
	folded := map[string]bool{"gpu": true, "cuda_device": true, "metal_device": true}
	for _, s := range settings {
		if s.alias == "" && !fields[s.key] && !folded[s.key] {
			t.Errorf("setting %s has no Config field", s.key)
		}
		if s.alias != "" {
			if _, ok := lookup(s.alias); !ok {
				t.Errorf("%s is another name of %s, which does not exist", s.key, s.alias)
			}
		} else if s.usage == "" {
			t.Errorf("%s has no usage text", s.key)
		}
	}
}

// Command lines that managers in the field use.
func TestManagerCommandLines(t *testing.T) {
	for _, line := range []string{
		"--worker-id worker-1f --model /m --gpu-device 0 --port 8004 --callback-url http://localhost:9200/v2/internal/workers/ready",
		"--worker-id=w --model=/m --port=9876 --callback-url=http://localhost:9999",
		"--worker-id worker-cpu-1 --model /m/a.safetensors --backend cpu --port 8001 --gpu 1",
		"--worker-id w --model /m --backend cpu --device 0 --port 8001 --api-key k-1",
		"--worker-id w --model /m --model-ref hf:acme/mini --backend cpu --device 0 --port 8001 --callback-url http://127.0.0.1:9200/v1/workers/ready",
		"--model /m --backend cuda --device 1 --port 8001 --api-key k-1",
		"--worker-id w --model /m --model-ref hf:acme/mini --backend cpu --device 0 --port 8001 --hive-url http://127.0.0.1:9200 --local-mode",
		"--worker-id w --model mini --device GPU-0 --port 9000 --queen-url http://localhost:7833",
		"--worker-id w --model mini --device cpu --port 9000 --queen-url http://localhost:7833",
		"--worker-id w --model /m --port 9000 --hive-url http://h:1 --cuda-device 1",
		"--worker-id w --model /m --port 9000 --device=cpu:0 --gpu-device 0",
		"--worker-id w --model /m --gpu-device 0 --port 9000 --max-tokens-in 100 --max-tokens-out 2048 --inference-timeout-sec 300 --kv-cache-size-mb auto",
		"--model /m --port 9000",
	} {
		c, err := load(t, "", nil, strings.Fields(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
		} else if err := c.ValidateServe(); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestRegisterGroups(t *testing.T) {
	fs := pflag.NewFlagSet("generate", pflag.ContinueOnError)
	Register(fs, Common|Engine)
	if fs.Lookup("model") == nil || fs.Lookup("config") == nil || fs.Lookup("port") != nil {
		t.Error("Common|Engine must hold --model and --config and no --port")
	}
	fs.String("prompt", "", "a command's own flag")
	if err := fs.Parse([]string{"--model", "/m", "--prompt", "x"}); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(fs, []string{"LLORCH_PORT=8004"}); err != nil || c.Model != "/m" || c.Port != 8004 {
		t.Errorf("model %q, port %d, %v", c.Model, c.Port, err)
	}
}

func TestValidateServe(t *testing.T) {
	c, err := load(t, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = c.ValidateServe()
	if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "model is missing") || !strings.Contains(err.Error(), "port is missing") {
		t.Errorf("want model and port named, got %v", err)
	}
}

func TestServeSettingsThatBelongTogether(t *testing.T) {
	for line, want := range map[string]string{
		"--port 1 --tls-cert /c --tls-key /k":                     "",
		"--port 1 --tls-cert /c --tls-key /k --tls-client-ca /a":  "",
		"--port 1 --tls-cert /c":                                  "tls_cert and tls_key belong together",
		"--port 1 --tls-key /k":                                   "tls_cert and tls_key belong together",
		"--port 1 --tls-client-ca /a":                             "needs tls_cert",
		"--unix-socket /s":                                        "",
		"--unix-socket /s --port 1 --callback-url http://h/ready": "",
		"--unix-socket /s --callback-url http://h/ready":          "the orchestrator is told it",
		"": "give --port",
	} {
		c, err := load(t, "", nil, append(strings.Fields(line), "--model=/m"))
		if err != nil {
			t.Fatal(err)
		}
		err = c.ValidateServe()
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
		c.Inherits = true
		if err := c.ValidateServe(); err != nil && strings.Contains(err.Error(), "port") {
			t.Errorf("%s with sockets that were passed on: %v", line, err)
		}
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	large := writeFile(t, strings.Repeat("#", maxFileBytes+1), 0o600)
	for _, path := range []string{filepath.Join(dir, "missing.yaml"), dir, fifo, large} {
		_, err := load(t, "", nil, []string{"--config", path})
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want a usage error with the path", path, err)
		}
	}
}

func TestNotes(t *testing.T) {
	readable := writeFile(t, "api_token: s3cret\n", 0o644)
	c, err := load(t, "", []string{"LLORCH_PROT=1", "LLORCH_MODEL="}, []string{
		"--config", readable, "--deregister-url", "http://h:1", "--device=cpu:0", "--gpu-device=1",
	})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(c.Notes, "\n")
	for _, want := range []string{"LLORCH_PROT is not a setting", "chmod 600", "deregister_url has no effect", "gpu 1 has no effect"} {
		if !strings.Contains(all, want) {
			t.Errorf("no note with %q in:\n%s", want, all)
		}
	}
	if strings.Contains(all, "s3cret") || len(c.Notes) != 4 {
		t.Errorf("notes: %q", c.Notes)
	}
}

func TestHigherSourceReplacesDevice(t *testing.T) {
	c, err := load(t, "cuda_device: 1\ngpu: 1\n", nil, []string{"--device", "metal"})
	if err != nil || c.Device != (Device{Kind: "metal"}) {
		t.Errorf("device %v, %v; want metal:0", c.Device, err)
	}
}

// Half of an overridden device must not contradict the device that overrides it.
func TestHigherSourceReplacesWholeDevice(t *testing.T) {
	c, err := load(t, "device: cuda:1\n", nil, []string{"--gpu", "0"})
	if err != nil || c.Device != (Device{}) {
		t.Errorf("device %v, %v; want index 0 of what is built", c.Device, err)
	}
}

func TestEmptyVariableIsUnset(t *testing.T) {
	c, err := load(t, "port: 7001\n", []string{"LLORCH_PORT=", "LLORCH_API_TOKEN="}, nil)
	if err != nil || c.Port != 7001 || c.APIToken != "" {
		t.Errorf("port %d, token %v, %v", c.Port, c.APIToken, err)
	}
}
