package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCredential(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		environ []string
		want    string
		bad     string // part of the error
	}{
		"token":               {content: "s3cret", want: "s3cret"},
		"line end":            {content: "s3cret\r\n", want: "s3cret"},
		"variable wins":       {content: "s3cret", environ: []string{"LLORCH_API_TOKEN=other"}, want: "other"},
		"empty":               {content: "\n", bad: "api-token"},
		"two lines":           {content: "a\nb\n", bad: "printable"},
		"not a settings file": {content: strings.Repeat("x", maxFileBytes+1), bad: "larger than"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "api-token"), []byte(c.content), 0o400); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(nil, append(c.environ, "CREDENTIALS_DIRECTORY="+dir))
		if c.bad != "" {
			if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), c.bad) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: %.200v, want a usage error with %q", name, err, c.bad)
			}
			continue
		}
		if err != nil || cfg.APIToken.Reveal() != c.want {
			t.Errorf("%s: %q %v, want %q", name, cfg.APIToken.Reveal(), err, c.want)
		}
	}
}

func TestAdminCredential(t *testing.T) {
	dir := t.TempDir()
	for name, token := range map[string]string{"api-token": "one\n", "admin-token": "two\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(token), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := Load(nil, []string{"CREDENTIALS_DIRECTORY=" + dir})
	if err != nil || cfg.APIToken.Reveal() != "one" || cfg.AdminToken.Reveal() != "two" {
		t.Errorf("%q and %q, %v", cfg.APIToken.Reveal(), cfg.AdminToken.Reveal(), err)
	}
}

func TestCredentialsOfTLS(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"CREDENTIALS_DIRECTORY=" + dir, "LLORCH_MODEL=m", "LLORCH_PORT=1"}
	write("tls-key")
	cfg, err := Load(nil, environ)
	if err == nil {
		err = cfg.ValidateServe()
	}
	if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "belong together") {
		t.Errorf("a key without a certificate: %v", err)
	}
	write("tls-cert")
	write("tls-client-ca")
	cfg, err = Load(nil, append(environ, "LLORCH_TLS_CLIENT_CA=/other"))
	if err != nil || cfg.TLSKey != filepath.Join(dir, "tls-key") || cfg.TLSCert != filepath.Join(dir, "tls-cert") || cfg.TLSClientCA != "/other" {
		t.Errorf("%q %q %q %v", cfg.TLSCert, cfg.TLSKey, cfg.TLSClientCA, err)
	}
}

func TestOrigins(t *testing.T) {
	for text, want := range map[string]string{"": "", "*": "*", "https://A.example, http://b:8080": "https://a.example http://b:8080"} {
		if got := strings.Join(Config{CORSOrigins: text}.Origins(), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestNoCredential(t *testing.T) {
	for _, environ := range [][]string{nil, {"CREDENTIALS_DIRECTORY="}, {"CREDENTIALS_DIRECTORY=" + t.TempDir()}, {"CREDENTIALS_DIRECTORY=/nonexistent"}} {
		if cfg, err := Load(nil, environ); err != nil || cfg.APIToken != "" {
			t.Errorf("%q: %q %v", environ, cfg.APIToken.Reveal(), err)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "api-token"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(nil, []string{"CREDENTIALS_DIRECTORY=" + dir}); !errors.Is(err, ErrUsage) {
		t.Errorf("a folder as the credential: %v", err)
	}
}

func TestHangTimeout(t *testing.T) {
	for value, ok := range map[string]bool{"0s": true, "15s": true, "100ms": true, "99ms": false, "-1s": false} {
		if _, err := Load(nil, []string{"LLORCH_HANG_TIMEOUT=" + value}); (err == nil) != ok {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// The secret of signatures is kept as a path: the file is read again at each call.
func TestCallbackSecretCredential(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "callback-secret")
	if err := os.WriteFile(path, []byte("not read here"), 0o400); err != nil {
		t.Fatal(err)
	}
	environ := []string{"CREDENTIALS_DIRECTORY=" + dir}
	if cfg, err := Load(nil, environ); err != nil || cfg.CallbackSecretFile != path {
		t.Errorf("%q %v, want %s", cfg.CallbackSecretFile, err, path)
	}
	if cfg, err := Load(nil, append(environ, "LLORCH_CALLBACK_SECRET_FILE=/other")); err != nil || cfg.CallbackSecretFile != "/other" {
		t.Errorf("%q %v, want the variable's", cfg.CallbackSecretFile, err)
	}
}

func TestRegistrationSettings(t *testing.T) {
	for setting, ok := range map[string]bool{
		"SPAWN_WINDOW=0s": true, "SPAWN_WINDOW=-1s": false, "HEARTBEAT_INTERVAL=100ms": true, "HEARTBEAT_INTERVAL=0s": false,
		"REGISTER_INTERVAL=0s": true, "REGISTER_INTERVAL=1ms": false, "DEREGISTER_URL=ftp://h": false,
	} {
		if _, err := Load(nil, []string{"LLORCH_" + setting}); (err == nil) != ok || err != nil && !errors.Is(err, ErrUsage) {
			t.Errorf("%s: %v", setting, err)
		}
	}
	c := Default()
	c.Model, c.Port, c.CallbackCert = "/m", 1, "/cert.pem"
	if err := c.ValidateServe(); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "callback_key") {
		t.Errorf("a certificate without its key: %v", err)
	}
}
