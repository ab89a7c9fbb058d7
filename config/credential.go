package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// credentialLayer reads the token that a service manager keeps for this worker: the file api-token in the folder named
// by CREDENTIALS_DIRECTORY. One line end after the token is not part of it. No such folder or file is an empty layer,
// an empty file is an error: it was meant to close the worker.
func credentialLayer(environ []string) (layer, error) {
	const variable, name = "CREDENTIALS_DIRECTORY", "api-token"
	for _, v := range environ {
		dir, ok := strings.CutPrefix(v, variable+"=")
		if !ok || dir == "" {
			continue
		}
		path := filepath.Join(dir, name)
		raw, _, err := readFile(path) // who else may read it is the manager's business
		if errors.Is(err, fs.ErrNotExist) {
			return layer{}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("config: %w: credential %s: %w", ErrUsage, name, err)
		}
		token, err := parseSecret(strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r"))
		if err != nil {
			return nil, fmt.Errorf("config: credential %s: %w", path, err)
		}
		return layer{"api_token": token}, nil
	}
	return layer{}, nil
}
