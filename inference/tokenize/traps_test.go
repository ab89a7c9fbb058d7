package tokenize

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// each returns a tokenizer made of a file that is not on disk.
func parsed(t testing.TB, file string, o Options) *hf {
	t.Helper()
	tok, err := newHF("", []byte(file), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tok.Close() })
	return tok
}

func TestTextThatCannotBeWrittenIsRefused(t *testing.T) {
	noUnknown := strings.Replace(sound, `"unk_token":"u"`, `"unk_token":null`, 1)
	byteLevel := strings.Replace(noUnknown, `"normalizer":null`, `"normalizer":{"type":"ByteLevel"}`, 1)
	for _, c := range []struct{ name, file, text, reason string }{
		{"not UTF-8", sound, "a\xffb", "not UTF-8 at byte 1"},
		{"NUL without a token", sound, "ab\x00", "NUL at byte 2"},
		{"character without token or unknown token", noUnknown, "abc", `'c' (byte 2 of the text)`},
		{"byte without token or unknown token", byteLevel, "aé", `'é' (byte 1 of the text)`},
	} {
		_, err := parsed(t, c.file, Options{}).Encode(c.text)
		if !errors.Is(err, ErrNotEncodable) || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if ids, err := parsed(t, noUnknown, Options{}).Encode("ab"); err != nil || !slices.Equal(ids, []int32{4, 2}) {
		t.Errorf("text that can be written: %v, %v", ids, err)
	}
}

func TestNULBesideEveryControlCharacter(t *testing.T) {
	var all strings.Builder
	for c := range byte(0x80) {
		all.WriteByte(c)
	}
	tok := open(t, "llama2")
	if _, err := tok.Encode(all.String()); !errors.Is(err, ErrNotEncodable) {
		t.Errorf("every stand-in taken: %v", err)
	}
	if _, err := tok.Encode(strings.ReplaceAll(all.String(), "\x1f", "")); err != nil {
		t.Errorf("one stand-in left: %v", err)
	}
}

func TestLongTextIsRefused(t *testing.T) {
	tok := parsed(t, sound, Options{MaxTextBytes: 100})
	if ids, err := tok.Encode(strings.Repeat("ab", 50)); err != nil || len(ids) != 51 {
		t.Errorf("100 bytes: %d ids, %v", len(ids), err)
	}
	if _, err := tok.Encode(strings.Repeat("ab", 51)); !errors.Is(err, ErrTooLong) {
		t.Errorf("102 bytes: %v", err)
	}
	if _, err := open(t, "llama3").Encode(strings.Repeat("x", DefaultMaxText+1)); !errors.Is(err, ErrTooLong) {
		t.Errorf("default limit: %v", err)
	}
}

// A file may ask for every text to be cut and filled; both are the caller's business.
func TestTruncationAndPaddingOfTheFileAreIgnored(t *testing.T) {
	file := swap(`"truncation":null,"padding":null`, `"padding":{"strategy":{"Fixed":8},"direction":"Right","pad_to_multiple_of":null,"pad_id":0,"pad_type_id":0,"pad_token":"a"},
"truncation":{"max_length":3,"stride":0,"strategy":"LongestFirst","direction":"Right"}`)
	for text, want := range map[string]int{"ab": 2, strings.Repeat("ab ", 20): 41} {
		if ids, err := parsed(t, file, Options{}).Encode(text); err != nil || len(ids) != want {
			t.Errorf("%q: %d ids, %v; want %d", text, len(ids), err, want)
		}
	}
}

// The library's engine gives up on a match after ten million steps and the binding turns that into no ids at all.
func TestFailureInsideTheLibraryIsAnError(t *testing.T) {
	slow := swap(regexOf, `"\\w*\\w*[0-9]x"`)
	start := time.Now()
	_, err := parsed(t, slow, Options{}).EncodeWith(strings.Repeat("a", 100_000)+"1 x", EncodeOptions{Bare: true})
	if !errors.Is(err, ErrNoTokens) {
		t.Errorf("error is %v after %v", err, time.Since(start))
	}
	dropping := swap(`"normalizer":null`, `"normalizer":{"type":"Strip","strip_left":true,"strip_right":true}`)
	if _, err := parsed(t, dropping, Options{}).EncodeWith("  ", EncodeOptions{Bare: true}); !errors.Is(err, ErrNoTokens) {
		t.Errorf("a text that the tokenizer drops: %v", err)
	}
}

func TestCloseWhileEncoding(t *testing.T) {
	tok, err := Open(filepath.Join("testdata", "llama3"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := tok.Encode("Hello world")
	if err != nil {
		t.Fatal(err)
	}
	var wg, running sync.WaitGroup
	running.Add(8)
	for i := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				if n == 1 {
					running.Done()
				}
				got, err := tok.EncodeWith("Hello world", EncodeOptions{Literal: i%2 == 1})
				if errors.Is(err, ErrClosed) && n > 0 {
					return
				}
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%v, %v while closing; want %v", got, err, want)
					return
				}
			}
		})
	}
	running.Wait()
	if err := tok.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := tok.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if got := tok.Decode(want); got != "Hello world" {
		t.Errorf("Decode after Close = %q", got)
	}
}

func TestLiteralNeedsTheSameFile(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "llama2", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tokenizer.json")
	write := func(b []byte) {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(data)
	tok, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer tok.Close()
	write(append(data, ' '))
	if _, err := tok.EncodeWith("x", EncodeOptions{Literal: true}); err == nil || !strings.Contains(err.Error(), "changed since") {
		t.Errorf("file changed: %v", err)
	}
	write(data)
	bos, _ := tok.ID("<s>")
	for literal, want := range map[bool]int{false: 2, true: 1} {
		ids, err := tok.EncodeWith("<s>x", EncodeOptions{Literal: literal})
		n := 0
		for _, id := range ids {
			if id == bos {
				n++
			}
		}
		if err != nil || n != want {
			t.Errorf("literal %v: %d control tokens in %v, %v", literal, n, ids, err)
		}
	}
}

func TestTokensThatDecodeToAnything(t *testing.T) {
	file := swap(vocabOf, `"vocab":{"a":0,"b":1,"ab":2,"u":3,"\u0000":4,"\r\ndata: {}\r\n\r\n":5,"\u001b[2J":6,"\ufffd":7,"x\ufffdy":8}`)
	file = strings.NewReplacer(`{"id":4,`, `{"id":9,`, `"ids":[4]`, `"ids":[9]`).Replace(file)
	tok := parsed(t, file, Options{})
	for _, c := range []struct {
		ids  []int32
		want string
	}{
		{[]int32{0, 4, 1}, "a\x00b"},
		{[]int32{5, 6}, "\r\ndata: {}\r\n\r\n\x1b[2J"},
		{[]int32{0, 7, 8, 1}, "axyb"},
		{[]int32{9, 0, 9}, "a"},
		{[]int32{-1, 0, 10, 1 << 30, -1 << 31}, "a"},
		{nil, ""},
	} {
		if got := tok.Decode(c.ids); got != c.want {
			t.Errorf("%v decodes to %q, want %q", c.ids, got, c.want)
		}
		if got := stream(t, tok.NewStream(), c.ids); got != c.want {
			t.Errorf("%v streams %q, want %q", c.ids, got, c.want)
		}
	}
}

// Bytes of a character that come in several tokens, worked out by hand from the byte tokens (id 3 is <0x00>).
func TestSplitAndBrokenCharacters(t *testing.T) {
	tok := open(t, "llama2")
	id := func(b byte) int32 { return int32(b) + 3 }
	a, _ := tok.ID("a")
	for _, c := range []struct {
		name   string
		ids    []int32
		pieces []string
	}{
		{"ñ", []int32{id(0xc3), id(0xb1)}, []string{"", "ñ"}},
		{"世", []int32{id(0xe4), id(0xb8), id(0x96)}, []string{"", "", "世"}},
		{"👋", []int32{id(0xf0), id(0x9f), id(0x91), id(0x8b)}, []string{"", "", "", "👋"}},
		{"stray continuation", []int32{id(0x80), a}, []string{"", "a"}},
		{"cut by a letter", []int32{id(0xe4), id(0xb8), a, id(0x96), a}, []string{"", "", "a", "", "a"}},
		{"cut by another character", []int32{id(0xf0), id(0x9f), id(0xc3), id(0xb1)}, []string{"", "", "", "ñ"}},
		{"surrogate half", []int32{id(0xed), id(0xa0), id(0x80), a}, []string{"", "", "", "a"}},
		{"overlong", []int32{id(0xc0), id(0xaf), a}, []string{"", "", "a"}},
		{"never valid", []int32{id(0xff), id(0xff), a}, []string{"", "", "a"}},
		{"unfinished", []int32{a, id(0xf0), id(0x9f), id(0x91)}, []string{"a", "", "", ""}},
		{"across a control token", []int32{id(0xc3), 1, id(0xb1)}, []string{"", "", "ñ"}},
	} {
		s := tok.NewStream()
		for i, id := range c.ids {
			if got := s.Push(id); got != c.pieces[i] {
				t.Errorf("%s: piece %d is %q, want %q", c.name, i, got, c.pieces[i])
			}
		}
		if got := s.Flush(); got != "" {
			t.Errorf("%s: Flush = %q", c.name, got)
		}
	}
}

func TestLeadingSpaceBelongsToTheAnswer(t *testing.T) {
	tok := open(t, "llama2")
	prompt, err := tok.Encode("Hello")
	if err != nil {
		t.Fatal(err)
	}
	word, ok := tok.ID("▁the")
	if !ok {
		t.Fatal("the test vocabulary has lost its word")
	}
	if got := tok.NewStreamAfter(prompt).Push(word); got != " the" {
		t.Errorf("after a prompt: %q", got)
	}
	if got := tok.NewStream().Push(word); got != "the" {
		t.Errorf("at the beginning of a text: %q", got)
	}
}

func TestLookUp(t *testing.T) {
	tok := open(t, "llama2")
	if id, ok := tok.ID("</s>"); !ok || id != 2 || !tok.IsSpecial(id) {
		t.Errorf("</s> is %d, %v", id, ok)
	}
	if token, ok := tok.Token(3 + 'A'); !ok || token != "<0x41>" || tok.IsSpecial(3+'A') {
		t.Errorf("id %d is %q, %v", 3+'A', token, ok)
	}
	n := tok.VocabSize()
	if _, ok := tok.Token(int32(n)); ok || tok.IsSpecial(-1) || tok.IsSpecial(int32(n)) {
		t.Error("ids outside the vocabulary exist")
	}
	if err := CheckRows(tok, n); err != nil {
		t.Error(err)
	}
	if err := CheckRows(tok, n-1); err == nil || !strings.Contains(err.Error(), "embedding rows") {
		t.Errorf("a row short: %v", err)
	}
	if len(tok.Digest()) != 64 || tok.Kind() != "hf-json" || tok.Digest() == open(t, "mistral").Digest() {
		t.Errorf("digest %q, kind %q", tok.Digest(), tok.Kind())
	}
}
