package callback

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// Files hold what proves who is who. They are read again at each attempt, so that a certificate or a secret may be
// replaced while the worker runs. An empty name: not used.
type Files struct {
	CA     string // certificates in PEM that the orchestrator's must follow from, instead of the system's
	Cert   string // our certificate in PEM; goes with Key
	Key    string
	Secret string // key of the signature; one line end after it is not part of it
}

const (
	minSecretBytes = 16
	maxFileBytes   = 1 << 20
)

// material is what the files hold.
type material struct {
	tls    *tls.Config
	secret []byte // nil: calls are not signed
}

// credentials reads the files, and goes on with what they held while one is being replaced.
type credentials struct {
	files   Files
	log     *slog.Logger
	last    material
	problem string // the last that was logged
}

func newCredentials(f Files, log *slog.Logger) (*credentials, error) {
	if (f.Cert == "") != (f.Key == "") {
		return nil, errors.New("callback: a client certificate and its key go together: give both or none")
	}
	c := &credentials{files: f, log: log}
	m, err := f.read()
	if err != nil {
		return nil, err
	}
	c.last = m
	return c, nil
}

// load reads the files anew.
func (c *credentials) load() material {
	m, err := c.files.read()
	switch {
	case err == nil:
		c.last, c.problem = m, ""
	case err.Error() != c.problem:
		c.problem = err.Error()
		c.log.Warn("callback credentials", "error", err, "note", "going on with what was read before")
	}
	return c.last
}

func (f Files) read() (material, error) {
	m := material{tls: &tls.Config{MinVersion: tls.VersionTLS12}}
	if f.CA != "" {
		pem, err := readFile(f.CA)
		if err != nil {
			return m, err
		}
		m.tls.RootCAs = x509.NewCertPool()
		if !m.tls.RootCAs.AppendCertsFromPEM(pem) {
			return m, fmt.Errorf("callback: %s holds no certificate in PEM", f.CA)
		}
	}
	if f.Cert != "" {
		cert, err := readFile(f.Cert)
		if err != nil {
			return m, err
		}
		key, err := readFile(f.Key)
		if err != nil {
			return m, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return m, fmt.Errorf("callback: certificate %s and key %s: %w", f.Cert, f.Key, err)
		}
		m.tls.Certificates = []tls.Certificate{pair}
	}
	if f.Secret == "" {
		return m, nil
	}
	raw, err := readFile(f.Secret)
	if err != nil {
		return m, err
	}
	m.secret = bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r"))
	if len(m.secret) < minSecretBytes {
		return m, fmt.Errorf("callback: the secret in %s has %d bytes: give %d or more", f.Secret, len(m.secret), minSecretBytes)
	}
	return m, nil
}

// readFile reads a regular file of bounded size. What is not one is refused before it is opened: opening a FIFO blocks.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("callback: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("callback: %s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("callback: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(raw) > maxFileBytes {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFileBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("callback: %w", err)
	}
	return raw, nil
}
