package callback

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestSlowReceiverTimesOut(t *testing.T) {
	hold := make(chan struct{})
	r := receiveWith(t, func(w http.ResponseWriter, n int) {
		if n == 0 {
			<-hold
		}
	})
	defer close(hold)
	c, log := quick(t, Options{URL: r.URL, Timeout: 30 * time.Millisecond})
	if err := c.Ready(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	if len(r.seen()) != 2 || !strings.Contains(log.String(), "deadline exceeded") {
		t.Errorf("%d calls; log %s", len(r.seen()), log)
	}
}

func TestEndlessReplies(t *testing.T) {
	for _, status := range []int{200, 400, 500} {
		var sent int
		stop := make(chan struct{})
		r := receiveWith(t, func(w http.ResponseWriter, n int) {
			if n > 0 {
				return
			}
			defer close(stop)
			w.WriteHeader(status)
			for chunk := bytes.Repeat([]byte("x"), 4096); ; sent += len(chunk) {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		})
		c, _ := quick(t, Options{URL: r.URL, Timeout: 5 * time.Second})
		start := time.Now()
		err := c.Ready(t.Context(), sample())
		if (err != nil) != (status == 400) {
			t.Errorf("%d: %v", status, err)
		}
		if d := time.Since(start); d > 4*time.Second {
			t.Errorf("%d: took %v: the reply was read until the timeout", status, d)
		}
		<-stop // the connection was closed on the server
		// The sockets' own buffers take some megabytes; a reader without a limit takes gigabytes in 4 s.
		if sent > 64<<20 {
			t.Errorf("%d: %d bytes went out", status, sent)
		}
	}
}

func TestDrippingReplyEndsWithTimeout(t *testing.T) {
	r := receiveWith(t, func(w http.ResponseWriter, n int) {
		w.WriteHeader(http.StatusBadRequest)
		for range 1000 {
			if _, err := io.WriteString(w, "."); err != nil {
				return
			}
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	c, _ := quick(t, Options{URL: r.URL, Timeout: 50 * time.Millisecond})
	start := time.Now()
	if err := c.Ready(t.Context(), sample()); !errors.Is(err, ErrRefused) || time.Since(start) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestCancelEndsAtOnce(t *testing.T) {
	hold := make(chan struct{})
	slow := receiveWith(t, func(http.ResponseWriter, int) { <-hold })
	defer close(hold)
	failing := receive(t, 503)
	for name, o := range map[string]Options{
		"in an attempt": {URL: slow.URL, Timeout: time.Minute},
		"in a wait":     {URL: failing.URL, WaitMin: time.Minute, WaitMax: time.Minute, Window: time.Hour},
	} {
		c, log := quick(t, o)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(50*time.Millisecond, cancel)
		start := time.Now()
		err := c.Ready(ctx, sample())
		if !errors.Is(err, context.Canceled) || time.Since(start) > 2*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(start))
		}
		if name == "in an attempt" && log.Len() != 0 {
			t.Errorf("our own cancel was logged as a failure: %s", log)
		}
	}
}
