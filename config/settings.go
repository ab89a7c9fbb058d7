package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrUsage marks an error in what the user wrote; the program prints it with the usage and exits with status 2.
var ErrUsage = errors.New("usage error")

// Group says which commands show a setting as a flag. File and environment may hold every setting for every command,
// so one file serves them all.
type Group uint8

const (
	Common Group = 1 << iota // config file and logs
	Engine                   // the model and how it is computed
	Serve                    // network, orchestrator, requests
)

// kind is how a value is written.
type kind uint8

const (
	text     kind = iota
	secret        // text that is never echoed
	index         // text that a file may also write as a number: device indices
	integer       // a whole number
	autoInt       // a whole number from 0, or auto for 0
	boolean       // true, false
	duration      // a number with its unit
)

// setting is one row of the table: how one value is named and written in all sources.
type setting struct {
	key   string // in the file; see flagName and variable
	kind  kind
	group Group
	alias string // the setting this is another name of
	usage string
}

func (s setting) flagName() string { return strings.ReplaceAll(s.key, "_", "-") }
func (s setting) variable() string { return envPrefix + strings.ToUpper(s.key) }

const envPrefix = "LLORCH_"

// settings holds every setting. cuda_device, metal_device and gpu have no field in Config: foldDevice and
// resolveDevice turn them into device.
var settings = []setting{
	{key: "config", group: Common, usage: "YAML file with settings"},
	{key: "log_format", group: Common, usage: "json, pretty, or auto: pretty on a terminal"},
	{key: "log_level", group: Common, usage: "debug, info, warn or error"},

	{key: "model", group: Engine, usage: "model folder, or a weight file in it"},
	{key: "model_ref", group: Engine, usage: "name of the model as the orchestrator knows it"},
	{key: "backend", group: Engine, usage: "cpu, cuda, metal, or ref: plain Go, slow"},
	{key: "device", kind: index, group: Engine, usage: "index, cpu, cuda:N, metal:N, GPU-N or CPU-N"},
	{key: "gpu", kind: index, group: Engine, usage: "index of the device"},
	{key: "gpu_device", kind: index, group: Engine, alias: "gpu"},
	{key: "cuda_device", kind: index, group: Engine, usage: "same as --device cuda:N"},
	{key: "metal_device", kind: index, group: Engine, usage: "same as --device metal:N"},
	{key: "threads", kind: autoInt, group: Engine, usage: "compute threads, or auto"},
	{key: "max_batch", kind: integer, group: Engine, usage: "sequences computed together"},
	{key: "max_context", kind: autoInt, group: Engine, usage: "tokens of a sequence, or auto: the model's own, at most 4096"},
	{key: "prefill_chunk", kind: autoInt, group: Engine, usage: "prompt tokens computed in one step, or auto"},
	{key: "kv_cache_mb", kind: autoInt, group: Engine, usage: "size of the KV cache in MiB, or auto: from the free memory"},
	{key: "kv_cache_size_mb", kind: autoInt, group: Engine, alias: "kv_cache_mb"},
	{key: "kv_dtype", group: Engine, usage: "number format of the KV cache: f16, bf16, f32, or q8_0 (half the size of f16; head size a multiple of 32)"},
	{key: "quantize", group: Engine, usage: "format that the matrices of a SafeTensors model get while it is loaded: q8_0, q4_0, q4_k_m, or none"},
	{key: "prefix_cache", group: Engine, usage: "compute the common beginning of prompts once: on, or off. A prompt that was computed before answers sooner, which tells who asks that it was"},
	{key: "verify_weights", group: Engine, usage: "check the model's files while loading: off, auto (digests, compared where there is a manifest; no NaN or Inf), require (a manifest), or sha256 (a manifest with SHA-256)"},
	{key: "mlock", kind: boolean, group: Engine, usage: "lock the model in memory"},

	{key: "worker_id", group: Serve, usage: "id told to the orchestrator (generated when not given)"},
	{key: "host", group: Serve, usage: "address to listen on (0.0.0.0, or 127.0.0.1 with --local-mode)"},
	{key: "port", kind: integer, group: Serve, usage: "port to listen on, 1 to 65535"},
	{key: "advertise_host", group: Serve, usage: "host of the address told to the orchestrator (localhost)"},
	{key: "local_mode", kind: boolean, group: Serve, usage: "listen on loopback only"},
	{key: "unix_socket", group: Serve, usage: "absolute path of a Unix socket to listen on, beside --port or instead of it (none)"},
	{key: "tls_cert", group: Serve, usage: "PEM file with the server's certificate; read again when it changes (plain HTTP)"},
	{key: "tls_key", group: Serve, usage: "PEM file with its private key"},
	{key: "tls_client_ca", group: Serve, usage: "PEM file with the authorities of client certificates, which are then asked for (none)"},
	{key: "api_token", kind: secret, group: Serve, usage: "bearer token asked of callers and sent with the callback; better given as LLORCH_API_TOKEN"},
	{key: "api_key", kind: secret, group: Serve, alias: "api_token"},
	{key: "admin_token", kind: secret, group: Serve, usage: "bearer token of /shutdown, /cancel and profiles; better given as LLORCH_ADMIN_TOKEN (the API token)"},
	{key: "cors_origins", group: Serve, usage: "origins of web pages that may use the API, with commas, or *: all (none)"},
	{key: "debug_addr", group: Serve, usage: "loopback host:port for profiles, /debug/pprof/ (none)"},
	{key: "callback_url", group: Serve, usage: "where to tell that the worker is ready; none: standalone"},
	{key: "callback_profile", group: Serve, usage: "body of the callback: v1, v1s, v2, none, or auto: by the URL's path"},
	{key: "callback_timeout", kind: duration, group: Serve, usage: "time for one attempt of the callback"},
	{key: "spawn_window", kind: duration, group: Serve, usage: "how long a failing callback is repeated before the worker gives up; 0s: for ever"},
	{key: "callback_ca", group: Serve, usage: "PEM file of the certificates that orchestrators' must follow from (the system's)"},
	{key: "callback_cert", group: Serve, usage: "PEM file of the certificate shown to orchestrators; with --callback-key"},
	{key: "callback_key", group: Serve, usage: "PEM file of its key"},
	{key: "callback_secret_file", group: Serve, usage: "file with the secret that calls of orchestrators are signed with (not signed)"},
	{key: "deregister_url", group: Serve, usage: "where to tell that the worker drains, and has drained"},
	{key: "register_interval", kind: duration, group: Serve, usage: "how often a registered worker repeats the callback; 0s: never"},
	{key: "hive_url", group: Serve, usage: "address below which POST /v1/heartbeat gets heartbeats"},
	{key: "queen_url", group: Serve, usage: "address below which POST /v1/worker-heartbeat gets heartbeats"},
	{key: "heartbeat_interval", kind: duration, group: Serve, usage: "time between heartbeats"},
	{key: "max_tokens_in", kind: autoInt, group: Serve, usage: "prompt tokens of a request, or auto: what the context holds"},
	{key: "max_tokens_out", kind: integer, group: Serve, usage: "largest max_tokens of a request"},
	{key: "inference_timeout_sec", kind: integer, group: Serve, usage: "seconds a request may take; 0: no limit"},
	{key: "max_queue", kind: integer, group: Serve, usage: "requests that may wait; 0: refuse at once when all slots are busy"},
	{key: "max_queue_tokens", kind: autoInt, group: Serve, usage: "tokens of the requests that wait, prompts and expected answers, or auto: eight times what the cache holds"},
	{key: "overload_status", kind: integer, group: Serve, usage: "HTTP status of a refusal for want of room: 503, or 429 for clients that expect that"},
	{key: "max_body_bytes", kind: integer, group: Serve, usage: "largest request body in bytes"},
	{key: "write_timeout", kind: duration, group: Serve, usage: "time for one write to a stream before its reader is given up"},
	{key: "metrics_compat", group: Serve, usage: "also export metrics under the names of another engine: vllm, or none"},
	{key: "otlp_endpoint", group: Serve, usage: "base address of an OpenTelemetry collector (OTEL_EXPORTER_OTLP_ENDPOINT, else no traces)"},
	{key: "hang_timeout", kind: duration, group: Serve, usage: "time without a step, while requests wait, after which the device is taken to hang; 0s: never"},
	{key: "residency_interval", kind: duration, group: Serve, usage: "how often residency is verified again; 0s: at start only"},
	{key: "drain_timeout", kind: duration, group: Serve, usage: "time for running requests after SIGTERM, SIGINT or /shutdown"},
	{key: "shutdown_timeout", kind: duration, group: Serve, alias: "drain_timeout"},
	{key: "residency_timeout", kind: duration, group: Serve, usage: "how long missing memory or changed model files may last before the worker drains and exits with status 4; 0s: for ever"},
}

// lookup finds a setting by key.
func lookup(key string) (setting, bool) {
	for _, s := range settings {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}

// parse reads a value as a file, a variable or a flag gives it and returns the type of the Config field: string,
// Secret, int, bool or time.Duration. The error does not name the setting: the source does.
func (s setting) parse(v any) (any, error) {
	switch s.kind {
	case secret:
		return parseSecret(v)
	case integer:
		return parseInt(v)
	case autoInt:
		return parseAutoInt(v)
	case boolean:
		return parseBool(v)
	case duration:
		return parseDuration(v)
	case index:
		if n, ok := v.(int); ok {
			return strconv.Itoa(n), nil
		}
	}
	if t, ok := v.(string); ok {
		return t, nil
	}
	return nil, fmt.Errorf("%w: %v is not text: put it in quotes", ErrUsage, v)
}

func parseSecret(v any) (any, error) {
	t, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("%w: the value is not text: put it in quotes", ErrUsage)
	}
	if t == "" {
		return nil, fmt.Errorf("%w: the value is empty: give a token, or leave the setting out", ErrUsage)
	}
	return Secret(t), nil
}

func parseInt(v any) (any, error) {
	switch t := v.(type) {
	case int:
		return t, nil
	case string:
		if n, err := strconv.Atoi(strings.TrimSpace(t)); err == nil {
			return n, nil
		}
		return nil, fmt.Errorf("%w: %q is not a whole number", ErrUsage, t)
	}
	return nil, fmt.Errorf("%w: %v is not a whole number", ErrUsage, v)
}

func parseAutoInt(v any) (any, error) {
	if t, ok := v.(string); ok && strings.EqualFold(t, "auto") {
		return 0, nil
	}
	n, err := parseInt(v)
	if err != nil {
		return nil, fmt.Errorf("%w, or auto", err)
	}
	if n.(int) < 0 {
		return nil, fmt.Errorf("%w: %d is below 0: give a whole number, or auto", ErrUsage, n)
	}
	return n, nil
}

func parseBool(v any) (any, error) {
	switch t := v.(type) {
	case bool:
		return t, nil
	case string:
		if b, err := strconv.ParseBool(strings.ToLower(t)); err == nil {
			return b, nil
		}
		return nil, fmt.Errorf("%w: %q is neither true nor false", ErrUsage, t)
	}
	return nil, fmt.Errorf("%w: %v is neither true nor false", ErrUsage, v)
}

func parseDuration(v any) (any, error) {
	switch t := v.(type) {
	case time.Duration:
		return t, nil
	case string:
		if d, err := time.ParseDuration(t); err == nil {
			return d, nil
		}
	}
	return nil, fmt.Errorf("%w: %v is not a duration: give a number and its unit, as in 5s or 1m30s", ErrUsage, v)
}
