package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// credentials are the settings that a service manager may keep for this worker, by the names of their files in the
// folder named by CREDENTIALS_DIRECTORY.
var credentials = []struct{ name, key string }{{"api-token", "api_token"}, {"admin-token", "admin_token"}}

// credentialFiles stay files, which are read when they are used: their paths become settings.
var credentialFiles = []struct{ name, key string }{
	{"callback-secret", "callback_secret_file"}, {"tls-cert", "tls_cert"}, {"tls-key", "tls_key"}, {"tls-client-ca", "tls_client_ca"},
}

// credentialLayer reads them. One line end after a token is not part of it. No such folder or file is no setting, an
// empty file is an error: it was meant to close the worker.
func credentialLayer(environ []string) (layer, error) {
	const variable = "CREDENTIALS_DIRECTORY"
	l := layer{}
	for _, v := range environ {
		dir, ok := strings.CutPrefix(v, variable+"=")
		if !ok || dir == "" {
			continue
		}
		for _, c := range credentials {
			path := filepath.Join(dir, c.name)
			raw, _, err := readFile(path) // who else may read it is the manager's business
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("config: %w: credential %s: %w", ErrUsage, c.name, err)
			}
			token, err := parseSecret(strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r"))
			if err != nil {
				return nil, fmt.Errorf("config: credential %s: %w", path, err)
			}
			l[c.key] = token
		}
		for _, c := range credentialFiles {
			if path := filepath.Join(dir, c.name); exists(path) {
				l[c.key] = path
			}
		}
		return l, nil
	}
	return l, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
