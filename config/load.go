package config

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Load reads the settings for parsed flags and an environment in the form of os.Environ. flags may hold any of
// Register's groups, or be nil. Errors wrap ErrUsage when the user can mend them by writing something else.
func Load(flags *pflag.FlagSet, environ []string) (Config, error) {
	cfg := Default()
	fromEnv, err := envLayer(environ, &cfg.Notes)
	if err != nil {
		return cfg, err
	}
	fromFlags, err := flagLayer(flags)
	if err != nil {
		return cfg, err
	}
	path, _ := fromEnv["config"].(string)
	if p, ok := fromFlags["config"].(string); ok {
		path = p
	}
	fromFile, err := fileLayer(path, &cfg.Notes)
	if err != nil {
		return cfg, err
	}
	fromCredential, err := credentialLayer(environ)
	if err != nil {
		return cfg, err
	}
	if err := cfg.merge(fromFile, fromCredential, fromEnv, fromFlags); err != nil {
		return cfg, err
	}
	if cfg.WorkerID == "" {
		cfg.WorkerID = newWorkerID()
	}
	if cfg.DeregisterURL != "" && cfg.CallbackURL == "" && cfg.HiveURL == "" && cfg.QueenURL == "" {
		cfg.Notes = append(cfg.Notes, "deregister_url has no effect: nobody is told that the worker is there")
	}
	return cfg, cfg.Validate()
}

// merge lays the layers over the defaults, the last on top, and resolves the device.
func (c *Config) merge(layers ...layer) error {
	k := koanf.New(".")
	for _, l := range layers {
		if l["device"] != nil || l["gpu"] != nil {
			// The device settings of one source are one statement; half of an overridden one must not survive.
			k.Delete("device")
			k.Delete("gpu")
		}
		if err := k.Load(l, nil); err != nil {
			return fmt.Errorf("config: %w", err)
		}
	}
	backend := strings.ToLower(k.String("backend"))
	device, note, err := resolveDevice(k.String("device"), k.String("gpu"), backend)
	if err != nil {
		return err
	}
	if note != "" {
		c.Notes = append(c.Notes, note)
	}
	k.Delete("gpu")
	if err := k.Load(layer{"device": device, "backend": backend}, nil); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if err := k.Unmarshal("", c); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return nil
}

// newWorkerID makes the id of a worker that was given none, in the form managers use: worker-<version 4 UUID>.
func newWorkerID() string {
	var u [16]byte
	rand.Read(u[:]) // never fails: crypto/rand ends the program rather than return an error
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("worker-%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
