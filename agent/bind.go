package agent

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"llorch/agent/certs"
	"llorch/agent/listen"
)

// errNoPort is a worker that would tell the orchestrator an address it has not.
var errNoPort = errors.New("the orchestrator is told where this worker is reached, and it listens on no port: give --port or a TCP socket")

// bind opens every listener before anything slow: a second worker on the same
// address must fail at once, and probes get an answer from the first moment.
func (w *worker) bind() error {
	tcp, unix, err := w.openListeners()
	if err == nil && len(tcp) == 0 && w.cfg.Announced() {
		err = errNoPort
	}
	if err == nil && w.cfg.DebugAddr != "" {
		err = w.bindDebug()
	}
	var secure *tls.Config
	if err == nil && w.cfg.TLSCert != "" {
		secure, err = w.certificates()
	}
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	if len(tcp) > 0 {
		w.cfg.Port = tcp[0].Addr().(*net.TCPAddr).Port // an inherited socket may have another than was asked for
	}
	w.server.loopback = loopbackOnly(tcp)
	w.warnOpen(tcp)
	w.serving = make(chan error, len(tcp)+len(unix))
	for _, l := range tcp {
		if secure != nil {
			l = tls.NewListener(l, secure)
		}
		go func() { w.serving <- w.server.Serve(l) }()
	}
	for _, l := range unix { // its file's mode says who may connect
		go func() { w.serving <- w.server.Serve(l) }()
	}
	return nil
}

// openListeners returns what to serve on. A socket that was passed on takes the
// place of the one of its kind that the settings name. All that is opened is
// closed at the end of Run.
func (w *worker) openListeners() (tcp, unix []net.Listener, err error) {
	for _, s := range w.sockets {
		w.opened(s, "inherited", s.Name)
		switch s.Addr().(type) {
		case *net.TCPAddr:
			tcp = append(tcp, s.Listener)
		case *net.UnixAddr:
			unix = append(unix, s.Listener)
		}
	}
	if len(tcp) == 0 && w.cfg.Port != 0 {
		l, err := listen.TCP(w.cfg.BindAddress())
		if err != nil {
			return nil, nil, err
		}
		tcp = append(tcp, w.opened(l, "own", ""))
	}
	if len(unix) == 0 && w.cfg.UnixSocket != "" {
		l, err := listen.Unix(w.cfg.UnixSocket)
		if err != nil {
			return nil, nil, err
		}
		unix = append(unix, w.opened(l, "own", ""))
	}
	return tcp, unix, nil
}

// opened notes a listener, so that it is closed whatever happens next.
func (w *worker) opened(l net.Listener, source, name string) net.Listener {
	w.listeners = append(w.listeners, l)
	attrs := []any{"address", l.Addr().String(), "source", source}
	if name != "" {
		attrs = append(attrs, "name", name)
	}
	w.log.Info("listening", attrs...)
	return l
}

func (w *worker) closeListeners() {
	for _, l := range w.listeners {
		_ = l.Close() // the server has closed those it served on
	}
}

// bindDebug opens the listener for profiles.
func (w *worker) bindDebug() error {
	l, err := listen.TCP(w.cfg.DebugAddr)
	if err != nil {
		return err
	}
	w.opened(l, "own", "debug")
	go func() {
		if err := w.server.ServeDebug(l); err != nil {
			w.log.Warn("debug listener ended", "error", err)
		}
	}()
	return nil
}

// certificates reads the files for TLS and lets the server ask for client certificates.
func (w *worker) certificates() (*tls.Config, error) {
	store, err := certs.Open(certs.Options{Cert: w.cfg.TLSCert, Key: w.cfg.TLSKey, ClientCA: w.cfg.TLSClientCA, Log: w.log})
	if err != nil {
		return nil, err
	}
	w.server.clientCertificates = w.cfg.TLSClientCA != ""
	return store.Config(), nil
}

// loopbackOnly reports whether only this machine reaches these listeners.
func loopbackOnly(tcp []net.Listener) bool {
	for _, l := range tcp {
		if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
			return false
		}
	}
	return true
}

func (w *worker) warnOpen(tcp []net.Listener) {
	if w.cfg.APIToken != "" || w.cfg.TLSClientCA != "" || w.server.loopback {
		return
	}
	may := "use and stop"
	if w.cfg.AdminToken != "" {
		may = "use"
	}
	w.log.Warn("open to the network", "address", tcp[0].Addr().String(),
		"note", "no token is set, so anybody who reaches this port may "+may+" the worker: set LLORCH_API_TOKEN or --local-mode")
}
