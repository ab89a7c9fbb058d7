package inference

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"llorch/inference/model"
	"llorch/inference/tokenize"
	"llorch/inference/weights"
)

// Inspection is a model, a folder or a GGUF file, that was read and found whole,
// with nothing loaded yet: what `inspect` shows and what the memory plan is made from.
type Inspection struct {
	Name   string // of the folder, or of the GGUF file
	Source *weights.Source
	Config model.Config
	Spec   model.Spec
	Tok    tokenize.Tokenizer // nil until Await has returned

	reading chan struct{} // closed when tok, doubts and failed are there
	tok     tokenize.Tokenizer
	doubts  []string
	failed  error
	await   sync.Once
}

// Inspect reads headers, config and tokenizer of the model at path, a folder or
// a file in it. Errors name the file and what is wrong with it. The inspection
// must be closed, unless Load takes it over.
func Inspect(path string) (*Inspection, error) {
	ins, err := Begin(path)
	if err != nil {
		return nil, err
	}
	if err := ins.Await(); err != nil {
		return nil, errors.Join(err, ins.Close())
	}
	return ins, nil
}

// Begin is Inspect, but does not wait for the tokenizer: reading a vocabulary takes
// a tenth of a second, a large one most of one, and weights can become resident
// meanwhile. Load waits for it; who wants Tok before calls Await.
func Begin(path string) (*Inspection, error) {
	s, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	ins := &Inspection{Name: filepath.Base(s.Dir), Source: s, reading: make(chan struct{})}
	if err := ins.read(); err != nil {
		close(ins.reading)
		return nil, errors.Join(err, ins.Close())
	}
	go func() {
		defer close(ins.reading)
		ins.tok, ins.doubts, ins.failed = ins.tokenizer()
		if ins.failed == nil {
			ins.failed = tokenize.CheckRows(ins.tok, ins.Spec.Vocab)
		}
	}()
	return ins, nil
}

// Await waits for the tokenizer and sets Tok. What is odd about it is added to
// Spec.Warnings. It may be called again, and returns the same.
func (ins *Inspection) Await() error {
	<-ins.reading
	ins.await.Do(func() {
		ins.Tok, ins.Spec.Warnings = ins.tok, append(ins.Spec.Warnings, ins.doubts...)
	})
	return ins.failed
}

// untilUnreadable ends when ctx does, and when there is no reading the tokenizer:
// that need not wait for all the weights.
func (ins *Inspection) untilUnreadable(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-ctx.Done():
		case <-ins.reading:
			if ins.failed != nil {
				cancel()
			}
		}
	}()
	return ctx, cancel
}

func (ins *Inspection) read() (err error) {
	if ins.Source.Meta != nil {
		ins.Name = ggufName(ins.Source)
		ins.Config, err = ggufConfig(ins.Source)
	} else {
		if abs, err := filepath.Abs(ins.Source.Dir); err == nil {
			ins.Name = filepath.Base(abs)
		}
		ins.Config, err = readConfig(ins.Source.Dir)
	}
	if err != nil {
		return err
	}
	if err = ins.Config.Check(ins.Source); err != nil {
		return err
	}
	ins.Spec = ins.Config.Spec() // after Check, which learns from the tensors
	return nil
}

// tokenizer opens the one beside the weights, or that in the GGUF file.
func (ins *Inspection) tokenizer() (tokenize.Tokenizer, []string, error) {
	if ins.Source.Meta != nil {
		return ggufTokenizer(ins.Source)
	}
	tok, err := tokenize.Open(ins.Source.Dir)
	return tok, nil, err
}

// readConfig reads config.json and, where there is one, generation_config.json.
func readConfig(dir string) (model.Config, error) {
	file := filepath.Join(dir, "config.json")
	config, err := weights.ReadFile(file, maxConfigBytes)
	if err != nil {
		return nil, fmt.Errorf("inference: %w: config.json must lie beside the weights", err)
	}
	generation, err := weights.ReadFile(filepath.Join(dir, "generation_config.json"), maxConfigBytes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("inference: %w", err)
	}
	return parseConfig(file, config, generation)
}

// maxConfigBytes is far above any real config and far below what hurts.
const maxConfigBytes = 4 << 20

// Close releases what Inspect opened.
func (ins *Inspection) Close() error {
	<-ins.reading // which reads the source
	errs := []error{ins.Source.Close()}
	if ins.tok != nil {
		errs = append(errs, ins.tok.Close())
	}
	return errors.Join(errs...)
}

// Quant names the format of most weight bytes, in the words of the wire: "BF16".
// A GGUF file may have a name of its own for its mixture: "Q4_K_M".
func (ins *Inspection) Quant() string {
	bytes, most, name := map[string]int64{}, int64(0), ""
	for _, n := range ins.Source.Names() {
		t, _ := ins.Source.Tensor(n)
		if bytes[t.Format] += t.Bytes; bytes[t.Format] > most {
			most, name = bytes[t.Format], t.Format
		}
	}
	if ins.Source.Meta != nil {
		return cmp.Or(ggufQuant(ins.Source), name)
	}
	return name
}

// Params counts the model's parameters.
func (ins *Inspection) Params() int64 {
	var total int64
	for _, name := range ins.Source.Names() {
		t, _ := ins.Source.Tensor(name)
		total += t.Elements()
	}
	return total
}
