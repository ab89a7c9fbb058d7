package tokenize

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"llorch/inference/cputime"
)

func yes() *bool { v := true; return &v }
func no() *bool  { v := false; return &v }

// smallSPM is a "llama" vocabulary in which "▁ab" can be joined in two ways: to ▁ and ab, since ab has the higher score.
func smallSPM() GGUF {
	g := GGUF{Model: "llama", BOS: 1, EOS: 2, EOT: -1, EOM: -1, UNK: 0, PAD: -1}
	add := func(token string, score float32, kind int32) {
		g.Tokens, g.Scores, g.Types = append(g.Tokens, token), append(g.Scores, score), append(g.Types, kind)
	}
	add("<unk>", 0, ggufUnknown)
	add("<s>", 0, ggufControl)
	add("</s>", 0, ggufControl)
	for b := range 256 {
		add(hexToken(byte(b)), 0, ggufByte)
	}
	for i, piece := range []string{"ab", "▁a", "</", "s>", "▁", "a", "b", "<", "/", "s", ">"} {
		add(piece, float32(-i), ggufNormal)
	}
	add("<user>", 0, ggufUserDefined)
	return g
}

// smallBytes is a "gpt2" vocabulary of all bytes, "ab" and two added tokens.
func smallBytes() GGUF {
	g := GGUF{Model: "gpt2", Pre: "gpt-2", Merges: []string{"a b", "Ġ ab"}, BOS: 258, EOS: 258, EOT: -1, EOM: -1, UNK: -1, PAD: -1}
	for b := range 256 {
		g.Tokens = append(g.Tokens, string(byteChar(byte(b))))
	}
	g.Tokens = append(g.Tokens, "ab", "Ġab", "<|end|>", "[INST]")
	g.Types = slices.Repeat([]int32{ggufNormal}, 258)
	g.Types = append(g.Types, ggufControl, ggufUserDefined)
	return g
}

func openGGUF(t testing.TB, g GGUF) Tokenizer {
	t.Helper()
	tok, err := OpenGGUF("x.gguf", g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tok.Close() })
	return tok
}

func spell(tok Tokenizer, ids []int32) string {
	var words []string
	for _, id := range ids {
		word, _ := tok.Token(id)
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestGGUFEncodes(t *testing.T) {
	with := func(g GGUF, change func(*GGUF)) GGUF { change(&g); return g }
	for _, c := range []struct {
		name       string
		g          GGUF
		text, want string
		o          EncodeOptions
	}{
		{"pieces by score", smallSPM(), "ab", "<s> ▁ ab", EncodeOptions{}},
		{"by the merges where a file has them", with(smallSPM(), func(g *GGUF) { g.Merges = []string{"▁ a", "a b"} }), "ab", "<s> ▁a b", EncodeOptions{}},
		{"no control token out of characters", smallSPM(), "</s>", "▁ </ s>", EncodeOptions{Bare: true, Literal: true}},
		{"a control token as itself", smallSPM(), "</s>", "</s>", EncodeOptions{Bare: true}},
		{"a user-defined token in literal text", smallSPM(), "a<user>", "▁a <user>", EncodeOptions{Bare: true, Literal: true}},
		{"bytes", smallSPM(), "é", "<s> ▁ <0xC3> <0xA9>", EncodeOptions{}},
		{"NUL", smallSPM(), "\x00", "<s> ▁ <0x00>", EncodeOptions{}},
		{"no space before", with(smallSPM(), func(g *GGUF) { g.AddSpacePrefix = no() }), "ab", "<s> ab", EncodeOptions{}},
		{"no BOS", with(smallSPM(), func(g *GGUF) { g.AddBOS = no() }), "ab", "▁ ab", EncodeOptions{}},
		{"EOS", with(smallSPM(), func(g *GGUF) { g.AddEOS = yes() }), "ab", "<s> ▁ ab </s>", EncodeOptions{}},
		{"ids found by name", with(smallSPM(), func(g *GGUF) { g.BOS, g.EOS, g.UNK = -1, -1, -1 }), "ab", "<s> ▁ ab", EncodeOptions{}},
		{"no types", with(smallSPM(), func(g *GGUF) { g.Types = nil }), "</s>é", "<s> </s> ▁ <0xC3> <0xA9>", EncodeOptions{}},
		{"no BOS by default", smallBytes(), "ab ab", "ab Ġab", EncodeOptions{}},
		{"BOS when asked", with(smallBytes(), func(g *GGUF) { g.AddBOS = yes() }), "ab", "<|end|> ab", EncodeOptions{}},
		{"BOS by the kind of splitting", with(smallBytes(), func(g *GGUF) { g.Pre = "llama-bpe" }), "ab", "<|end|> ab", EncodeOptions{}},
		{"control and added tokens", smallBytes(), "<|end|>ab[INST]", "<|end|> ab [INST]", EncodeOptions{}},
		{"control tokens in literal text", smallBytes(), "<|end|>[INST]", "< | e n d | > [INST]", EncodeOptions{Literal: true}},
		{"a control token that is a word", with(smallBytes(), func(g *GGUF) { g.Tokens[258], g.Pre = "aab", "llama-bpe" }), "aab", "a ab", EncodeOptions{Bare: true, Literal: true}},
		{"a control token that a merge makes", with(smallBytes(), func(g *GGUF) { g.Tokens[258], g.Merges = "aab", append(g.Merges, "a ab") }), "aab", "a ab", EncodeOptions{Literal: true}},
		{"a control token that the file calls text", with(smallBytes(), func(g *GGUF) { g.Types[258] = ggufNormal }), "<|end|>", "<|end|>", EncodeOptions{}},
		{"an empty token", with(smallBytes(), func(g *GGUF) { g.Tokens[259] = "" }), "ab", "ab", EncodeOptions{}},
	} {
		tok := openGGUF(t, c.g)
		ids, err := tok.EncodeWith(c.text, c.o)
		if got := spell(tok, ids); err != nil || got != c.want {
			t.Errorf("%s: %q is %q, %v; want %q", c.name, c.text, got, err, c.want)
		}
	}
}

func TestGGUFDecodes(t *testing.T) {
	for name, c := range map[string]struct {
		g    GGUF
		ids  []int32
		want string
	}{
		"the first space goes":         {smallSPM(), []int32{1, 260, 265, 260, 265, 2}, "ab ab"},
		"or stays":                     {func() GGUF { g := smallSPM(); g.AddSpacePrefix = no(); return g }(), []int32{1, 260, 265, 260, 265}, " ab ab"},
		"bytes and user-defined":       {smallSPM(), []int32{3 + 0xc3, 3 + 0xa9, 270}, "é<user>"},
		"byte characters":              {smallBytes(), []int32{0xc3, 0xa9, 257, 258, 259}, "é ab[INST]"},
		"ids outside":                  {smallBytes(), []int32{-1, 256, 260}, "ab"},
		"the empty token has no text":  {func() GGUF { g := smallBytes(); g.Tokens[259] = ""; return g }(), []int32{256, 259}, "ab"},
		"a padding that is a word too": {func() GGUF { g := smallBytes(); g.PAD = 256; return g }(), []int32{256}, "ab"},
	} {
		if got := openGGUF(t, c.g).Decode(c.ids); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestGGUFIdentity(t *testing.T) {
	seen := map[string]string{}
	for name, change := range map[string]func(*GGUF){
		"same": func(*GGUF) {}, "score": func(g *GGUF) { g.Scores[259] = 1 }, "type": func(g *GGUF) { g.Types[270] = ggufControl },
		"token": func(g *GGUF) { g.Tokens[270] = "<user2>" }, "bos": func(g *GGUF) { g.BOS = 2 }, "flag": func(g *GGUF) { g.AddEOS = no() },
		"pre": func(g *GGUF) { g.Pre = "default" }, "pad": func(g *GGUF) { g.PAD = 0 }, "merges": func(g *GGUF) { g.Merges = []string{"a b"} },
	} {
		g := smallSPM()
		change(&g)
		tok := openGGUF(t, g)
		if tok.Kind() != "gguf-bpe" || len(tok.Digest()) != 64 {
			t.Errorf("%s: kind %q, digest %q", name, tok.Kind(), tok.Digest())
		}
		if other, twice := seen[tok.Digest()]; twice {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[tok.Digest()] = name
	}
	if _, ok := seen[openGGUF(t, smallSPM()).Digest()]; !ok {
		t.Error("the same vocabulary has two digests")
	}
}

// Every splitting must pass the check of its expressions and the library.
func TestEverySplittingOpens(t *testing.T) {
	for _, s := range splittings {
		for _, name := range s.names {
			g := smallBytes()
			g.Pre = name
			tok := openGGUF(t, g)
			for _, text := range []string{"ab 123 AB's\n\n  x, 你好 é!", "a\x00b", "  \t ", "٣٤٥ ¼ ² ¡Ábc"} {
				ids, err := tok.EncodeWith(text, EncodeOptions{Bare: true})
				if got := tok.Decode(ids); err != nil || got != text {
					t.Errorf("%s: %q comes back as %q, %v", name, text, got, err)
				}
			}
		}
	}
}

var malformedGGUF = []struct {
	name, field, reason string
	spoil               func(*GGUF)
}{
	{"no model", "model", "missing", func(g *GGUF) { g.Model = "" }},
	{"no vocabulary", "model", "convert the model again", func(g *GGUF) { g.Model = "no_vocab" }},
	{"WordPiece", "model", "WordPiece", func(g *GGUF) { g.Model = "bert" }},
	{"Unigram", "model", "Unigram", func(g *GGUF) { g.Model = "t5" }},
	{"RWKV", "model", "RWKV", func(g *GGUF) { g.Model = "rwkv" }},
	{"unknown model", "model", "not known", func(g *GGUF) { g.Model = strings.Repeat("x", 1<<20) }},
	{"unknown splitting", "pre", "supported are bailingmoe", func(g *GGUF) { *g = smallBytes(); g.Pre = "x" }},
	{"no tokens", "tokens", "missing", func(g *GGUF) { g.Tokens, g.Types, g.Scores = nil, nil, nil }},
	{"too many tokens", "tokens", "at most", func(g *GGUF) { g.Tokens = make([]string, maxTokens+1) }},
	{"too many merges", "merges", "at most", func(g *GGUF) { g.Merges = make([]string, maxMerges+1) }},
	{"fewer scores", "scores", "270 scores for 271 tokens", func(g *GGUF) { g.Scores = g.Scores[1:] }},
	{"more scores", "scores", "272 scores", func(g *GGUF) { g.Scores = append(g.Scores, 1) }},
	{"empty scores", "scores", "0 scores", func(g *GGUF) { g.Scores = []float32{} }},
	{"no scores", "scores", "missing", func(g *GGUF) { g.Scores = nil }},
	{"fewer types", "token_type", "270 types for 271 tokens", func(g *GGUF) { g.Types = g.Types[1:] }},
	{"NaN score", "scores[9]", "NaN", func(g *GGUF) { g.Scores[9] = float32(math.NaN()) }},
	{"infinite score", "scores[9]", "Inf", func(g *GGUF) { g.Scores[9] = float32(math.Inf(-1)) }},
	{"type 7", "token_type[5]", "7", func(g *GGUF) { g.Types[5] = 7 }},
	{"type -1", "token_type[5]", "-1", func(g *GGUF) { g.Types[5] = -1 }},
	{"type 2^31-1", "token_type[5]", "2147483647", func(g *GGUF) { g.Types[5] = math.MaxInt32 }},
	{"BOS outside", "bos_token_id", "271", func(g *GGUF) { g.BOS = 271 }},
	{"EOS far outside", "eos_token_id", "2147483647", func(g *GGUF) { g.EOS = math.MaxInt32 }},
	{"UNK below", "unknown_token_id", "-2", func(g *GGUF) { g.UNK = -2 }},
	{"PAD outside", "padding_token_id", "999", func(g *GGUF) { g.PAD = 999 }},
	{"EOT outside", "eot_token_id", "999", func(g *GGUF) { g.EOT = 999 }},
	{"BOS asked for but none", "bos_token_id", "missing", func(g *GGUF) { *g = smallBytes(); g.BOS, g.AddBOS = -1, yes() }},
	{"EOS asked for but none", "eos_token_id", "missing", func(g *GGUF) { *g = smallBytes(); g.EOS, g.AddEOS = -1, yes() }},
	{"token twice", "tokens[260]", "token 259 already", func(g *GGUF) { g.Tokens[260] = g.Tokens[259] }},
	{"empty twice", "tokens[260]", "already", func(g *GGUF) { g.Tokens[259], g.Tokens[260] = "", "" }},
	{"token of 1 MB", "tokens[260]", "1048576 bytes", func(g *GGUF) { g.Tokens[260] = strings.Repeat("a", 1<<20) }},
	{"token not UTF-8", "tokens[260]", "UTF-8", func(g *GGUF) { g.Tokens[260] = "a\xffb" }},
	{"token with NUL", "tokens[260]", "NUL", func(g *GGUF) { g.Tokens[260] = "a\x00b" }},
	{"no merges", "merges", "missing", func(g *GGUF) { *g = smallBytes(); g.Merges = nil }},
	{"merge of nothing", "merges[1]", "two parts", func(g *GGUF) { *g = smallBytes(); g.Merges[1] = "" }},
	{"merge of one part", "merges[1]", "two parts", func(g *GGUF) { *g = smallBytes(); g.Merges[1] = "ab" }},
	{"merge of three parts", "merges[1]", "two parts", func(g *GGUF) { *g = smallBytes(); g.Merges[1] = "a b a" }},
	{"merge that names no token", "merges[1]", "no token", func(g *GGUF) { *g = smallBytes(); g.Merges[1] = "a xx" }},
	{"merge that makes no token", "merges[1]", "no token", func(g *GGUF) { *g = smallBytes(); g.Merges[1] = "a a" }},
	{"merge that names no piece", "merges[0]", "no token", func(g *GGUF) { g.Merges = []string{"a zz"} }},
	{"merge with NUL", "merges[0]", "no token", func(g *GGUF) { g.Merges = []string{"a\x00 b"} }},
	{"merge of 1 MB", "merges[0]", "two parts", func(g *GGUF) { g.Merges = []string{strings.Repeat("a", 1<<20)} }},
	{"pieces that take for ever", "tokens", "too long", func(g *GGUF) {
		g.Types, g.Scores = nil, nil
		g.Tokens = nil
		for i := range 400 {
			g.Tokens = append(g.Tokens, fmt.Sprintf("%04d", i)+strings.Repeat("a", maxTokenBytes-4))
		}
		g.Scores, g.BOS, g.EOS, g.UNK = make([]float32, 400), -1, -1, -1
	}},
}

func TestMalformedGGUFIsRefused(t *testing.T) {
	for _, c := range malformedGGUF {
		g := smallSPM()
		c.spoil(&g)
		start := cputime.Now()
		tok, err := OpenGGUF("x.gguf", g, Options{})
		if err == nil {
			tok.Close()
			t.Errorf("%s: opens", c.name)
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Path != "x.gguf" || !strings.HasPrefix(e.Field, "tokenizer.ggml."+c.field) || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: %v", c.name, err)
		}
		if len(err.Error()) > 1000 {
			t.Errorf("%s: a message of %d bytes", c.name, len(err.Error()))
		}
		if took := cputime.Now() - start; took > slowdown*5*time.Second {
			t.Errorf("%s: refused after %v", c.name, took)
		}
	}
}

// The caller's vocabulary stays as it was.
func TestGGUFIsNotChanged(t *testing.T) {
	g := smallBytes()
	g.Tokens[259], g.Types[258] = "", ggufNormal
	tokens, types := slices.Clone(g.Tokens), slices.Clone(g.Types)
	openGGUF(t, g)
	if !slices.Equal(g.Tokens, tokens) || !slices.Equal(g.Types, types) {
		t.Error("OpenGGUF writes into its argument")
	}
}

func TestGGUFDoubts(t *testing.T) {
	g := smallBytes()
	if d := g.Doubts(); len(d) != 0 {
		t.Errorf("doubts about a whole file: %q", d)
	}
	g.Pre, g.Types = "", nil
	if d := g.Doubts(); len(d) != 2 || !strings.Contains(d[0], "tokenizer.ggml.pre") || !strings.Contains(d[1], "token_type") {
		t.Errorf("doubts are %q", d)
	}
	openGGUF(t, g)
}

// FuzzGGUF takes any vocabulary: what opens must neither abort the process in the library nor break what a Tokenizer
// promises. Tokens and merges are lines.
func FuzzGGUF(f *testing.F) {
	for _, g := range []GGUF{smallSPM(), smallBytes()} {
		types := make([]byte, len(g.Types))
		for i, t := range g.Types {
			types[i] = byte(t)
		}
		f.Add(g.Model, g.Pre, strings.Join(g.Tokens, "\n"), strings.Join(g.Merges, "\n"), types, g.BOS, g.UNK, byte(0), "ab\x00</s>é")
	}
	f.Add("gpt2", "tekken", "a\nb\nab", "a b", []byte{}, int32(0), int32(-1), byte(1), "ab")
	f.Fuzz(func(t *testing.T, model, pre, tokens, merges string, types []byte, bos, unk int32, flags byte, text string) {
		g := GGUF{Model: model, Pre: pre, Tokens: strings.Split(tokens, "\n"), BOS: bos, EOS: bos, EOT: -1, EOM: -1, UNK: unk, PAD: -1}
		if merges != "" {
			g.Merges = strings.Split(merges, "\n")
		}
		for i, kind := range types {
			g.Types = append(g.Types, int32(kind))
			g.Scores = append(g.Scores, float32(int(kind)-i))
		}
		if flags&1 != 0 {
			g.AddBOS, g.AddEOS = yes(), no()
		}
		if flags&2 != 0 {
			g.AddSpacePrefix = no()
		}
		tok, err := OpenGGUF("", g, Options{MaxTextBytes: 256})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || !strings.HasPrefix(e.Field, "tokenizer.ggml") {
				t.Fatalf("%v is not an *Error about a key", err)
			}
			return
		}
		defer tok.Close()
		checkPromises(t, tok, text)
	})
}

// BenchmarkGGUF makes the document of a vocabulary of the size of Llama 3's, by kind.
func BenchmarkGGUF(b *testing.B) {
	for _, kind := range []string{"llama", "gpt2"} {
		g := largeGGUF(kind, 128_000)
		b.Run(kind, func(b *testing.B) {
			for range b.N {
				if _, err := g.document(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// largeGGUF has tokens of two to six hexadecimal digits: every one splits into others.
func largeGGUF(kind string, tokens int) GGUF {
	g := GGUF{Model: kind, Pre: "llama-bpe", BOS: -1, EOS: -1, EOT: -1, EOM: -1, UNK: -1, PAD: -1}
	for i := range 16 {
		g.Tokens = append(g.Tokens, fmt.Sprintf("%x", i))
	}
	for digits := 2; len(g.Tokens) < tokens; digits++ {
		for i := 0; i < 1<<(4*digits) && len(g.Tokens) < tokens; i++ {
			token := fmt.Sprintf("%0*x", digits, i)
			g.Tokens = append(g.Tokens, token)
			g.Merges = append(g.Merges, token[:digits-1]+" "+token[digits-1:], token[:1]+" "+token[1:])
		}
	}
	if kind == "llama" {
		g.Merges = nil
	}
	g.Types = slices.Repeat([]int32{ggufNormal}, tokens)
	for i := range tokens {
		g.Scores = append(g.Scores, float32(-i))
	}
	return g
}
