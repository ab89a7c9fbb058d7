package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
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
		f.Hidden = f.Name != "port" && f.Name != "host" && f.Name != "config" // the rest is for those who pass serve's flags
	})
	c.Flags().BoolVar(&live, "live", false, "ask GET /live: whether the process answers, ready or not")
	c.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait for the answer")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := config.Load(c.Flags(), p.Environ)
		if err != nil {
			return err
		}
		if cfg.Port == 0 {
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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+localAddress(cfg)+path, nil)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	// No proxy: the worker is here.
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
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
