package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
)

// maxTokenBytes is the longest bearer header the contract lets a server accept.
const maxTokenBytes = 8 << 10

// checkTokens refuses a token that no caller could send in a header; it never shows it.
func (c Config) checkTokens() error {
	var errs []error
	for _, t := range []struct{ key, text string }{{"api_token", c.APIToken.Reveal()}, {"admin_token", c.AdminToken.Reveal()}} {
		if len(t.text) > maxTokenBytes {
			errs = append(errs, fmt.Errorf("config: %w: %s has %d bytes, the limit is %d", ErrUsage, t.key, len(t.text), maxTokenBytes))
		}
		if strings.TrimSpace(t.text) != t.text || strings.ContainsFunc(t.text, func(r rune) bool { return r < ' ' || r > '~' }) {
			errs = append(errs, fmt.Errorf("config: %w: %s must be printable ASCII without spaces or line ends around it", ErrUsage, t.key))
		}
	}
	if c.AdminToken != "" && c.AdminToken == c.APIToken {
		errs = append(errs, fmt.Errorf("config: %w: admin_token is the api_token, so it keeps nobody out: give another, or leave it out", ErrUsage))
	}
	return errors.Join(errs...)
}

// maxSocketPath is what an address of a Unix socket holds on Linux, less its final zero; elsewhere it is a little less.
const maxSocketPath = 107

// checkListeners checks addresses beside host and port.
func (c Config) checkListeners() error {
	var errs []error
	// A path that begins otherwise may be an abstract socket, which no file mode protects.
	if p := c.UnixSocket; p != "" && (!filepath.IsAbs(p) || len(p) > maxSocketPath || strings.ContainsFunc(p, unicode.IsControl)) {
		errs = append(errs, fmt.Errorf("config: %w: unix_socket is %.200q: give an absolute path of at most %d bytes", ErrUsage, p, maxSocketPath))
	}
	return errors.Join(append(errs, c.checkDebug())...)
}

// checkTLS checks what belongs together.
func (c Config) checkTLS() error {
	var errs []error
	if (c.TLSCert == "") != (c.TLSKey == "") {
		errs = append(errs, fmt.Errorf("config: %w: tls_cert and tls_key belong together: give both or none", ErrUsage))
	}
	if c.TLSClientCA != "" && c.TLSCert == "" {
		errs = append(errs, fmt.Errorf("config: %w: tls_client_ca asks clients for certificates, which needs tls_cert and tls_key", ErrUsage))
	}
	return errors.Join(errs...)
}

// checkDebug keeps profiles off the network: they show memory.
func (c Config) checkDebug() error {
	if c.DebugAddr == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.DebugAddr)
	n, bad := strconv.Atoi(port)
	if err != nil || bad != nil || n < 0 || n > 65535 {
		return fmt.Errorf("config: %w: debug_addr is %q: give a loopback address and a port, as in 127.0.0.1:6060", ErrUsage, c.DebugAddr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("config: %w: debug_addr %q is not loopback: profiles are for this machine alone, give 127.0.0.1:%s", ErrUsage, c.DebugAddr, port)
	}
	return nil
}

// checkOrigins takes origins as browsers send them.
func (c Config) checkOrigins() error {
	var errs []error
	list := c.Origins()
	for _, o := range list {
		if o == "*" && len(list) == 1 {
			continue
		}
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || o != u.Scheme+"://"+u.Host || strings.Contains(o, "*") {
			errs = append(errs, fmt.Errorf("config: %w: cors_origins has %.200q: give origins as https://host or https://host:port, or * alone", ErrUsage, o))
		}
	}
	return errors.Join(errs...)
}
