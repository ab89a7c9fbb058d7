package tokenize

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/daulet/tokenizers"
)

// hf encodes with the Hugging Face library and does everything else with what definition found in the file.
type hf struct {
	path    string
	kind    string // see Tokenizer.Kind
	def     *definition
	maxText int
	again   func() ([]byte, error) // the tokenizer.json once more

	mu      sync.RWMutex // Close is not synchronised with Encode in the library: held for reading while it runs
	raw     *tokenizers.Tokenizer
	literal *tokenizers.Tokenizer // reads control tokens as text; loaded when first asked for, it costs as much as raw
	long    sync.Mutex            // held while a long text is encoded, so that the memory of only one is needed
}

// longText is the size from which texts are encoded one at a time.
const longText = 16 << 10

func newHF(path string, data []byte, o Options) (*hf, error) {
	def, err := parseDefinition(data)
	if err != nil {
		return nil, err
	}
	return start(&hf{path: path, kind: "hf-json", def: def, again: func() ([]byte, error) { return readUnchanged(path, def) }}, o)
}

// start loads the library's side of a tokenizer that has everything else.
func start(t *hf, o Options) (*hf, error) {
	if t.maxText = o.MaxTextBytes; t.maxText == 0 {
		t.maxText = DefaultMaxText
	}
	var err error
	if t.raw, err = load(t.def.library); err != nil {
		return nil, err
	}
	if n := int(t.raw.VocabSize()); n != len(t.def.vocab.tokens) {
		return nil, errors.Join(refuse("", "the library sees %d tokens where the file has %d", n, len(t.def.vocab.tokens)), t.Close())
	}
	t.def.library = nil // made again if literal is ever needed: these are megabytes
	return t, nil
}

// readUnchanged reads the file once more. It must be the same as when the tokenizer was opened.
func readUnchanged(path string, def *definition) ([]byte, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(data) != def.digest {
		return nil, &Error{Offset: -1, Reason: "changed since the model was loaded"}
	}
	return data, nil
}

func load(definition []byte, options ...tokenizers.TokenizerOption) (*tokenizers.Tokenizer, error) {
	t, err := tokenizers.FromBytes(definition, options...)
	if err != nil {
		return nil, &Error{Offset: -1, Reason: "refused by the tokenizer library", Err: err}
	}
	return t, nil
}

func (t *hf) Encode(text string) ([]int32, error) { return t.EncodeWith(text, EncodeOptions{}) }

func (t *hf) EncodeWith(text string, o EncodeOptions) ([]int32, error) {
	if len(text) > t.maxText {
		return nil, fmt.Errorf("tokenize: %w: %d bytes, at most %d are taken", ErrTooLong, len(text), t.maxText)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("tokenize: %w: not UTF-8 at byte %d", ErrNotEncodable, invalidAt([]byte(text)))
	}
	if err := t.def.cover.check(text, t.def.vocab); err != nil {
		return nil, err
	}
	if len(text) >= longText {
		t.long.Lock()
		defer t.long.Unlock()
	}
	if o.Literal {
		if err := t.loadLiteral(); err != nil {
			return nil, err
		}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	lib := t.raw
	if o.Literal {
		lib = t.literal
	}
	if lib == nil {
		return nil, fmt.Errorf("tokenize: %w", ErrClosed)
	}
	encode := func(s string) ([]int32, error) { return libraryEncode(lib, s, !o.Bare) }
	if strings.IndexByte(text, 0) >= 0 {
		return t.encodeNUL(text, encode)
	}
	return encode(text)
}

// loadLiteral makes the second instance on first use, from the same definition as the first.
func (t *hf) loadLiteral() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.literal != nil || t.raw == nil {
		return nil
	}
	data, err := t.again()
	if err != nil {
		return at(t.path, err)
	}
	def, err := parseDefinition(data)
	if err != nil {
		return at(t.path, err)
	}
	t.literal, err = load(def.library, tokenizers.WithEncodeSpecialTokens())
	return err
}

// libraryEncode tells an empty answer from a failure as far as the library lets it. The token texts are not asked for:
// the library aborts the process when one holds a NUL.
func libraryEncode(lib *tokenizers.Tokenizer, text string, special bool) ([]int32, error) {
	ids := lib.EncodeWithOptions(text, special).IDs
	if len(ids) == 0 && text != "" {
		return nil, fmt.Errorf("tokenize: %w for a text of %d bytes", ErrNoTokens, len(text))
	}
	out := make([]int32, len(ids))
	for i, id := range ids {
		out[i] = int32(id)
	}
	return out, nil
}

// encodeNUL encodes a text with NUL characters, at which the library would stop reading. Another control character that
// the text does not have stands in for them, and its token is exchanged afterwards; cutting the text instead would
// begin a new word, with a space before it, after every NUL.
func (t *hf) encodeNUL(text string, encode func(string) ([]int32, error)) ([]int32, error) {
	nul, ok := t.controlToken(0)
	if !ok {
		return nil, fmt.Errorf("tokenize: %w: the vocabulary has no token for the NUL at byte %d",
			ErrNotEncodable, strings.IndexByte(text, 0))
	}
	for stand := byte(1); stand <= 0x7f; stand++ {
		if stand >= ' ' && stand < 0x7f || stand >= '\t' && stand <= '\r' || strings.IndexByte(text, stand) >= 0 {
			continue // a character that tokenizers treat unlike NUL, or one that the text uses
		}
		id, ok := t.controlToken(stand)
		if !ok {
			continue
		}
		ids, err := encode(strings.ReplaceAll(text, "\x00", string(rune(stand))))
		if err != nil {
			return nil, err
		}
		if exchanged(ids, id, nul) == strings.Count(text, "\x00") {
			return ids, nil
		}
	}
	return nil, fmt.Errorf("tokenize: %w: NUL beside every control character that could stand in for it", ErrNotEncodable)
}

// exchanged replaces one id by another and counts how often.
func exchanged(ids []int32, from, to int32) int {
	n := 0
	for i, id := range ids {
		if id == from {
			ids[i] = to
			n++
		}
	}
	return n
}

// controlToken is the token that stands for a single control byte, in whichever spelling the vocabulary has.
func (t *hf) controlToken(b byte) (int32, bool) {
	for _, spelling := range []string{string(rune(b)), string(byteChar(b)), hexToken(b)} {
		id, ok := t.def.vocab.ids[spelling]
		if piece := t.def.decoder.piece(id); ok && len(piece) == 1 && piece[0] == b {
			return id, true
		}
	}
	return 0, false
}

func (t *hf) Decode(ids []int32) string {
	s := newStream(t.def.decoder)
	out := make([]byte, 0, 6*len(ids))
	for _, id := range ids {
		out = s.push(out, id)
	}
	return string(out)
}

func (t *hf) NewStream() *Stream { return newStream(t.def.decoder) }

func (t *hf) NewStreamAfter(ids []int32) *Stream {
	s := newStream(t.def.decoder)
	for _, id := range ids {
		s.out = s.push(s.out[:0], id)
	}
	return s
}

func (t *hf) ID(token string) (int32, bool) {
	id, ok := t.def.vocab.ids[token]
	return id, ok
}

func (t *hf) Token(id int32) (string, bool) { return t.def.vocab.token(id) }

func (t *hf) IsSpecial(id int32) bool {
	return id >= 0 && int(id) < len(t.def.vocab.special) && t.def.vocab.special[id]
}

func (t *hf) VocabSize() int { return len(t.def.vocab.tokens) }

func (t *hf) Kind() string { return t.kind }

func (t *hf) Digest() string { return hex.EncodeToString(t.def.digest[:]) }

func (t *hf) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var err error
	for _, lib := range []*tokenizers.Tokenizer{t.raw, t.literal} {
		if lib != nil {
			err = errors.Join(err, lib.Close())
		}
	}
	t.raw, t.literal = nil, nil
	return err
}
