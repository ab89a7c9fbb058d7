package inference

import (
	"errors"
	"testing"
	"time"
)

// A deadline that cannot be met behind who runs is refused before any work; one
// that could have been met, had the device not slowed down, ends in the queue,
// and nothing is computed for it either.
func TestDeadlineThatCannotBeMet(t *testing.T) {
	e, w := openPaced(t, Options{MaxBatch: 1, MaxQueue: 4})
	clear(e.eos)
	e.mu.Lock()
	for range 8 * shareMemory {
		e.admission.pace.answered(1, 1)
	}
	e.mu.Unlock()
	ask := func(id string, left time.Duration) (<-chan Event, error) {
		r := Request{ID: id, Prompt: "Once upon a time", MaxTokens: 500} // 5 s in the device's time
		if left > 0 {
			r.Deadline = w.now().Add(left)
		}
		return e.Generate(t.Context(), r)
	}
	computed := map[string]bool{}
	slow, begun := make(chan struct{}), make(chan struct{})
	w.do(func(step int) {
		e.sched.each(func(q *sequence) { computed[q.id] = computed[q.id] || len(q.pages) > 0 })
		switch step {
		case 20:
			close(begun)
		case 21: // stays here until the others have been asked for
			<-slow
			w.mu.Lock()
			w.at = w.at.Add(time.Hour)
			w.mu.Unlock()
		}
	})
	first, err := ask("first", 0)
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	_, err = ask("hopeless", 2*time.Second)
	var typed *Error
	if !errors.As(err, &typed) || !errors.Is(err, ErrDeadlineUnmet) || typed.Code != CodeTimeout {
		t.Errorf("got %v", err)
	} else if typed.RetryAfter < 4*time.Second || typed.RetryAfter > 6*time.Second {
		t.Errorf("come back after %v, the first takes 5 s", typed.RetryAfter)
	}
	patient, err := ask("patient", 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	close(slow)
	if a := collect(t, patient); !errors.Is(a.err, ErrDeadlineUnmet) || len(a.ids) != 0 {
		t.Errorf("ended with %v %v after %d tokens", a.end, a.err, len(a.ids))
	}
	if a := collect(t, first); a.err != nil || a.end.TokensOut != 500 {
		t.Errorf("the first: %+v %v", a.end, a.err)
	}
	if computed["hopeless"] || computed["patient"] || !computed["first"] {
		t.Errorf("pages were given to %v", computed)
	}
}
