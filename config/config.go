package config

import (
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Config is every setting of the worker. The tag is the setting's key in the YAML file (see the package comment for
// the flag and the variable it stands for); what each means to a user is in the table of settings.go.
type Config struct {
	WorkerID string `koanf:"worker_id"` // as the manager knows us; generated as worker-<uuid> when not given
	Model    string `koanf:"model"`     // a folder, or a weight file in it
	ModelRef string `koanf:"model_ref"` // the name the orchestrator gave the model; empty: the caller chooses one
	Backend  string `koanf:"backend"`   // cpu, cuda, metal, ref; empty: what the binary was built for
	Device   Device `koanf:"device"`    // to be bound to what is built by Device.Resolve

	Host          string `koanf:"host"`           // address to listen on; empty: see BindAddress
	Port          int    `koanf:"port"`           // 1 to 65535
	AdvertiseHost string `koanf:"advertise_host"` // host of the address told to the orchestrator; empty: see URI
	LocalMode     bool   `koanf:"local_mode"`     // listen on loopback only
	UnixSocket    string `koanf:"unix_socket"`    // absolute path; empty: none. Beside the port, or instead of it
	TLSCert       string `koanf:"tls_cert"`       // PEM file; empty: plain HTTP
	TLSKey        string `koanf:"tls_key"`        // PEM file
	TLSClientCA   string `koanf:"tls_client_ca"`  // PEM file; empty: clients are not asked for certificates
	APIToken      Secret `koanf:"api_token"`      // asked of callers, sent with the callback; empty: open
	AdminToken    Secret `koanf:"admin_token"`    // asked of callers of admin routes; empty: APIToken
	CORSOrigins   string `koanf:"cors_origins"`   // with commas; see Origins
	DebugAddr     string `koanf:"debug_addr"`     // loopback host:port of the listener for profiles; empty: none

	CallbackURL     string        `koanf:"callback_url"` // empty: standalone
	CallbackProfile string        `koanf:"callback_profile"`
	CallbackTimeout time.Duration `koanf:"callback_timeout"` // of one attempt
	SpawnWindow     time.Duration `koanf:"spawn_window"`     // how long attempts are repeated; 0: for ever

	CallbackCA         string        `koanf:"callback_ca"`          // PEM file; empty: the system's
	CallbackCert       string        `koanf:"callback_cert"`        // PEM file; empty: none is shown
	CallbackKey        string        `koanf:"callback_key"`         // PEM file
	CallbackSecretFile string        `koanf:"callback_secret_file"` // empty: calls are not signed
	DeregisterURL      string        `koanf:"deregister_url"`       // empty: nobody hears of the drain
	RegisterInterval   time.Duration `koanf:"register_interval"`    // 0: the callback is not repeated
	HiveURL            string        `koanf:"hive_url"`             // empty: no heartbeat of this kind
	QueenURL           string        `koanf:"queen_url"`            // the same
	HeartbeatInterval  time.Duration `koanf:"heartbeat_interval"`

	MaxTokensIn         int    `koanf:"max_tokens_in"`         // prompt tokens of a request; 0: what the context holds
	MaxTokensOut        int    `koanf:"max_tokens_out"`        // largest max_tokens of a request
	InferenceTimeoutSec int    `koanf:"inference_timeout_sec"` // a request's time in seconds; 0: no limit
	MaxBatch            int    `koanf:"max_batch"`             // sequences in a step
	MaxQueue            int    `koanf:"max_queue"`             // requests waiting beyond those running; 0: none
	MaxQueueTokens      int    `koanf:"max_queue_tokens"`      // tokens of those; 0: the engine's choice
	OverloadStatus      int    `koanf:"overload_status"`       // of a refusal for want of room: 503, 429
	MaxContext          int    `koanf:"max_context"`           // tokens; 0: the model's own
	PrefillChunk        int    `koanf:"prefill_chunk"`         // prompt tokens in a step; 0: the engine's choice
	KVCacheMB           int    `koanf:"kv_cache_mb"`           // MiB; 0: from the memory plan
	KVDType             string `koanf:"kv_dtype"`              // f16, bf16, f32, q8_0
	Threads             int    `koanf:"threads"`               // 0: the backend's choice
	Quantize            string `koanf:"quantize"`              // none, q8_0, q4_0, q4_k_m
	PrefixCache         string `koanf:"prefix_cache"`          // on, off
	VerifyWeights       string `koanf:"verify_weights"`        // off, auto, require, sha256
	MLock               bool   `koanf:"mlock"`

	HangTimeout       time.Duration `koanf:"hang_timeout"`       // without a step while work waits; 0: not watched
	ResidencyInterval time.Duration `koanf:"residency_interval"` // 0: verified at start only
	DrainTimeout      time.Duration `koanf:"drain_timeout"`      // for running requests after the first signal
	ResidencyTimeout  time.Duration `koanf:"residency_timeout"`  // of a loss, then exit status 4; 0: for ever
	WriteTimeout      time.Duration `koanf:"write_timeout"`      // of one write to a stream
	MaxBodyBytes      int           `koanf:"max_body_bytes"`     // of a request
	MetricsCompat     string        `koanf:"metrics_compat"`     // vllm, none

	OTLPEndpoint string `koanf:"otlp_endpoint"` // base address of an OpenTelemetry collector; empty: the standard variables decide

	LogFormat string `koanf:"log_format"` // json, pretty, auto
	LogLevel  string `koanf:"log_level"`  // debug, info, warn, error
	File      string `koanf:"config"`     // the file that was read; empty: none

	// Inherits says that a service manager has passed sockets on, so that no port need be named. The caller of Load sets it.
	Inherits bool `koanf:"-"`

	// Notes tell what was accepted without effect, one sentence each, to be logged once at start. They hold no secret.
	Notes []string `koanf:"-"`
}

// Default returns the settings of a worker that was told nothing.
func Default() Config {
	return Config{
		CallbackProfile:     "auto",
		CallbackTimeout:     5 * time.Second,
		SpawnWindow:         60 * time.Second,
		HeartbeatInterval:   30 * time.Second,
		MaxTokensOut:        2048,
		InferenceTimeoutSec: 300,
		MaxBatch:            16,
		MaxQueue:            64,
		KVDType:             "f16",
		Quantize:            "none",
		PrefixCache:         "on",
		VerifyWeights:       "auto",
		HangTimeout:         15 * time.Second,
		ResidencyInterval:   60 * time.Second,
		OverloadStatus:      503,
		DrainTimeout:        4 * time.Second,
		ResidencyTimeout:    2 * time.Minute,
		WriteTimeout:        10 * time.Second,
		MaxBodyBytes:        2 << 20,
		MetricsCompat:       "vllm",
		LogFormat:           "auto",
		LogLevel:            "info",
	}
}

// BindAddress is the host:port to listen on: Host if given, else loopback in local mode, else every address.
func (c Config) BindAddress() string {
	host := c.Host
	switch {
	case host != "":
	case c.LocalMode:
		host = "127.0.0.1"
	default:
		host = "0.0.0.0"
	}
	return net.JoinHostPort(host, strconv.Itoa(c.Port))
}

// URI is the worker's base address as told to the orchestrator: AdvertiseHost if given, else the one address it
// listens on, else localhost (the pool manager that spawned it is on the same host). With TLS it is https.
func (c Config) URI() string {
	host := c.AdvertiseHost
	if ip := net.ParseIP(c.Host); host == "" && c.Host != "" && (ip == nil || !ip.IsUnspecified()) {
		host = c.Host
	}
	if host == "" {
		host = "localhost"
	}
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(c.Port))
}

// Announced tells whether an orchestrator is told where the worker is reached.
func (c Config) Announced() bool {
	return c.CallbackURL != "" || c.HiveURL != "" || c.QueenURL != "" || c.DeregisterURL != ""
}

// Origins are those of web pages that may use the API: scheme://host[:port], or one *.
func (c Config) Origins() []string {
	if c.CORSOrigins == "" {
		return nil
	}
	list := strings.Split(c.CORSOrigins, ",")
	for i := range list {
		list[i] = strings.ToLower(strings.TrimSpace(list[i])) // as browsers send them
	}
	return list
}

// InferenceTimeout is the time a request may take; 0: no limit.
func (c Config) InferenceTimeout() time.Duration {
	return time.Duration(c.InferenceTimeoutSec) * time.Second
}

// LogValue lists every setting by its key, without secrets: the token prints as "[set]" and addresses lose their user
// part and query.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for key, v := range c.byKey() {
		switch key {
		case "otlp_endpoint", "callback_url", "deregister_url", "hive_url", "queen_url":
			v = redactURL(v.(string))
		}
		attrs = append(attrs, slog.Any(key, v))
	}
	return slog.GroupValue(attrs...)
}

// byKey walks the settings in the order of the struct.
func (c Config) byKey() func(yield func(string, any) bool) {
	v := reflect.ValueOf(c)
	return func(yield func(string, any) bool) {
		for i := range v.NumField() {
			key := v.Type().Field(i).Tag.Get("koanf")
			if key != "-" && !yield(key, v.Field(i).Interface()) {
				return
			}
		}
	}
}

func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "[unreadable]" // the text itself may hold a password
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// Secret is text that does not print: every usual way to format it shows whether it is set and nothing else.
type Secret string

const secretSet = "[set]"

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return secretSet
}

func (s Secret) GoString() string             { return strconv.Quote(s.String()) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(s.String()) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
