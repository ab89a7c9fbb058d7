package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// minHangTimeout is below what any step takes that is worth waiting for, and far above the detector's own resolution.
const minHangTimeout = 100 * time.Millisecond

// minCallInterval keeps a mistyped interval from becoming a flood of calls.
const minCallInterval = 100 * time.Millisecond

// Validate checks every value by itself and against the others, and returns all that is wrong, one line each. Each
// error wraps ErrUsage and names the setting.
func (c Config) Validate() error {
	return errors.Join(c.checkNumbers(), c.checkWords(), c.checkNetwork(), c.checkURLs(), c.checkTokens(), c.checkListeners(), c.checkOrigins())
}

// ValidateServe is Validate for a worker about to serve: it also asks for a model, a place to
// listen and a whole certificate.
func (c Config) ValidateServe() error {
	var missing error
	if c.Model == "" {
		missing = fmt.Errorf("config: %w: model is missing: give --model <folder or weight file>", ErrUsage)
	}
	if c.Port == 0 && !c.Inherits {
		switch {
		case c.UnixSocket == "":
			missing = errors.Join(missing, fmt.Errorf("config: %w: port is missing: give --port with 1 to 65535", ErrUsage))
		case c.Announced():
			missing = errors.Join(missing, fmt.Errorf("config: %w: port is missing: the orchestrator is told it, give --port", ErrUsage))
		}
	}
	if (c.CallbackCert == "") != (c.CallbackKey == "") {
		missing = errors.Join(missing, fmt.Errorf("config: %w: callback_cert and callback_key go together: give both or none", ErrUsage))
	}
	return errors.Join(missing, c.checkTLS(), c.Validate())
}

func (c Config) checkNumbers() error {
	var errs []error
	within := func(key string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("config: %w: %s is %d: give %d to %d", ErrUsage, key, v, low, high))
		}
	}
	const many = 1 << 30 // keeps later size arithmetic far from overflow
	within("port", c.Port, 0, 65535)
	within("max_tokens_in", c.MaxTokensIn, 0, many)
	within("max_tokens_out", c.MaxTokensOut, 1, many)
	within("inference_timeout_sec", c.InferenceTimeoutSec, 0, 7*24*3600)
	within("max_batch", c.MaxBatch, 1, 4096)
	within("max_queue", c.MaxQueue, 0, 1<<20)
	within("max_queue_tokens", c.MaxQueueTokens, 0, many)
	if c.OverloadStatus != 503 && c.OverloadStatus != 429 {
		errs = append(errs, fmt.Errorf("config: %w: overload_status is %d: give 503, which pool clients know, or 429", ErrUsage, c.OverloadStatus))
	}
	within("max_context", c.MaxContext, 0, many)
	if c.MaxContext == 1 {
		errs = append(errs, fmt.Errorf("config: %w: max_context is 1: give 2 or more, for a token of prompt and one of answer, or auto", ErrUsage))
	}
	within("prefill_chunk", c.PrefillChunk, 0, many)
	within("kv_cache_mb", c.KVCacheMB, 0, 1<<26)
	within("threads", c.Threads, 0, 1024)
	within("max_body_bytes", c.MaxBodyBytes, 1024, many)
	if c.CallbackTimeout <= 0 || c.WriteTimeout <= 0 {
		errs = append(errs, fmt.Errorf("config: %w: callback_timeout and write_timeout must be above 0 (are %v, %v)",
			ErrUsage, c.CallbackTimeout, c.WriteTimeout))
	}
	if c.SpawnWindow < 0 || c.ResidencyInterval < 0 || c.ResidencyTimeout < 0 || c.DrainTimeout < 0 {
		errs = append(errs, fmt.Errorf("config: %w: spawn_window, residency_interval, residency_timeout and drain_timeout cannot be below 0 (are %v, %v, %v, %v)",
			ErrUsage, c.SpawnWindow, c.ResidencyInterval, c.ResidencyTimeout, c.DrainTimeout))
	}
	if c.HeartbeatInterval < minCallInterval || c.RegisterInterval != 0 && c.RegisterInterval < minCallInterval {
		errs = append(errs, fmt.Errorf("config: %w: heartbeat_interval and register_interval are %v and %v: give %v or more; register_interval may be 0s for never",
			ErrUsage, c.HeartbeatInterval, c.RegisterInterval, minCallInterval))
	}
	if c.HangTimeout != 0 && c.HangTimeout < minHangTimeout {
		errs = append(errs, fmt.Errorf("config: %w: hang_timeout is %v: give %v or more, or 0s for none", ErrUsage, c.HangTimeout, minHangTimeout))
	}
	return errors.Join(errs...)
}

func (c Config) checkWords() error {
	var errs []error
	oneOf := func(key, v string, words ...string) {
		if !slices.Contains(words, v) {
			errs = append(errs, fmt.Errorf("config: %w: %s is %q: give %s", ErrUsage, key, v, strings.Join(words, ", ")))
		}
	}
	if c.Backend != "" {
		oneOf("backend", c.Backend, "cpu", "cuda", "metal", "ref")
	}
	oneOf("kv_dtype", c.KVDType, "f16", "bf16", "f32", "q8_0")
	oneOf("quantize", c.Quantize, "none", "q8_0", "q4_0", "q4_k_m")
	oneOf("prefix_cache", c.PrefixCache, "on", "off")
	oneOf("verify_weights", c.VerifyWeights, "off", "auto", "require", "sha256")
	oneOf("callback_profile", c.CallbackProfile, "auto", "v1", "v1s", "v2", "none")
	oneOf("metrics_compat", c.MetricsCompat, "vllm", "none")
	oneOf("log_format", c.LogFormat, "auto", "json", "pretty")
	oneOf("log_level", c.LogLevel, "debug", "info", "warn", "error")
	for _, name := range []struct {
		key, value string
		limit      int
	}{{"worker_id", c.WorkerID, 256}, {"model_ref", c.ModelRef, 512}, {"model", c.Model, 4096}} {
		// They go into log lines and JSON bodies, where a control character is somebody else's line.
		if len(name.value) > name.limit || !utf8.ValidString(name.value) || strings.ContainsFunc(name.value, unicode.IsControl) {
			errs = append(errs, fmt.Errorf("config: %w: %s %.64q: give at most %d bytes of text without control characters",
				ErrUsage, name.key, name.value, name.limit))
		}
	}
	return errors.Join(errs...)
}

func (c Config) checkNetwork() error {
	var errs []error
	for _, h := range []struct{ key, value string }{{"host", c.Host}, {"advertise_host", c.AdvertiseHost}} {
		if h.value != "" && net.ParseIP(h.value) == nil && !isHostname(h.value) {
			errs = append(errs, fmt.Errorf("config: %w: %s is %q: give a host name or an address alone, without scheme, port or brackets",
				ErrUsage, h.key, h.value))
		}
	}
	ip := net.ParseIP(c.Host)
	if c.LocalMode && c.Host != "" && c.Host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		errs = append(errs, fmt.Errorf("config: %w: local_mode listens on loopback only, host is %s: give one of them", ErrUsage, c.Host))
	}
	return errors.Join(errs...)
}

// isHostname tells letters, digits, dots, hyphens and underscores from everything else; whether the name resolves is
// found out by binding to it.
func isHostname(s string) bool {
	return len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".-_", r)
	})
}

func (c Config) checkURLs() error {
	var errs []error
	for _, a := range []struct{ key, value string }{
		{"otlp_endpoint", c.OTLPEndpoint},
		{"callback_url", c.CallbackURL}, {"deregister_url", c.DeregisterURL}, {"hive_url", c.HiveURL}, {"queen_url", c.QueenURL},
	} {
		if a.value == "" {
			continue
		}
		u, err := url.Parse(a.value)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			// The text may hold a password, so only its readable part is shown.
			errs = append(errs, fmt.Errorf("config: %w: %s %s is not an http:// or https:// address with a host",
				ErrUsage, a.key, redactURL(a.value)))
		}
	}
	return errors.Join(errs...)
}

// nearest suggests the setting a mistyped key may have meant.
func nearest(key string) string {
	best, at := "", 3 // more than two slips apart is another word
	for _, s := range settings {
		if d := distance(strings.ReplaceAll(strings.ToLower(key), "-", "_"), s.key); d < at {
			best, at = s.key, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// distance is the Levenshtein distance of two short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
