package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"llorch/deploy/demo/standin"
)

// attacks: clients that mean harm and need time for it. The quick ones are tests
// of agent/e2e.
var attacks = []Drill{
	{"idle-connections", "attacks", []int{4}, 90 * time.Second, idleConnections},
	{"slow-headers-and-bodies", "attacks", []int{4}, 90 * time.Second, slowHeadersAndBodies},
	{"slow-reader", "attacks", []int{10}, 90 * time.Second, slowReader},
	{"timing-of-the-token", "attacks", []int{3}, 60 * time.Second, timingOfToken},
}

// dial opens a plain connection to the worker.
func dial(w *standin.Worker) (net.Conn, error) {
	return net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", w.Port), 20*time.Second)
}

// hundredThousand idle connections are what the list of attacks asks for.
const hundredThousand = 100_000

// idleConnections opens as many connections as descriptors allow, up to 100,000,
// and says nothing on them. Health is answered beside them, and they are gone
// when the time for a header is over.
func idleConnections(ctx context.Context, b *Bench) (string, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return "", err
	}
	// Below the descriptors of this process and of the worker, which has the same limit, and below the ports of one address.
	n := int(min(limit.Max-500, hundredThousand, 27_000))
	w, err := b.Ready(ctx)
	if err != nil {
		return "", err
	}
	before, err := standin.Descriptors(w.PID())
	if err != nil {
		return "", err
	}
	rss, err := standin.ReadMemory(w.PID(), b.Model)
	if err != nil {
		return "", err
	}
	open, most, err := hold(ctx, w, n)
	if err != nil {
		return "", err
	}
	at, err := standin.ReadMemory(w.PID(), b.Model)
	if err != nil {
		return "", err
	}
	if _, err := whole(ctx, w, short("beside")); err != nil {
		return "", err
	}
	if err := until(ctx, "idle connections are given up", func() error {
		if now, err := standin.Descriptors(w.PID()); err != nil || now > before+8 {
			return fmt.Errorf("%d descriptors, %d before: %w", now, before, err)
		}
		return nil
	}); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d of 100,000 (the descriptor limit is %d), at most %d at once, %.1f KiB each; served beside them; all given up",
		open, limit.Max, most, float64(at.RSS-rss.RSS)/float64(most)/1024), expect(ctx, w, "GET", "/health", nil, 200)
}

// hold opens n connections which end with the context, asks for health now and
// then, and returns how many there were, in all and at once.
func hold(ctx context.Context, w *standin.Worker, n int) (open, most int, err error) {
	for ; open < n; open++ {
		c, err := dial(w)
		if err != nil {
			return open, most, fmt.Errorf("connection %d: %w", open, err)
		}
		context.AfterFunc(ctx, func() { c.Close() })
		if open%1000 != 999 {
			continue
		}
		if err := expect(ctx, w, "GET", "/health", nil, 200); err != nil {
			return open, most, err
		}
		now, err := standin.Descriptors(w.PID())
		if err != nil {
			return open, most, err
		}
		most = max(most, now)
	}
	return open, most, nil
}

// slowHeadersAndBodies sends a byte a second. The worker gives a header ten
// seconds and a body twenty, in all, however busy its sender looks.
func slowHeadersAndBodies(ctx context.Context, b *Bench) (string, error) {
	w, err := b.Ready(ctx)
	if err != nil {
		return "", err
	}
	const post = "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	kinds := []struct{ name, begin, drip string }{
		{"header", "GET /health HTTP/1.1\r\nHost: localhost\r\nX: ", "a"},
		{"body", post + "Content-Length: 100000\r\n\r\n{", " "},
		{"chunks without end", post + "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"},
	}
	took := make(chan string, len(kinds))
	failed := make(chan error, len(kinds))
	for _, k := range kinds {
		go func() {
			d, err := drip(ctx, w, k.begin, k.drip)
			failed <- err
			took <- fmt.Sprintf("%s %.0f s", k.name, d.Seconds())
		}()
	}
	for range kinds {
		if err := <-failed; err != nil {
			return "", err
		}
	}
	var all []string
	for range kinds {
		all = append(all, <-took)
	}
	slices.Sort(all)
	return "given up: " + strings.Join(all, ", "), expect(ctx, w, "GET", "/health", nil, 200)
}

// drip sends a beginning and then a little every half second, until the worker
// closes the connection.
func drip(ctx context.Context, w *standin.Worker, begin, more string) (time.Duration, error) {
	c, err := dial(w)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	began := time.Now()
	closed := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, c); close(closed) }()
	for text := begin; ; text = more {
		_, err := io.WriteString(c, text)
		select {
		case <-closed:
			return time.Since(began), ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		if err != nil {
			return time.Since(began), ctx.Err()
		}
	}
}

// slowReader: four clients ask for long texts and read nothing, while another
// one's stream must come as if they were not there.
func slowReader(ctx context.Context, b *Bench) (string, error) {
	w, err := b.Ready(ctx, "--max-batch", "16", "--write-timeout", "2s")
	if err != nil {
		return "", err
	}
	const deaf = 4
	for i := range deaf {
		c, err := dial(w)
		if err != nil {
			return "", err
		}
		defer c.Close()
		if err := c.(*net.TCPConn).SetReadBuffer(1); err != nil {
			return "", err
		}
		body := fmt.Sprintf(`{"job_id":"deaf-%d","prompt":"Once upon a time","max_tokens":1000,"repetition_penalty":0.3}`, i)
		fmt.Fprintf(c, "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	began := time.Now()
	all, err := whole(ctx, w, long("reader", 200))
	if err != nil {
		return "", err
	}
	took := time.Since(began)
	if err := until(ctx, "those who do not read are done with", func() error {
		if busy, err := metric(ctx, w, "llorch_slots_busy"); err != nil || busy > 0 {
			return fmt.Errorf("%v slots are busy: %w", busy, err)
		}
		return nil
	}); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d tokens in %.1f s beside %d readers that read nothing; their slots are free again", standin.Last(all).TokensOut, took.Seconds(), deaf), nil
}

// timingOfToken compares tokens that are wrong in their first and in their last
// byte. The medians of many tries, taken in turns, must not tell them apart.
func timingOfToken(ctx context.Context, b *Bench) (string, error) {
	const tries, token = 1500, "correct-horse-battery-staple-0123456789"
	w, err := b.ReadyAs(ctx, standin.Spawn{Env: []string{"LLORCH_API_TOKEN=" + token}})
	if err != nil {
		return "", err
	}
	wrong := [2]string{"X" + token[1:], token[:len(token)-1] + "X"}
	var took [2][]time.Duration
	for range tries {
		for i, t := range wrong {
			began := time.Now()
			status, _, _, err := w.Do(ctx, "GET", "/v1/ready", nil, "Authorization", "Bearer "+t)
			if err != nil || status != 401 {
				return "", fmt.Errorf("a wrong token got %d: %w", status, err)
			}
			took[i] = append(took[i], time.Since(began))
		}
	}
	var median [2]time.Duration
	for i := range took {
		slices.Sort(took[i])
		median[i] = took[i][tries/2]
	}
	if apart := max(median[0], median[1]) - min(median[0], median[1]); apart > median[0]/4 {
		return "", errors.New("the medians tell the tokens apart: " + fmt.Sprint(median))
	}
	return fmt.Sprintf("median %v when the first byte is wrong, %v when the last one is", median[0], median[1]), nil
}
