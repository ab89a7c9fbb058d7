// Package certstest issues certificates for tests: an authority of the test's
// own, and leaves for servers and clients, valid or expired.
package certstest

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// Authority is the stand-in's for a test.
type Authority struct {
	t *testing.T
	*standin.Authority
}

// Leaf is a certificate with its key, both in PEM form.
type Leaf struct{ Cert, Key []byte }

// New makes an authority.
func New(t *testing.T, name string) *Authority {
	t.Helper()
	a, err := standin.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{t, a}
}

// Issue makes a leaf for localhost and 127.0.0.1 that servers and clients may
// show until notAfter.
func (a *Authority) Issue(notAfter time.Time) Leaf {
	a.t.Helper()
	cert, key, err := a.Leaf("leaf", notAfter)
	if err != nil {
		a.t.Fatal(err)
	}
	return Leaf{cert, key}
}

// Pool is for those who trust the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.PEM())
	return pool
}

// Pair is the leaf as a client shows it.
func (l Leaf) Pair(t *testing.T) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(l.Cert, l.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// Serial is the number of the leaf.
func (l Leaf) Serial(t *testing.T) int64 { t.Helper(); return l.Pair(t).Leaf.SerialNumber.Int64() }

// Files are where a server finds its certificate, key and clients' authorities.
type Files struct{ Cert, Key, CA string }

// NewFiles names files in a new folder; nothing is written.
func NewFiles(t *testing.T) Files {
	dir := t.TempDir()
	return Files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}
}

// Write replaces certificate and key, each at once, as a rotation does.
func (f Files) Write(t *testing.T, l Leaf) {
	t.Helper()
	Replace(t, f.Key, l.Key)
	Replace(t, f.Cert, l.Cert)
}

// Replace puts a new file in the place of another.
func Replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
