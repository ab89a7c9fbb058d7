package bench

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func number(v float64) string { return fmt.Sprintf("%.2f", v) }

func TestQuantile(t *testing.T) {
	var hundred []int
	for i := 100; i >= 1; i-- {
		hundred = append(hundred, i)
	}
	for q, want := range map[float64]int{0: 1, 0.5: 50, 0.95: 95, 0.99: 99, 1: 100} {
		if got := quantile(hundred, q); got != want {
			t.Errorf("quantile %v of 1…100: %d, want %d", q, got, want)
		}
	}
	if quantile([]int{3, 1, 2}, 0.5) != 2 || quantile([]int{2, 1}, 0.5) != 1 || quantile([]int{7}, 0.99) != 7 || quantile[int](nil, 0.5) != 0 {
		t.Error("quantiles of few values")
	}
}

func TestArrivals(t *testing.T) {
	even := Traffic{Streams: 4, Rate: 2, Even: true}.arrivals()
	if want := []time.Duration{0, time.Second / 2, time.Second, 3 * time.Second / 2}; !reflect.DeepEqual(even, want) {
		t.Errorf("%v", even)
	}
	const n = 20000
	random := Traffic{Streams: n, Rate: 5, Seed: 3}.arrivals()
	if again := (Traffic{Streams: n, Rate: 5, Seed: 3}).arrivals(); !reflect.DeepEqual(random, again) {
		t.Error("the same seed gives other arrivals")
	}
	// The distances of a Poisson process have mean and deviation 1/rate: a standard error is 1/rate/√n = 0.7 %.
	var sum, squares float64
	for i := 1; i < n; i++ {
		d := (random[i] - random[i-1]).Seconds()
		if d < 0 {
			t.Fatalf("arrival %d comes before the one before it", i)
		}
		sum, squares = sum+d, squares+d*d
	}
	mean := sum / (n - 1)
	if deviation := math.Sqrt(squares/(n-1) - mean*mean); math.Abs(mean-0.2) > 0.008 || math.Abs(deviation-0.2) > 0.012 {
		t.Errorf("distances of %v ± %v s, want 0.2 ± 0.2", mean, deviation)
	}
}

func TestAccount(t *testing.T) {
	start := time.Unix(1000, 0)
	made := func(due int, ms ...int) request {
		r := request{due: start.Add(time.Duration(due) * time.Millisecond), answer: answer{status: http.StatusOK}}
		r.sent = r.due.Add(time.Millisecond)
		for _, m := range ms {
			r.answer.at = append(r.answer.at, start.Add(time.Duration(m)*time.Millisecond))
		}
		return r
	}
	refused, broken, cut, silent := made(0), made(0), made(0, 5, 6), made(0)
	refused.answer.status = http.StatusServiceUnavailable
	broken.err = errors.New("connection refused")
	cut.answer.failed = "INFERENCE_FAILED"
	s := account(Traffic{Streams: 8, TTFT: 100 * time.Millisecond, TPOT: 20 * time.Millisecond}, []request{
		made(0, 100, 110, 130), // good: at the limit, 15 ms a token
		made(10, 111, 112),     // late by 1 ms
		made(0, 50, 60, 110),   // 30 ms a token
		made(50, 60),           // good: one token
		refused, broken, cut, silent,
	}, 2*time.Second)
	if s.Completed != 4 || s.Good != 2 || s.GoodRequestsSec != 1 || s.GoodTokensSec != 2 || s.TokensSec != 5.5 || s.Late != time.Millisecond {
		t.Errorf("%+v", s)
	}
	if want := map[string]int{"HTTP 503": 1, "connection": 1, "INFERENCE_FAILED": 1, "no token": 1}; !reflect.DeepEqual(s.Errors, want) {
		t.Errorf("%v", s.Errors)
	}
	if s.TTFT.P50 != 50*time.Millisecond || s.TTFT.P99 != 101*time.Millisecond || s.Between.P99 != 50*time.Millisecond || s.Between.P50 != 10*time.Millisecond {
		t.Errorf("%+v %+v", s.TTFT, s.Between)
	}
}

func TestReadAnswer(t *testing.T) {
	const started = "data: {\"type\":\"started\",\"job_id\":\"j\"}\n\n"
	token := "data: {\"type\":\"token\",\"t\":\"\\\"type\\\":\\\"end\\\"\",\"i\":0}\n\n"
	for name, c := range map[string]struct {
		text   string
		tokens int
		failed string
		err    error
	}{
		"whole":         {started + token + token + "data: {\"type\":\"end\",\"tokens_out\":2}\n\n", 2, "", nil},
		"failed":        {started + token + "data: {\"type\":\"error\",\"code\":\"VRAM_OOM\",\"message\":\"m\",\"retriable\":true}\n\n", 1, "VRAM_OOM", nil},
		"failed oddly":  {started + "data: {\"type\":\"error\"}\n\n", 0, "error", nil},
		"cut":           {started + token, 1, "", errCut},
		"cut in a line": {started + token + "data: {\"type\":\"en", 1, "", errCut},
		"empty":         {"", 0, "", errCut},
	} {
		var a answer
		if err := a.read(strings.NewReader(c.text)); !errors.Is(err, c.err) || len(a.at) != c.tokens || a.failed != c.failed {
			t.Errorf("%s: %v %d tokens, failed %q", name, err, len(a.at), a.failed)
		}
	}
}
