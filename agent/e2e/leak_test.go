package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// 1,000 requests, half of them left at a random moment: before the answer, in
// the queue, in the prefill, between tokens. Afterwards the worker has no
// goroutine, descriptor, slot or page more than before. make drills has 10,000.
func TestNothingLeaksOverAThousandRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("1,000 requests")
	}
	f := ready(t, "--max-queue", "64")
	for i := range 20 { // what is made once is made now
		f.run(standin.Request{JobID: fmt.Sprint("warm", i), Prompt: "Once", MaxTokens: 2})
	}
	before := f.resources()
	var next atomic.Int64
	var all sync.WaitGroup
	for i := range 24 {
		random := rand.New(rand.NewPCG(5, uint64(i)))
		all.Go(func() {
			for n := next.Add(1); n <= 1000; n = next.Add(1) {
				if err := f.oneOfThousand(n, random); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	eventually(t, "idle", 10*time.Second, func() bool { return f.state() == "idle" })
	var after resources
	eventually(t, "goroutines and descriptors as before", 15*time.Second, func() bool {
		after = f.resources()
		return after.goroutines <= before.goroutines+2 && after.files <= before.files+2
	})
	_, text := f.get("GET", "/metrics", nil)
	ended := 0.0
	for _, o := range []string{"success", "error", "cancelled", "timeout"} {
		n, _ := standin.Sample(text, "worker_requests_total", `outcome="`+o+`"`)
		ended += n
		if o == "error" && n > 0 {
			t.Errorf("%v requests failed", n)
		}
	}
	busy, _ := standin.Sample(text, "llorch_slots_busy")
	free, _ := standin.Sample(text, "llorch_cache_pages_free")
	pages, _ := standin.Sample(text, "llorch_cache_pages")
	if ended < 500+20 || ended > 1000+20 || busy != 0 || free != pages { // who left before its request was read is none
		t.Errorf("%v ended, %v slots busy, %v of %v pages free", ended, busy, free, pages)
	}
	t.Logf("before %+v, after %+v", before, after)
}

func (f *fleet) oneOfThousand(n int64, random *rand.Rand) error {
	r := standin.Request{JobID: fmt.Sprint(n), Prompt: "Once upon a time", MaxTokens: 12, Temperature: 1, Seed: seed(uint64(n))}
	leave := n%2 == 0
	if leave {
		r.MaxTokens = 2000
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	early := leave && random.IntN(4) == 0
	if early {
		time.AfterFunc(time.Duration(random.IntN(3000))*time.Microsecond, cancel)
	}
	s, err := f.Execute(ctx, "", r)
	if early && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if s.Status != 200 {
		s.Close()
		return fmt.Errorf("request %d: status %d", n, s.Status)
	}
	if leave {
		for range random.IntN(8) {
			if _, err = s.Next(); err != nil {
				break
			}
		}
		s.Close()
		if early {
			return nil
		}
		return err
	}
	_, err = s.All()
	return err
}

type resources struct {
	goroutines float64
	files      int
}

func (f *fleet) resources() resources {
	f.t.Helper()
	_, text := f.get("GET", "/metrics", nil)
	g, ok := standin.Sample(text, "go_goroutines")
	files, err := standin.Descriptors(f.PID())
	if !ok || err != nil {
		f.t.Fatal(ok, err)
	}
	return resources{g, files}
}

// A client that leaves frees its slot soon: the bar is 100 ms, with room for a
// machine that runs other tests.
func TestClientGoneFreesTheSlot(t *testing.T) {
	f := ready(t, "--max-batch", "1", "--max-queue", "0")
	s := f.execute(endless("gone"))
	f.next(s, "token")
	at := time.Now()
	s.Close()
	eventually(t, "idle", 10*time.Second, func() bool { return f.state() == "idle" })
	t.Logf("idle after %v", time.Since(at))
	if all := f.run(standin.Request{JobID: "next", Prompt: "Once", MaxTokens: 2}); !strings.Contains(all[len(all)-1].Raw, "end") {
		t.Errorf("%+v", all)
	}
}
