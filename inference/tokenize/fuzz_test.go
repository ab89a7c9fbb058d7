package tokenize

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"
)

// FuzzOpen takes any bytes for a tokenizer.json, all the way through the library: a file that passes the checks must
// neither abort the process there nor break what a Tokenizer promises.
func FuzzOpen(f *testing.F) {
	for _, kind := range kinds {
		data, err := os.ReadFile(filepath.Join("testdata", kind, "tokenizer.json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "Hello \x00 世界")
	}
	f.Add([]byte(sound), "ab")
	for _, c := range malformed {
		if len(c.file) < 4<<10 {
			f.Add([]byte(c.file), "ab \x00")
		}
	}
	f.Fuzz(func(t *testing.T, file []byte, text string) {
		tok, err := newHF("", file, Options{MaxTextBytes: 256})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%v is not an *Error", err)
			}
			return
		}
		defer tok.Close()
		checkPromises(t, tok, text)
	})
}

// checkPromises encodes and decodes a text, and holds what comes out against what a Tokenizer promises.
func checkPromises(t *testing.T, tok Tokenizer, text string) {
	ids, err := tok.Encode(text)
	if err != nil {
		return
	}
	for _, id := range ids {
		if _, ok := tok.Token(id); !ok {
			t.Fatalf("id %d is not in the vocabulary of %d", id, tok.VocabSize())
		}
	}
	whole := tok.Decode(ids)
	if !utf8.ValidString(whole) || stream(t, tok.NewStream(), ids) != whole {
		t.Fatalf("%v decodes to %q, not so as a stream", ids, whole)
	}
}
