package inference

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"llorch/inference/backend"
	"llorch/inference/convert"
	"llorch/inference/model/llama"
	"llorch/inference/tensor"
	"llorch/inference/tokenize"
	"llorch/inference/weights"
)

// GGUFFormats are the formats that WriteGGUF knows.
func GGUFFormats() []string { return convert.Names() }

// WriteGGUF writes the model at in, a SafeTensors folder or a file in it, as the
// GGUF file out, in the format of one of convert.Targets. out appears when it is
// whole, and replaces nothing unless replace is set. progress, which may be nil, is
// told how many bytes of the weights have been read. The doubts are sentences for
// people about what other readers of the file may do otherwise.
func WriteGGUF(ctx context.Context, in, out, format string, replace bool, progress func(done, total int64)) (doubts []string, err error) {
	target, err := convert.ParseTarget(format)
	if err != nil {
		return nil, fmt.Errorf("inference: %w", err)
	}
	if _, err := os.Lstat(out); err == nil && !replace {
		return nil, fmt.Errorf("inference: %s is there already", out)
	}
	s, err := weights.Open(in)
	if err != nil {
		return nil, fmt.Errorf("inference: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	m, err := convertible(s)
	if err != nil {
		return nil, err
	}
	encode, closeEncoder, err := hostEncoder()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeEncoder()) }()
	m.Encode = encode
	f, err := os.CreateTemp(filepath.Dir(out), ".gguf-")
	if err != nil {
		return nil, fmt.Errorf("inference: %w", err)
	}
	defer os.Remove(f.Name())
	err = m.Write(ctx, f, target, progress)
	if err == nil {
		err = s.Changed() // while it was read
	}
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), out)
	}
	if err != nil {
		return nil, fmt.Errorf("inference: write %s: %w", out, err)
	}
	return m.Vocabulary.Doubts(), nil
}

// hostEncoder is the encoder of the host's processor, proven by the self-test of
// its device, or nil in a program without one.
func hostEncoder() (tensor.Encoder, func() error, error) {
	d, err := backend.Open("cpu", backend.Options{Threads: 1})
	if errors.Is(err, backend.ErrNoDevice) {
		return nil, func() error { return nil }, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("inference: %w", err)
	}
	return backend.Encoder(d), d.Close, nil
}

// convertible reads what belongs to the weights.
func convertible(s *weights.Source) (m convert.Model, err error) {
	if s.Meta != nil {
		return m, fmt.Errorf("inference: %s is a GGUF file already; give the SafeTensors folder of the model", s.Path)
	}
	config, err := readConfig(s.Dir)
	if err != nil {
		return m, err
	}
	if err := config.Check(s); err != nil {
		return m, fmt.Errorf("inference: %w", err)
	}
	c, ok := config.(*llama.Config)
	if !ok {
		return m, fmt.Errorf("inference: %s: models of this family cannot be written as GGUF", s.Dir)
	}
	vocabulary, err := tokenize.ToGGUF(s.Dir)
	if err != nil {
		return m, fmt.Errorf("inference: %w", err)
	}
	vocabulary.PadTo(c.Vocab)
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return m, fmt.Errorf("inference: %w", err)
	}
	return convert.Model{Name: filepath.Base(dir), Source: s, Config: c, Vocabulary: vocabulary}, nil
}
