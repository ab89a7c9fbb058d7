package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"llorch/agent"
	"llorch/inference"
)

// httpTokens are sent through the server to time one.
const httpTokens = 2000

// httpOverhead returns what a token takes from the engine's channel through the
// server and a loopback connection to a client that has read its frame: the
// median of tokens that are sent one at a time, each when the client has the
// one before. Waking the goroutines on the way is in it.
func httpOverhead(ctx context.Context, vocab int) (time.Duration, error) {
	pace := &pacer{tokens: make(chan inference.Event, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	server, err := readyServer(pace, vocab)
	if err != nil {
		l.Close()
		return 0, err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	took, err := pace.run(ctx, "http://"+l.Addr().String()+"/execute")
	closing, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = server.Close(closing)
	<-served
	return took, err
}

// readyServer is the worker's own HTTP side in the state ready.
func readyServer(e agent.Engine, vocab int) (*agent.Server, error) {
	log := slog.New(slog.DiscardHandler)
	m := agent.NewMachine(log)
	metrics := agent.NewMetrics("bench", m, time.Now())
	metrics.MirrorVLLM() // as a worker does by default
	s := agent.NewServer(agent.ServerOptions{
		Machine: m, Metrics: metrics, Log: log, WorkerID: "bench", WriteTimeout: 10 * time.Second,
	})
	s.Attach(e, agent.ModelInfo{Name: "bench", VocabSize: vocab, ContextLength: httpTokens})
	for _, next := range []agent.State{agent.Loading, agent.Verifying, agent.Registering, agent.Ready} {
		if err := m.To(next, "bench"); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// pacer is an engine whose tokens are sent by hand.
type pacer struct{ tokens chan inference.Event }

func (p *pacer) Generate(context.Context, inference.Request) (<-chan inference.Event, error) {
	return p.tokens, nil
}
func (p *pacer) Stats() inference.Stats { return inference.Stats{SlotsTotal: 1} }

// run sends tokens and waits for the frame of each.
func (p *pacer) run(ctx context.Context, url string) (time.Duration, error) {
	defer close(p.tokens)
	body := strings.NewReader(fmt.Sprintf(`{"job_id":"bench","prompt":"x","max_tokens":%d}`, httpTokens))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	defer res.Body.Close()
	frames := bufio.NewReader(res.Body)
	next := func(kind string) error {
		for {
			line, err := frames.ReadSlice('\n')
			if err != nil {
				return fmt.Errorf("bench: a frame of type %s did not come: %w", kind, err)
			}
			if bytes.Contains(line, []byte(`"type":"`+kind+`"`)) {
				return nil
			}
		}
	}
	if err := next("started"); err != nil {
		return 0, err
	}
	took := make([]time.Duration, 0, httpTokens)
	for i := range httpTokens {
		began := time.Now()
		p.tokens <- inference.Event{Text: " token", Index: i, ID: 1, At: began}
		if err := next("token"); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	p.tokens <- inference.Event{At: time.Now(), End: &inference.End{Reason: inference.StopMaxTokens, TokensOut: httpTokens}}
	slices.Sort(took)
	return took[len(took)/2], nil
}
