package standin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority makes certificates for a trial: of orchestrators on loopback, and
// of workers. It numbers them: 1 is its own, the first leaf is 2.
type Authority struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	pem    []byte
	serial int64
}

// NewAuthority makes an authority of its own, good for an hour.
func NewAuthority(name string) (*Authority, error) {
	a := &Authority{}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, key, err := a.sign(template)
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(cert); err != nil {
		return nil, fmt.Errorf("standin: %w", err)
	}
	a.key, a.pem = key, block("CERTIFICATE", cert)
	return a, nil
}

func (a *Authority) sign(template *x509.Certificate) (cert []byte, key *ecdsa.PrivateKey, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("standin: %w", err)
	}
	a.serial++
	template.SerialNumber = big.NewInt(a.serial)
	parent, by := template, key
	if a.cert != nil {
		parent, by = a.cert, a.key
	}
	cert, err = x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return nil, nil, fmt.Errorf("standin: %w", err)
	}
	return cert, key, nil
}

// Leaf makes a certificate for loopback, good until a moment, and its key, both
// in PEM form.
func (a *Authority) Leaf(name string, until time.Time) (cert, key []byte, err error) {
	der, signer, err := a.sign(&x509.Certificate{
		Subject:  pkix.Name{CommonName: name},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, nil, fmt.Errorf("standin: %w", err)
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", secret), nil
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Issue writes a leaf as NAME.pem and NAME.key into a folder.
func (a *Authority) Issue(dir, name string, until time.Time) (certFile, keyFile string, err error) {
	cert, key, err := a.Leaf(name, until)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for file, content := range map[string][]byte{certFile: cert, keyFile: key} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return "", "", fmt.Errorf("standin: %w", err)
		}
	}
	return certFile, keyFile, nil
}

// PEM is the authority's own certificate.
func (a *Authority) PEM() []byte { return a.pem }

// WriteCA writes the authority's own certificate.
func (a *Authority) WriteCA(dir string) (file string, err error) {
	file = filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(file, a.pem, 0o600); err != nil {
		return "", fmt.Errorf("standin: %w", err)
	}
	return file, nil
}

// Server is the configuration of an orchestrator with these files. One that
// asks for client certificates takes those of the authority.
func (a *Authority) Server(certFile, keyFile string, askClients bool) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("standin: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if askClients {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		c.ClientCAs.AddCert(a.cert)
		// With 1.3 a client has sent its request before it hears that it may not, and the end of the connection may
		// come before the reason.
		c.MaxVersion = tls.VersionTLS12
	}
	return c, nil
}
