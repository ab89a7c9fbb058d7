package inference

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/sample"
	"llorch/inference/weights"
)

// copyModel copies the files of a model folder and returns the copy.
func copyModel(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(from, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", from, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// damage sets all bits of a row of a tensor in a model folder, which is NaN in every
// format of floats.
func damage(t *testing.T, dir, name string, row int) {
	t.Helper()
	s, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	x, ok := s.Tensor(name)
	if !ok {
		t.Fatalf("%s has no %s", dir, name)
	}
	f, err := os.OpenFile(s.Files[x.File].Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	bytes := x.Type.RowBytes(x.Shape[len(x.Shape)-1])
	_, err = f.WriteAt(slices.Repeat([]byte{0xff}, bytes), x.Offset+int64(row*bytes))
	if err := errors.Join(err, f.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestNaNFailsItsOwnRequest makes the embedding of one token NaN: a request
// with that token fails, the one beside it in the batch has its right text.
func TestNaNFailsItsOwnRequest(t *testing.T) {
	const bad = 77
	dir := copyModel(t, "testdata/llama-mha")
	damage(t, dir, "model.embed_tokens.weight", bad)

	for _, device := range []string{"cpu", "ref"} {
		e := openEngine(t, dir, Options{Device: device, Verify: VerifyOff})
		clear(e.eos)
		run := func(id string, ids ...int32) <-chan Event {
			events, err := e.submit(e.newSequence(context.Background(), Request{ID: id, MaxTokens: 8}, ids))
			if err != nil {
				t.Fatal(err)
			}
			return events
		}
		alone := collect(t, run("alone", 5, 6, 7))
		sick, well := run("sick", 5, bad, 7), run("well", 5, 6, 7)
		if a := collect(t, sick); !errors.Is(a.err, sample.ErrNotFinite) || len(a.ids) > 0 {
			t.Errorf("%s: the request with the NaN ended with %v %v", device, a.ids, a.err)
		}
		if a := collect(t, well); a.err != nil || !slices.Equal(a.ids, alone.ids) || len(a.ids) != 8 {
			t.Errorf("%s: its neighbour: %v %v, alone %v", device, a.ids, a.err, alone.ids)
		}
	}
}

// TestTruncatedFileIsAFault cuts the weight file under a running engine: no
// token comes any more, every stream ends with a typed error, the fault stays.
// Whoever owns the state is told before any stream ends.
func TestTruncatedFileIsAFault(t *testing.T) {
	for _, device := range []string{"cpu", "ref"} {
		dir := copyModel(t, "testdata/llama-mha")
		var told atomic.Bool
		e := openEngine(t, dir, Options{Device: device, Faulted: func(err error) { told.Store(backend.IsFault(err)) }})
		clear(e.eos)
		request := Request{ID: "a", Prompt: "hello", MaxTokens: 400}
		events, err := e.Generate(context.Background(), request)
		if err != nil {
			t.Fatal(err)
		}
		<-events
		if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 0); err != nil {
			t.Fatal(err)
		}
		var typed *Error
		if a := collectFrom(t, events); !errors.As(a.err, &typed) || typed.Code != CodeUnhealthy || !backend.IsFault(a.err) {
			t.Errorf("%s: the stream ended with %v %v", device, a.end, a.err)
		}
		if !told.Load() {
			t.Errorf("%s: the stream ended before anybody was told of the fault", device)
		}
		select {
		case <-e.Faulted():
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: no fault is latched", device)
		}
		if _, err := e.Generate(context.Background(), request); !backend.IsFault(err) || !backend.IsFault(e.Fault()) {
			t.Errorf("%s: Generate after the fault: %v", device, err)
		}
	}
}
