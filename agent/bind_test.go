package agent

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"llorch/agent/listen"
	"llorch/config"
)

// boundWorker is a worker that has only come to its listeners.
func boundWorker(t *testing.T, adjust func(*config.Config), sockets ...listen.Socket) (*worker, *lockedBuffer, error) {
	t.Helper()
	log := &lockedBuffer{}
	cfg := config.Default()
	cfg.WorkerID, cfg.LocalMode = "w-1", true
	adjust(&cfg)
	w := newWorker(t.Context(), Options{Config: cfg, Log: slog.New(slog.NewTextHandler(log, nil)), Sockets: sockets})
	err := w.bind()
	t.Cleanup(func() {
		_ = w.server.Close(t.Context())
		w.closeListeners()
		for range cap(w.serving) {
			<-w.serving
		}
		w.cut()
	})
	return w, log, err
}

func socketOn(t *testing.T, network, address string) listen.Socket {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return listen.Socket{Listener: l, Name: "http"}
}

func TestInheritedSocketTakesThePlaceOfThePort(t *testing.T) {
	s := socketOn(t, "tcp", "127.0.0.1:0")
	port := s.Addr().(*net.TCPAddr).Port
	w, log, err := boundWorker(t, func(c *config.Config) { c.Port = 1 }, s) // which it could not bind anyway
	if err != nil {
		t.Fatal(err)
	}
	if w.cfg.Port != port || !w.server.loopback || len(w.listeners) != 1 {
		t.Errorf("port %d, want %d; loopback %v, %d listeners", w.cfg.Port, port, w.server.loopback, len(w.listeners))
	}
	if got := log.String(); !strings.Contains(got, "source=inherited name=http") || strings.Contains(got, "open to the network") {
		t.Error(got)
	}
	resp, err := http.Get("http://" + s.Addr().String() + "/live")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

func TestAnOrchestratorIsNotToldOfAPortThatIsNotThere(t *testing.T) {
	s := socketOn(t, "unix", t.TempDir()+"/s")
	if _, _, err := boundWorker(t, func(c *config.Config) { c.CallbackURL = "http://localhost:1/ready" }, s); !errors.Is(err, errNoPort) {
		t.Errorf("%v", err)
	}
}

// The warning is about addresses that are really bound, and says what can be done with them.
func TestOpenToTheNetworkIsTold(t *testing.T) {
	for what, c := range map[string]struct {
		adjust func(*config.Config)
		says   string // "" = nothing
	}{
		"loopback":           {func(c *config.Config) {}, ""},
		"open":               {func(c *config.Config) { c.LocalMode = false }, "may use and stop the worker"},
		"admin token":        {func(c *config.Config) { c.LocalMode, c.AdminToken = false, "x" }, "may use the worker"},
		"token":              {func(c *config.Config) { c.LocalMode, c.APIToken = false, "x" }, ""},
		"Unix socket":        {func(c *config.Config) { c.UnixSocket, c.LocalMode = t.TempDir()+"/s", false }, ""},
		"profiles on a port": {func(c *config.Config) { c.DebugAddr = "127.0.0.1:0" }, ""},
	} {
		var sockets []listen.Socket
		if what != "Unix socket" {
			host := "127.0.0.1:0"
			if c.says != "" || what == "token" {
				host = "0.0.0.0:0"
			}
			sockets = append(sockets, socketOn(t, "tcp", host))
		}
		_, log, err := boundWorker(t, c.adjust, sockets...)
		if err != nil {
			t.Fatal(what, err)
		}
		if got := log.String(); strings.Contains(got, "open to the network") != (c.says != "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: %s", what, got)
		}
	}
}
