package inference

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

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
	Tok    tokenize.Tokenizer
}

// Inspect reads headers, config and tokenizer of the model at path, a folder or
// a file in it. Errors name the file and what is wrong with it. The inspection
// must be closed, unless Load takes it over.
func Inspect(path string) (*Inspection, error) {
	s, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	ins := &Inspection{Name: filepath.Base(s.Dir), Source: s}
	if err := ins.read(); err != nil {
		return nil, errors.Join(err, ins.Close())
	}
	return ins, nil
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
	if err = ins.tokenizer(); err != nil {
		return err
	}
	return tokenize.CheckRows(ins.Tok, ins.Spec.Vocab)
}

// tokenizer opens the one beside the weights, or that in the GGUF file.
func (ins *Inspection) tokenizer() (err error) {
	if ins.Source.Meta == nil {
		ins.Tok, err = tokenize.Open(ins.Source.Dir)
		return err
	}
	var doubts []string
	ins.Tok, doubts, err = ggufTokenizer(ins.Source)
	ins.Spec.Warnings = append(ins.Spec.Warnings, doubts...)
	return err
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
	errs := []error{ins.Source.Close()}
	if ins.Tok != nil {
		errs = append(errs, ins.Tok.Close())
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
