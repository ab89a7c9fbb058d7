package agent

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// gatedWriter blocks until its gate is closed, as a full pipe does.
type gatedWriter struct {
	gate <-chan struct{}
	b    bytes.Buffer
}

func (g *gatedWriter) Write(p []byte) (int, error) {
	<-g.gate
	return g.b.Write(p)
}

func TestALogThatNobodyReadsStopsNobody(t *testing.T) {
	gate := make(chan struct{})
	w := &gatedWriter{gate: gate}
	q := NewLogQueue(w, 4<<10)
	log := NewLogger(q, slog.LevelInfo, false)
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		for i := range 1000 {
			log.Info("line", "i", i)
		}
	}()
	select {
	case <-logged:
	case <-time.After(10 * time.Second):
		t.Fatal("logging waits for the reader")
	}
	at := time.Now()
	q.Close(20 * time.Millisecond)
	if took := time.Since(at); took > 5*time.Second {
		t.Errorf("closing waited %v for the reader", took)
	}
	close(gate)
	<-q.drained
	lines := strings.Split(strings.TrimSuffix(w.b.String(), "\n"), "\n")
	whole, lost := 0, 0
	for _, l := range lines {
		if !strings.HasPrefix(l, `{"timestamp":"`) || !strings.HasSuffix(l, "}}") {
			t.Errorf("not a whole line: %q", l)
		}
		var n int
		if _, err := fmt.Sscanf(l[strings.Index(l, `"message"`):], `"message":"log lines lost","lines":%d,`, &n); err == nil {
			lost += n
			continue
		}
		whole++
	}
	if whole == 0 || lost == 0 || whole+lost != 1000 {
		t.Errorf("%d lines arrived, %d are told lost, 1000 were logged", whole, lost)
	}
}

func TestLogQueueKeepsOrderAndEndsWhole(t *testing.T) {
	var b bytes.Buffer
	q := NewLogQueue(&b, 1<<20)
	var want strings.Builder
	for i := range 500 {
		fmt.Fprintf(&want, "%d\n", i)
		if _, err := fmt.Fprintf(q, "%d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	q.Close(10 * time.Second)
	if b.String() != want.String() {
		t.Errorf("%d bytes, want %d", b.Len(), want.Len())
	}
	if n, err := io.WriteString(q, "late\n"); n != 5 || err != nil {
		t.Errorf("after the end: %d, %v", n, err)
	}
}
