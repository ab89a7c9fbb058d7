package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
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

// checkListeners keeps profiles off the network: they show memory.
func (c Config) checkListeners() error {
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
