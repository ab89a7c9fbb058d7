package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"llorch/config"
)

const (
	healthPatience = time.Second // of the probe, as long as container runtimes and managers wait
	healthBytes    = 4 << 10     // of an answer that is shown
)

// healthCommand is a probe for containers, whose images hold no curl. It finds
// the worker by the worker's own settings.
func healthCommand(p *Program) *cobra.Command {
	var live bool
	timeout := healthPatience
	c := &cobra.Command{
		Use: "health", Short: "ask the worker on this machine whether it is ready; the exit status is the answer", Args: noArgs,
		Long: "Asks GET /ready of the worker that has these settings, from flags, file or environment, and prints what it answers.\n" +
			"Exit status 0: ready; 1: not ready, or nobody answered.",
		Example: "  llorch-cpu health --port 8080",
	}
	config.Register(c.Flags(), config.Common|config.Serve)
	c.Flags().VisitAll(func(f *pflag.Flag) {
		// The rest is there for those who pass the same flags to both.
		f.Hidden = !slices.Contains([]string{"config", "host", "port", "unix-socket", "tls-cert", "tls-key"}, f.Name)
	})
	c.Flags().BoolVar(&live, "live", false, "ask GET /live: whether the process answers, ready or not")
	c.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait for the answer")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := config.Load(c.Flags(), p.Environ)
		if err != nil {
			return err
		}
		if cfg.Port == 0 && cfg.UnixSocket == "" {
			return usagef("port is missing: give --port or LLORCH_PORT, as the worker has it")
		}
		path := "/ready"
		if live {
			path = "/live"
		}
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		return askHealth(ctx, cfg, path, p.Stdout)
	}
	return c
}

// askHealth copies the worker's answer to out; any but 200 is an error.
func askHealth(ctx context.Context, cfg config.Config, path string, out io.Writer) error {
	base, transport := localWorker(cfg)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, healthBytes))
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	println(out, "%s", bytes.TrimSpace(body))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s answered %d", path, resp.StatusCode)
	}
	return nil
}

// localWorker is how the worker is reached from its own machine: past any
// proxy, and by its Unix socket if it has no port.
func localWorker(cfg config.Config) (base string, transport *http.Transport) {
	transport = &http.Transport{DisableKeepAlives: true}
	switch {
	case cfg.Port == 0:
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", cfg.UnixSocket)
		}
		return "http://localhost", transport
	case cfg.TLSCert != "":
		// Its certificate is for the name that others use, and nothing secret is sent.
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // see above
		return "https://" + localAddress(cfg), transport
	}
	return "http://" + localAddress(cfg), transport
}

// localAddress is where the worker is reached from its own machine.
func localAddress(cfg config.Config) string {
	host := cfg.Host
	switch ip := net.ParseIP(host); {
	case host == "" || ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, strconv.Itoa(cfg.Port))
}
