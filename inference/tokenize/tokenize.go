package tokenize

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Tokenizer turns text into token ids and back. All methods may be called from any goroutine.
type Tokenizer interface {
	// Encode is EncodeWith with the zero options: a raw prompt read the way the reference implementation reads it.
	Encode(text string) ([]int32, error)
	// EncodeWith fails with ErrTooLong, ErrNotEncodable, ErrNoTokens or ErrClosed. No text is ever encoded in part.
	EncodeWith(text string, o EncodeOptions) ([]int32, error)
	// Decode leaves out control tokens and ids outside the vocabulary. The text is valid UTF-8 without U+FFFD.
	Decode(ids []int32) string
	// NewStream decodes ids one at a time from the beginning of a text: its pieces joined are Decode of the ids.
	NewStream() *Stream
	// NewStreamAfter goes on behind the given ids: its pieces are what Decode of all ids has after Decode of these. A
	// space that opens the answer to a prompt is kept here and lost by NewStream where the decoder strips the first one.
	NewStreamAfter(ids []int32) *Stream

	ID(token string) (int32, bool) // of a token as the vocabulary spells it
	Token(id int32) (string, bool)
	IsSpecial(id int32) bool // a control token: never part of decoded text
	VocabSize() int          // ids run from 0 to VocabSize-1
	Kind() string            // "hf-json" or "gguf-bpe"
	Digest() string          // SHA-256 of the tokenizer file, or of the vocabulary in a GGUF file, in hex: another tokenizer is another model
	Close() error            // waits for running calls of Encode; decoding keeps working
}

// EncodeOptions says how a text is read. The zero value is right for a raw prompt.
type EncodeOptions struct {
	// Literal spells out control tokens found in the text as the characters they are made of. For text that a user
	// wrote and a chat template frames: it must not be able to forge the frame. The first use loads the vocabulary once
	// more, which takes as long as Open.
	Literal bool
	// Bare leaves out the tokens that the post-processor puts around every text, such as BOS.
	Bare bool
}

// Options of Open.
type Options struct {
	// MaxTextBytes is the longest text that Encode takes, 0 for DefaultMaxText. The library needs up to 800 bytes of
	// memory for each byte of text.
	MaxTextBytes int
}

// DefaultMaxText is room for the longest prompt of the wire contract (32,768 characters) at four bytes each, twice.
const DefaultMaxText = 256 << 10

// CheckRows refuses a vocabulary with more tokens than the model has embedding rows: such a token would be read from
// memory behind the table.
func CheckRows(t Tokenizer, rows int) error {
	if n := t.VocabSize(); n > rows {
		token, _ := t.Token(int32(rows))
		return refuse("model.vocab", "%d tokens for a model with %d embedding rows; the first without one is %q (id %d)",
			n, rows, clip(token), rows)
	}
	return nil
}

// Open reads the tokenizer of a model: tokenizer.json in the model's folder, which may be named itself or by any file in
// it. A file that cannot be used is an *Error; a missing one wraps ErrMissing.
func Open(model string) (Tokenizer, error) { return OpenWith(model, Options{}) }

// OpenWith is Open with options.
func OpenWith(model string, o Options) (Tokenizer, error) {
	path, err := find(model)
	if err != nil {
		return nil, err
	}
	data, err := readFile(path)
	if err != nil {
		return nil, at(path, err)
	}
	t, err := newHF(path, data, o)
	if err != nil {
		return nil, at(path, err)
	}
	return t, nil
}

// at names the file in an Error from inside it.
func at(path string, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Path == "" {
		e.Path = path
		return e
	}
	return &Error{Path: path, Offset: -1, Reason: "cannot be read", Err: err}
}

// find is the path of the tokenizer file of a model given by its folder or a file in it.
func find(model string) (string, error) {
	info, err := os.Stat(model)
	if err != nil {
		return "", &Error{Path: model, Offset: -1, Reason: "cannot be read", Err: err}
	}
	folder := model
	if !info.IsDir() {
		folder = filepath.Dir(model)
	}
	path := filepath.Join(folder, "tokenizer.json")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", &Error{Path: path, Offset: -1, Reason: missing(folder), Err: ErrMissing}
	}
	return path, nil
}

// missing says what to do about a folder without tokenizer.json, by what is there instead.
func missing(folder string) string {
	for _, other := range []string{"tokenizer.model", "vocab.json", "vocab.txt", "tekken.json"} {
		if _, err := os.Stat(filepath.Join(folder, other)); err == nil {
			return fmt.Sprintf("only %s is there, which is not read: save the tokenizer in the fast format "+
				"(AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes tokenizer.json)", other)
		}
	}
	return "copy tokenizer.json of the model beside its weights"
}

// readFile reads a regular file of bounded size; a pipe or device would block or never end.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &Error{Offset: -1, Reason: "not a regular file"}
	}
	if info.Size() > maxFile {
		return nil, &Error{Offset: -1, Reason: fmt.Sprintf("%d bytes, at most %d are allowed", info.Size(), maxFile)}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, info.Size())
	n, err := io.ReadFull(f, data)
	if more, _ := f.Read(make([]byte, 1)); more > 0 || (err != nil && n < len(data)) {
		return nil, &Error{Offset: -1, Reason: "changed while it was read", Err: err}
	}
	return data, nil
}
