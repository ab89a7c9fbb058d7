package tokenize

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// ggufKinds are vocabularies as a GGUF file carries them, beside the tokenizer.json of the same model:
// scripts/gguf_vectors.py.
var ggufKinds = []string{"gguf-llama", "gguf-gpt2"}

type ggufVectors struct {
	GGUF    GGUF
	Vectors [][3]json.RawMessage // text, ids, text of the ids
}

func readGGUFVectors(t testing.TB, kind string) ggufVectors {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", kind, "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v ggufVectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func fromJSON[T any](t testing.TB, raw json.RawMessage) (v T) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestGGUFEncodesLikeTheFolder(t *testing.T) {
	for _, kind := range ggufKinds {
		v := readGGUFVectors(t, kind)
		tok := openGGUF(t, v.GGUF)
		for _, vector := range v.Vectors {
			text, want, decoded := fromJSON[string](t, vector[0]), fromJSON[[]int32](t, vector[1]), fromJSON[string](t, vector[2])
			got, err := tok.Encode(text)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %q = %v, %v; the reference says %v", kind, text, got, err, want)
			}
			if back := tok.Decode(want); back != decoded && !strings.ContainsRune(decoded, utf8.RuneError) {
				t.Errorf("%s: %v decodes to %q, the reference says %q", kind, want, back, decoded)
			}
		}
		if len(v.Vectors) != 1000 {
			t.Errorf("%s: %d texts", kind, len(v.Vectors))
		}
	}
}

// Any other text and any ids, too, in every way of reading them, against the tokenizer.json itself.
func TestGGUFAgreesWithTheFolder(t *testing.T) {
	for _, kind := range ggufKinds {
		tok, folder := openGGUF(t, readGGUFVectors(t, kind).GGUF), open(t, kind)
		if tok.VocabSize() != folder.VocabSize() || tok.Kind() == folder.Kind() || tok.Digest() == folder.Digest() {
			t.Errorf("%s: %d tokens, kind %s; the folder has %d, kind %s", kind, tok.VocabSize(), tok.Kind(), folder.VocabSize(), folder.Kind())
		}
		for id := range int32(tok.VocabSize()) {
			if tok.IsSpecial(id) != folder.IsSpecial(id) {
				t.Errorf("%s: token %d is a control token: %v", kind, id, tok.IsSpecial(id))
			}
		}
		part := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"<s>", "<|im_end|>", "[INST]", " the", "\n\n", "river", "12", "\x00", "ab"}))
		rapid.Check(t, func(t *rapid.T) {
			text := strings.Join(rapid.SliceOfN(part, 1, 6).Draw(t, "parts"), "")
			o := EncodeOptions{Literal: rapid.Bool().Draw(t, "literal"), Bare: rapid.Bool().Draw(t, "bare")}
			got, err := tok.EncodeWith(text, o)
			want, wantErr := folder.EncodeWith(text, o)
			if !slices.Equal(got, want) || (err == nil) != (wantErr == nil) {
				t.Fatalf("%s: %q with %+v = %v, %v; the folder says %v, %v", kind, text, o, got, err, want, wantErr)
			}
			ids := rapid.SliceOfN(anyID(tok), 0, 20).Draw(t, "ids")
			if got, want := tok.Decode(ids), folder.Decode(ids); got != want {
				t.Fatalf("%s: %v decodes to %q, the folder says %q", kind, ids, got, want)
			}
		})
	}
}
