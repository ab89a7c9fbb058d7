package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"llorch/deploy/demo/standin"
)

// integrity: files that are not what they should be, and a load that is watched.
var integrity = []Drill{
	{"flipped-bit", "integrity", []int{8}, 40 * time.Second, flippedBit},
	{"other-tokenizer", "integrity", []int{8}, 40 * time.Second, otherTokenizer},
	{"weight-that-is-no-number", "integrity", []int{8}, 40 * time.Second, noNumber},
	{"load-tells-how-far", "integrity", []int{7}, 60 * time.Second, loadTells},
}

// tensor is where one lies in its file.
type tensor struct {
	file, name, format string
	offset, bytes      int64
}

// firstTensor finds the first tensor of the copy, and its place in the file.
func firstTensor(dir string) (t tensor, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil || len(files) == 0 {
		return t, fmt.Errorf("no weights in %s: %w", dir, err)
	}
	t.file = files[0]
	text, err := os.ReadFile(t.file)
	if err != nil {
		return t, err
	}
	data := 8 + int64(binary.LittleEndian.Uint64(text))
	var header map[string]struct {
		Type    string   `json:"dtype"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	if err := json.Unmarshal(text[8:data], &header); err != nil {
		return t, fmt.Errorf("%s: %w", t.file, err)
	}
	for name, x := range header {
		if x.Type != "" && x.Offsets[0] == 0 {
			t.name, t.format, t.offset, t.bytes = name, x.Type, data, x.Offsets[1]
			return t, nil
		}
	}
	return t, fmt.Errorf("%s: no tensor begins its data", t.file)
}

// overwrite changes bytes of a file where they lie.
func overwrite(path string, at int64, change func(b []byte), n int) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, n)
	if _, err = f.ReadAt(b, at); err == nil {
		change(b)
		_, err = f.WriteAt(b, at)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// manifested copies the model and writes its manifest.
func manifested(ctx context.Context, b *Bench) (string, error) {
	dir, err := b.CopyModel()
	if err != nil {
		return "", err
	}
	status, text, err := b.Output(ctx, b.Bin, "verify", dir, "--write")
	if err == nil && status != 0 {
		err = fmt.Errorf("verify --write: exit status %d: %s", status, text)
	}
	return dir, err
}

// refusedStart spawns a worker on a damaged model: it must end with 1, say the
// words in its log, and tell no orchestrator.
func refusedStart(ctx context.Context, b *Bench, dir string, words ...string) (time.Duration, error) {
	o, err := b.Orchestrator(nil)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	w, err := b.Spawn(standin.Spawn{Model: dir, CallbackURL: o.URL("/ready"), Args: []string{"--local-mode"}})
	if err != nil {
		return 0, err
	}
	if err := exits(ctx, w, 1); err != nil {
		return 0, err
	}
	took := time.Since(began)
	line, err := logged(ctx, w, "error")
	if err != nil {
		return 0, err
	}
	said, _ := line.Fields["error"].(string)
	for _, word := range words {
		if !strings.Contains(said, word) {
			return 0, fmt.Errorf("no %q in %s", word, said)
		}
	}
	if calls := o.Calls(); len(calls) > 0 {
		return 0, fmt.Errorf("the orchestrator was called %d times", len(calls))
	}
	return took, nil
}

// flippedBit: one bit of the model is not what the manifest was made of.
func flippedBit(ctx context.Context, b *Bench) (string, error) {
	dir, err := manifested(ctx, b)
	if err != nil {
		return "", err
	}
	t, err := firstTensor(dir)
	if err != nil {
		return "", err
	}
	if err := overwrite(t.file, t.offset+t.bytes/2, func(b []byte) { b[0] ^= 1 }, 1); err != nil {
		return "", err
	}
	took, err := refusedStart(ctx, b, dir, t.file, fmt.Sprintf("tensor %q", t.name), fmt.Sprintf("bytes [%d,%d)", t.offset, t.offset+t.bytes))
	return fmt.Sprintf("1 bit of %d MB: refused after %.2f s by file, tensor and bytes, no callback", t.bytes>>20, took.Seconds()), err
}

// otherTokenizer: the weights are right, the tokenizer is not.
func otherTokenizer(ctx context.Context, b *Bench) (string, error) {
	dir, err := manifested(ctx, b)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "tokenizer.json")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		return "", err
	}
	took, err := refusedStart(ctx, b, dir, path)
	return fmt.Sprintf("one byte more in tokenizer.json: refused after %.2f s", took.Seconds()), err
}

// noNumber: a NaN among the weights, and no manifest that would tell.
func noNumber(ctx context.Context, b *Bench) (string, error) {
	dir, err := b.CopyModel()
	if err != nil {
		return "", err
	}
	t, err := firstTensor(dir)
	if err != nil {
		return "", err
	}
	width := map[string]int64{"F32": 4, "F16": 2, "BF16": 2}[t.format]
	if width == 0 {
		return "", fmt.Errorf("%s is of format %s", t.name, t.format)
	}
	const element = 1000 // all bits set is a NaN in every format
	set := func(b []byte) {
		for i := range b {
			b[i] = 0xff
		}
	}
	if err := overwrite(t.file, t.offset+element*width, set, int(width)); err != nil {
		return "", err
	}
	took, err := refusedStart(ctx, b, dir, t.file, fmt.Sprintf("tensor %q", t.name), fmt.Sprintf("element %d of its", element), "NaN")
	return fmt.Sprintf("refused after %.2f s by file, tensor and element", took.Seconds()), err
}

// loadTells: a load that takes a while says how far it is and never goes back.
func loadTells(ctx context.Context, b *Bench) (string, error) {
	w, err := b.Spawn(standin.Spawn{Args: []string{"--local-mode", "--kv-cache-mb", "1024"}}) // takes time to clear
	if err != nil {
		return "", err
	}
	seen, last := 0, -1
	err = until(ctx, "the worker is ready", func() error {
		status, _, text, err := w.Do(ctx, "GET", "/health", nil)
		if err != nil {
			return err
		}
		var h struct {
			Model    string
			Progress *struct{ Percent int }
		}
		if err := json.Unmarshal(text, &h); err != nil {
			return err
		}
		if p := h.Progress; p != nil {
			if p.Percent < last || h.Model == "" {
				last = 1000 // wrong, and told below
			}
			if p.Percent != last {
				seen, last = seen+1, max(last, p.Percent)
			}
		}
		if status != 200 {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	if err == nil && last > 100 {
		err = errors.New("the percentage went back, or the model had no name")
	}
	if err != nil {
		return "", err
	}
	if _, err := logged(ctx, w, "ready"); err != nil { // the lines before it are there
		return "", err
	}
	lines, err := w.Log()
	var quarters []any
	for _, l := range lines {
		if l.Fields["message"] == "model_load_progress" {
			quarters = append(quarters, l.Fields["percent"])
		}
	}
	if want := []any{0.0, 25.0, 50.0, 75.0, 100.0}; err == nil && !slices.Equal(quarters, want) {
		err = fmt.Errorf("the log tells of %v %%", quarters)
	}
	return fmt.Sprintf("%d steps seen from outside, rising, the model named from the start", seen), err
}
