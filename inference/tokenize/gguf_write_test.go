package tokenize

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func toGGUFOf(t testing.TB, model string) GGUF {
	t.Helper()
	g, err := ToGGUF(model)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A tokenizer.json, and the vocabulary made of it for a GGUF file, read every text alike. The one exception is said in
// Doubts: Mistral's puts no space behind control tokens and none before another.
func TestToGGUFReadsTextLikeTheFile(t *testing.T) {
	for model, want := range map[string]struct{ kind, pre, doubt string }{
		filepath.Join("testdata", "llama3"):            {"gpt2", "llama-bpe", ""},
		filepath.Join("testdata", "gguf-gpt2"):         {"gpt2", "qwen2", ""},
		filepath.Join("..", "testdata", "llama-gqa"):   {"gpt2", "gpt-2", ""},
		filepath.Join("testdata", "gguf-llama"):        {"llama", "default", ""},
		filepath.Join("testdata", "llama2"):            {"llama", "default", "some words otherwise"},
		filepath.Join("testdata", "mistral"):           {"llama", "default", "beginning of a text only"},
		filepath.Join("..", "..", "deploy/demo/model"): {"llama", "default", "some words otherwise"},
	} {
		g, file := toGGUFOf(t, model), open2(t, model)
		tok := openGGUF(t, g)
		if g.Model != want.kind || g.Pre != want.pre || !strings.Contains(strings.Join(g.Doubts(), " "), want.doubt) || (want.doubt == "") != (len(g.Doubts()) == 0) {
			t.Errorf("%s: %s, %s, doubts %q", model, g.Model, g.Pre, g.Doubts())
		}
		parts := []string{" the", "river", "\n\n", "12", "\x00", "ab", "  x"}
		if !strings.Contains(want.doubt, "beginning") {
			parts = append(parts, "<s>", "<|im_end|>", "[INST]")
		}
		part := rapid.OneOf(rapid.String(), rapid.SampledFrom(parts))
		rapid.Check(t, func(t *rapid.T) {
			text := strings.Join(rapid.SliceOfN(part, 1, 6).Draw(t, "parts"), "")
			if strings.Contains(want.doubt, "beginning") {
				text = "x" + text
			}
			o := EncodeOptions{Literal: rapid.Bool().Draw(t, "literal"), Bare: rapid.Bool().Draw(t, "bare")}
			got, err := tok.EncodeWith(text, o)
			due, dueErr := file.EncodeWith(text, o)
			if !slices.Equal(got, due) || (err == nil) != (dueErr == nil) {
				t.Fatalf("%s: %q with %+v = %v, %v; the file says %v, %v", model, text, o, got, err, due, dueErr)
			}
			if got, want := tok.Decode(due), file.Decode(due); got != want {
				t.Fatalf("%s: %v decodes to %q, the file says %q", model, due, got, want)
			}
		})
	}
}

func open2(t testing.TB, model string) Tokenizer {
	t.Helper()
	tok, err := Open(model)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tok.Close() })
	return tok
}

// From a GGUF file's vocabulary over the folder and back: the same tokens, types and ids; scores in the same order.
func TestToGGUFGivesBackTheVocabulary(t *testing.T) {
	for _, kind := range ggufKinds {
		want, got := readGGUFVectors(t, kind).GGUF, toGGUFOf(t, filepath.Join("testdata", kind))
		if !slices.Equal(got.Tokens, want.Tokens) || !slices.Equal(got.Types, want.Types) || want.Merges != nil && !slices.Equal(got.Merges, want.Merges) {
			t.Errorf("%s: tokens, types or merges differ", kind)
		}
		if got.UNK != want.UNK || isSet(got.AddBOS, true) != isSet(want.AddBOS, false) || *got.AddBOS && got.BOS != want.BOS {
			t.Errorf("%s: BOS %d %v, UNK %d", kind, got.BOS, *got.AddBOS, got.UNK)
		}
		if len(got.Scores) != len(want.Scores) {
			t.Errorf("%s: %d scores", kind, len(got.Scores))
		}
		for i := 1; i < len(want.Scores); i++ { // pieces of SentencePiece stand in the order of their scores
			if want.Types[i] == ggufNormal && want.Types[i-1] == ggufNormal && got.Scores[i] > got.Scores[i-1] {
				t.Errorf("%s: piece %d has a higher score than the one before", kind, i)
			}
		}
	}
}

func TestPadTo(t *testing.T) {
	for _, kind := range ggufKinds {
		g := toGGUFOf(t, filepath.Join("testdata", kind))
		n := len(g.Tokens)
		g.PadTo(n + 3)
		tok := openGGUF(t, g)
		if word, _ := tok.Token(int32(n + 2)); tok.VocabSize() != n+3 || !strings.HasPrefix(word, "[PAD") {
			t.Errorf("%s: %d tokens, the last is %q", kind, tok.VocabSize(), word)
		}
		if g.PadTo(5); len(g.Tokens) != n+3 {
			t.Errorf("%s: cut to %d tokens", kind, len(g.Tokens))
		}
	}
}

func TestToGGUFRefusesWhatAGGUFCannotSay(t *testing.T) {
	spm, bytes := readFixture(t, "gguf-llama"), readFixture(t, "gguf-gpt2")
	for _, c := range []struct{ name, file, old, new, field string }{
		{"another expression", bytes, `|\\p{N}|`, `|\\p{N}{2}|`, "pre_tokenizer"},
		{"another normal form", bytes, `"normalizer":{"type":"NFC"}`, `"normalizer":{"type":"NFKC"}`, "pre_tokenizer"},
		{"whole words", bytes, `"single_word":false`, `"single_word":true`, "added_tokens[0]"},
		{"blanks before", bytes, `"lstrip":false`, `"lstrip":true`, "added_tokens[0]"},
		{"blanks behind", spm, `"rstrip":false`, `"rstrip":true`, "added_tokens[0]"},
		{"another character for spaces", spm, `"content":"▁"`, `"content":"_"`, "normalizer"},
		{"another thing before the text", spm, `"prepend":"▁"`, `"prepend":"x"`, "normalizer"},
		{"no bytes", spm, `"byte_fallback":true`, `"byte_fallback":false`, "model.byte_fallback"},
		{"splits inside pieces", spm, `"pre_tokenizer":null`, `"pre_tokenizer":{"type":"Split","pattern":{"String":"▁"},"behavior":"MergedWithNext","invert":false}`, "pre_tokenizer"},
		{"splits at digits", spm, `"pre_tokenizer":null`, `"pre_tokenizer":{"type":"Digits","individual_digits":true}`, "pre_tokenizer"},
		{"BOS twice", spm, `"single":[`, `"single":[{"SpecialToken":{"id":"<s>","type_id":0}},`, "post_processor.single"},
		{"not BPE", sound, `"type":"BPE"`, `"type":"WordLevel"`, "model.type"},
		{"malformed", bytes, `"version":"1.0"`, `"version":"2.0"`, "version"},
	} {
		if !strings.Contains(c.file, c.old) {
			t.Fatalf("%s: %q is not in the file", c.name, c.old)
		}
		path := filepath.Join(t.TempDir(), "tokenizer.json")
		if err := os.WriteFile(path, []byte(strings.Replace(c.file, c.old, c.new, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ToGGUF(path)
		var e *Error
		if !errors.As(err, &e) || e.Field != c.field || e.Path != path {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := ToGGUF(t.TempDir()); !errors.Is(err, ErrMissing) {
		t.Errorf("no file: %v", err)
	}
}

func readFixture(t testing.TB, kind string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", kind, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
