package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// checkEvery is how long a change may go unnoticed while clients connect.
const checkEvery = time.Second

// Options name PEM files.
type Options struct {
	Cert, Key string
	ClientCA  string           // "" = clients are not asked for certificates
	Log       *slog.Logger     // loads and failures
	Now       func() time.Time // nil = time.Now
}

// Store serves what the files hold.
type Store struct {
	o       Options
	current atomic.Pointer[tls.Config]
	checked atomic.Int64 // when the files were last looked at, in Unix nanoseconds

	// mu protects seen: the files as they were when they were last read, with or without success.
	mu   sync.Mutex
	seen []fs.FileInfo
}

// Open reads the files for the first time; here a failure is an error.
func Open(o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{o: o}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = s.look()
	s.checked.Store(o.Now().UnixNano())
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	return s, nil
}

// Config is for a listener; it lasts as long as the store.
func (s *Store) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: s.current.Load().NextProtos,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			s.check()
			return s.current.Load(), nil
		},
	}
}

// check reads the files again if they have changed. Handshakes that come while
// another looks go on with what there is: a file system that hangs costs one.
func (s *Store) check() {
	now, last := s.o.Now().UnixNano(), s.checked.Load()
	if now-last < int64(checkEvery) && now >= last || !s.checked.CompareAndSwap(last, now) {
		return
	}
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	files := s.look()
	if same(files, s.seen) {
		return
	}
	s.seen = files // before they are read: what changes meanwhile is seen next time
	if err := s.load(); err != nil {
		s.o.Log.Warn("certificate", "error", err, "note", "the files have changed and cannot be used: the last good ones stay")
	}
}

// load reads the files and puts them to use.
func (s *Store) load() error {
	pair, err := tls.LoadX509KeyPair(s.o.Cert, s.o.Key)
	if err != nil {
		return fmt.Errorf("certificate %s and key %s: %w", s.o.Cert, s.o.Key, err)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Time: s.o.Now,
	}
	if s.o.ClientCA != "" {
		if config.ClientCAs, err = authorities(s.o.ClientCA); err != nil {
			return err
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	s.current.Store(config)
	s.tell(pair.Leaf)
	return nil
}

func authorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("client authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("client authorities %s: %w", path, errNoCertificate)
	}
	return pool, nil
}

var errNoCertificate = errors.New("no certificate in PEM form")

func (s *Store) tell(leaf *x509.Certificate) {
	s.o.Log.Info("certificate", "file", s.o.Cert, "names", leaf.DNSNames, "not_after", leaf.NotAfter.UTC(), "client_certificates", s.o.ClientCA != "")
	if now := s.o.Now(); now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		s.o.Log.Warn("certificate", "file", s.o.Cert, "note", "it is not valid now: clients will refuse it")
	}
	// A group may read it: that is how a key is shared with a service's account.
	if st, err := os.Stat(s.o.Key); err == nil && st.Mode().Perm()&0o027 != 0 {
		s.o.Log.Warn("certificate", "file", s.o.Key, "mode", st.Mode().Perm().String(), "note", "the private key is open to others: chmod 640 or less")
	}
}

// look returns what the file system says of the files; nil stands for one that is not there.
func (s *Store) look() []fs.FileInfo {
	paths := [...]string{s.o.Cert, s.o.Key, s.o.ClientCA}
	all := make([]fs.FileInfo, len(paths))
	for i, p := range paths {
		if st, err := os.Stat(p); err == nil { // follows the links by which a volume is swapped
			all[i] = st
		}
	}
	return all
}

func same(a, b []fs.FileInfo) bool {
	for i := range a {
		if (a[i] == nil) != (b[i] == nil) {
			return false
		}
		if a[i] != nil && (!os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || a[i].Mode() != b[i].Mode() || !a[i].ModTime().Equal(b[i].ModTime())) {
			return false
		}
	}
	return true
}
