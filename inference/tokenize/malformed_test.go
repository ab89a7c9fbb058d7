package tokenize

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"llorch/inference/cputime"
)

// sound is a small tokenizer.json; cases replace one thing in it.
const sound = `{"version":"1.0","truncation":null,"padding":null,
"added_tokens":[{"id":4,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
"normalizer":null,
"pre_tokenizer":{"type":"Split","pattern":{"Regex":"\\w+|\\W"},"behavior":"Isolated","invert":false},
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"<s>":{"id":"<s>","ids":[4],"tokens":["<s>"]}}},
"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"_"},"content":" "},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
"model":{"type":"BPE","dropout":null,"unk_token":"u","fuse_unk":false,"byte_fallback":false,
"vocab":{"a":0,"b":1,"ab":2,"u":3},"merges":[["a","b"]]}}`

// largeDefinition is a file of the size of a real model's.
func largeDefinition(tokens, merges int) []byte {
	var v, m strings.Builder
	for i := 2; i < tokens; i++ {
		fmt.Fprintf(&v, `,"%x":%d`, i, i)
	}
	for i := range merges {
		fmt.Fprintf(&m, `,["%x","%x"]`, 0x10+i%0xf0, i%0x10+0x10)
	}
	s := strings.Replace(sound, `"vocab":{"a":0,"b":1,"ab":2,"u":3},"merges":[["a","b"]]`,
		`"vocab":{"0":0,"u":1`+v.String()+`},"merges":[`+strings.TrimPrefix(m.String(), ",")+`]`, 1)
	s = strings.ReplaceAll(s, `"id":4`, fmt.Sprintf(`"id":%d`, tokens))
	return []byte(strings.Replace(s, `"ids":[4]`, fmt.Sprintf(`"ids":[%d]`, tokens), 1))
}

// swap is the sound file with one piece of text replaced.
func swap(old, new string) string {
	if strings.Count(sound, old) != 1 {
		panic("not exactly once in the sound file: " + old)
	}
	return strings.Replace(sound, old, new, 1)
}

const (
	vocabOf = `"vocab":{"a":0,"b":1,"ab":2,"u":3}`
	added   = `{"id":4,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}`
	regexOf = `"\\w+|\\W"`
	decode  = `{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"_"},"content":" "},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}`
)

func bomb(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

var malformed = []struct{ name, file, field, reason string }{
	{"empty", "", "", "ends"},
	{"not JSON", "GGUF\x03\x00\x00\x00", "", "is due"},
	{"cut", sound[:len(sound)-40], "model", "ends"},
	{"text behind it", sound + "PK\x03\x04", "", "after the end"},
	{"byte order mark", "\xef\xbb\xbf" + sound, "", "byte order mark"},
	{"not UTF-8", swap(`"ab":2`, "\"a\xff\":2"), "", "UTF-8"},
	{"depth bomb", swap(`"normalizer":null`, `"normalizer":`+bomb(100_000)), "normalizer", "deeper"},
	{"depth bomb in the model", swap(`"dropout":null`, `"dropout":`+bomb(100_000)), "model.dropout", "deeper"},
	{"key twice", swap(`"normalizer":null`, `"padding":null`), "", "twice"},
	{"key twice, escaped", swap(`"normalizer":null`, `"p\u0061dding":null`), "", "twice"},
	{"lone surrogate", swap(`"ab":2`, `"\ud800":2`), "model.vocab", "surrogate"},
	{"control character in a string", swap(`"ab":2`, "\"a\nb\":2"), "model.vocab", "control character"},
	{"version", swap(`"1.0"`, `"2.0"`), "version", "1.0"},
	{"unknown field", swap(`"normalizer":null`, `"x":[1e5,-0.5,{"y":"\"\\\/\b\f\n\r\t\ud83d\udc4b"}],"normalizer":null`), "x", "not a field"},
	{"no model", `{"version":"1.0"}`, "model.vocab", "missing"},

	{"id twice", swap(`"ab":2`, `"ab":1`), "model.vocab", ""},
	{"id gap", swap(`"u":3`, `"u":7`), "model.vocab", "gap"},
	{"id negative", swap(`"ab":2`, `"ab":-2`), "model.vocab", "not a token id"},
	{"id above 2^31", swap(`"ab":2`, `"ab":2147483648`), "model.vocab", "not a token id"},
	{"id above 2^64", swap(`"ab":2`, `"ab":99999999999999999999`), "model.vocab", "not a token id"},
	{"id at 2^31-1", swap(`"ab":2`, `"ab":2147483647`), "model.vocab", "gap"},
	{"id a float", swap(`"ab":2`, `"ab":2.0`), "model.vocab", "not a token id"},
	{"id a string", swap(`"ab":2`, `"ab":"2"`), "model.vocab", "not a number"},
	{"token twice", swap(`"u":3`, `"a":3`), "model.vocab", "twice"},
	{"token twice, escaped", swap(`"u":3`, `"\u0061":3`), "model.vocab", "twice"},
	{"token of 1 MB", swap(`"ab":2`, `"`+strings.Repeat("x", 1<<20)+`":2`), "model.vocab", "bytes"},
	{"vocabulary a list", swap(vocabOf, `"vocab":["a"]`), "model.vocab", ""},
	{"vocabulary empty", swap(vocabOf, `"vocab":{}`), "model", "names no token"},

	{"merge names no token", swap(`["a","b"]`, `["a","c"]`), "model.merges", "names no token"},
	{"merge makes no token", swap(`["a","b"]`, `["b","a"]`), "model.merges", "names no token"},
	{"merge makes no token, before the vocabulary",
		strings.Replace(swap(vocabOf+`,"merges":[["a","b"]]`, `"merges":["b a"],`+vocabOf), "\x00", "", 1), "model.merges", "names no token"},
	{"merge of one part", swap(`["a","b"]`, `["a"]`), "model.merges", "parts"},
	{"merge of three parts", swap(`["a","b"]`, `"a b c"`), "model.merges", "parts"},
	{"merge without space", swap(`["a","b"]`, `"ab"`), "model.merges", "part"},
	{"merge a number", swap(`["a","b"]`, `7`), "model.merges", "is due"},
	{"three million merges", swap(`["a","b"]`, `"a b"`+strings.Repeat(`,"a b"`, 3_000_000)), "model.merges", "more than"},
	{"merge onto itself", swap(`["a","b"]`, `["ab","ab"]`), "model.merges", "names no token"},

	{"model type", swap(`"type":"BPE"`, `"type":"Unigram"`), "model.type", "not supported"},
	{"model type with a NUL", swap(`"type":"BPE"`, `"type":"\u0000"`), "model.type", "not supported"},
	{"dropout", swap(`"dropout":null`, `"dropout":0.1`), "model.dropout", "differ"},
	{"word prefix that cuts characters", swap(`"dropout":null`, `"continuing_subword_prefix":"é"`), "model.continuing_subword_prefix", "not supported"},
	{"unknown token absent", swap(`"unk_token":"u"`, `"unk_token":"<unk>"`), "model.unk_token", "not in the vocabulary"},
	{"byte fallback without bytes", swap(`"unk_token":"u","fuse_unk":false,"byte_fallback":false`, `"byte_fallback":true`), "model.byte_fallback", "<0x00>"},
	{"option of the wrong type", swap(`"byte_fallback":false`, `"byte_fallback":"yes"`), "model.byte_fallback", "right type"},

	{"added token remapped", swap(`{"id":4,`, `{"id":1,`), "added_tokens[0].id", "remapped"},
	{"added token over another", swap(`{"id":4,"content":"<s>"`, `{"id":4,"content":"ab"`), "added_tokens[0].id", "remapped"},
	{"added token id 2^40", swap(`{"id":4,`, `{"id":1099511627776,`), "added_tokens[0].id", "not a token id"},
	{"added token twice", swap(added, added+","+added), "added_tokens[1].content", "new text"},
	{"added token empty", swap(`"content":"<s>","single`, `"content":"","single`), "added_tokens[0].content", "1 to"},
	{"added token flag", swap(`"special":true`, `"special":1`), "added_tokens[0].special", "true or false"},
	{"added tokens an object", swap("["+added+"]", `{}`), "added_tokens", "list"},

	{"template id unknown", swap(`"ids":[4]`, `"ids":[40]`), "post_processor.special_tokens.<s>.ids[0]", "not the token"},
	{"template id of another token", swap(`"ids":[4]`, `"ids":[1]`), "post_processor.special_tokens.<s>.ids[0]", "not the token"},
	{"template id above 2^32", swap(`"ids":[4]`, `"ids":[4294967300]`), "post_processor.special_tokens.<s>.ids[0]", "whole number"},
	{"template lengths", swap(`"ids":[4]`, `"ids":[4,4]`), "post_processor.special_tokens.<s>", "same length"},
	{"template names nothing", swap(`{"SpecialToken":{"id":"<s>"`, `{"SpecialToken":{"id":"</s>"`), "post_processor.single[0].SpecialToken.id", "not among"},
	{"template without text", swap(`,{"Sequence":{"id":"A","type_id":0}}],
"pair"`, `],
"pair"`), "post_processor.single", "0 times"},
	{"processor unknown", swap(`"TemplateProcessing"`, `"Custom"`), "post_processor.type", "not supported"},

	{"regex bomb", swap(regexOf, `"(a+)+$"`), "pre_tokenizer.pattern.Regex", "several ways"},
	{"regex bomb in a normalizer", swap(`"normalizer":null`,
		`"normalizer":{"type":"Sequence","normalizers":[{"type":"Replace","pattern":{"Regex":"(x|xx)*y"},"content":""}]}`),
		"normalizer.normalizers[0].pattern.Regex", "several ways"},
	{"regex with NUL", swap(regexOf, `"\u0000"`), "pre_tokenizer.pattern", "NUL"},
	{"pattern of two kinds", swap(`{"Regex":`+regexOf+`}`, `{"Regex":"a","String":"b"}`), "pre_tokenizer.pattern", "is due"},
	{"behavior", swap(`"Isolated"`, `"Shredded"`), "pre_tokenizer.behavior", "none of"},
	{"pre-tokenizer without type", swap(`"type":"Split",`, ``), "pre_tokenizer.type", "missing"},
	{"pre-tokenizer of a list", swap(`{"type":"Split","pattern":{"Regex":`+regexOf+`},"behavior":"Isolated","invert":false}`, `[1]`), "pre_tokenizer", "object"},
	{"precompiled character map", swap(`"normalizer":null`, `"normalizer":{"type":"Precompiled","precompiled_charsmap":"AA=="}`), "normalizer.type", "not supported"},
	{"normalizer with a NUL", swap(`"normalizer":null`, `"normalizer":{"type":"Prepend","prepend":"\u0000"}`), "normalizer.prepend", "NUL"},

	{"decoder a string", swap(decode, `"ByteLevel"`), "decoder", "object"},
	{"decoder without type", swap(decode, `{"decoders":[]}`), "decoder.type", "missing"},
	{"decoder type a number", swap(decode, `{"type":7}`), "decoder.type", "not a string"},
	{"decoder unknown", swap(decode, `{"type":"CTC"}`), "decoder.type", "not supported"},
	{"decoder inside itself", swap(decode, `{"type":"Sequence","decoders":[`+strings.Repeat(`{"type":"Sequence","decoders":[`, 40)), "decoder", "deeper"},
	{"decoder strips past the end", swap(`"start":1,"stop":0`, `"start":1,"stop":9`), "decoder.type", "not supported at this place"},
	{"decoder strips a word", swap(`"content":" ","start"`, `"content":"  ","start"`), "decoder.decoders[2].content", "single character"},
	{"decoder strips backwards", swap(`"start":1`, `"start":-1`), "decoder.decoders[2].start", "whole number"},
	{"decoder replaces nothing", swap(`{"String":"_"}`, `{"String":""}`), "decoder.decoders[0].pattern.String", "1 to"},
	{"decoder regex", swap(`{"String":"_"}`, `{"Regex":"_"}`), "decoder.pattern", "not supported"},
	{"decoder makes a bomb", swap(decode, `{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaa"}`+
		strings.Repeat(`,{"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaa"}`, 30)+`]}`), "decoder", "decodes to"},
	{"decoder inserts a book", swap(`"content":" "},`, `"content":"`+strings.Repeat("x", 60_000)+`"},`), "decoder.content", "at most"},
}

func TestMalformedFilesAreErrors(t *testing.T) {
	for _, c := range malformed {
		t.Run(c.name, func(t *testing.T) {
			start := cputime.Now()
			_, err := newHF("", []byte(c.file), Options{})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error is %v, an *Error is due", err)
			}
			if !strings.HasPrefix(e.Field, c.field) || !strings.Contains(e.Error(), c.reason) {
				t.Errorf("field %q, message %q; want field %q and a reason with %q", e.Field, e, c.field, c.reason)
			}
			if e.Field == "" && e.Offset < 0 {
				t.Errorf("%v names neither field nor offset", e)
			}
			if len(e.Error()) > 500 || strings.ContainsRune(e.Error(), 0) {
				t.Errorf("message of %d bytes, or with a NUL: %.600q", len(e.Error()), e)
			}
			if took := cputime.Now() - start; took > slowdown*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestSoundFileLoads(t *testing.T) {
	for name, file := range map[string]string{
		"as it is":      sound,
		"merge as text": swap(`["a","b"]`, `"a b"`),
		"merges first":  swap(vocabOf+`,"merges":[["a","b"]]`, `"merges":[["a","b"]],`+vocabOf),
		"byte level":    swap(decode, `{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true}`),
		"no decoder":    swap(decode, `null`),
		"normalizers":   swap(`"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"}]}`),
	} {
		tok, err := newHF("", []byte(file), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if ids, err := tok.Encode("ab"); err != nil || len(ids) != 2 || ids[0] != 4 || ids[1] != 2 {
			t.Errorf("%s: Encode = %v, %v; want the template's 4 and 2", name, ids, err)
		}
		tok.Close()
	}
}

func TestMemoryOfMalformedFiles(t *testing.T) {
	for _, name := range []string{"three million merges", "depth bomb", "id at 2^31-1", "token of 1 MB", "decoder makes a bomb"} {
		for _, c := range malformed {
			if c.name != name {
				continue
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			if _, err := parseDefinition([]byte(c.file)); err == nil {
				t.Errorf("%s: no error", name)
			}
			runtime.ReadMemStats(&after)
			if grew := after.TotalAlloc - before.TotalAlloc; grew > max(64<<20, 4*uint64(len(c.file))) {
				t.Errorf("%s: %d bytes allocated for a file of %d", name, grew, len(c.file))
			}
		}
	}
}

func TestOpenFindsOrSaysWhatIsMissing(t *testing.T) {
	if _, err := Open(filepath.Join("testdata", "llama3", "vectors.json")); err != nil {
		t.Errorf("a file of the folder: %v", err)
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "tokenizer.json")
	expect := func(what, reason string, cause error) {
		t.Helper()
		_, err := Open(folder)
		var e *Error
		if !errors.As(err, &e) || e.Path != path || !strings.Contains(err.Error(), reason) || (cause != nil && !errors.Is(err, cause)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	expect("nothing there", "copy tokenizer.json", ErrMissing)
	os.WriteFile(filepath.Join(folder, "tokenizer.model"), []byte("x"), 0o644)
	expect("only tokenizer.model", "only tokenizer.model is there", ErrMissing)
	if err := syscall.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
	expect("a pipe", "not a regular file", nil)
	os.Remove(path)
	os.Mkdir(path, 0o755)
	expect("a folder", "not a regular file", nil)
	os.Remove(path)
	os.Symlink("tokenizer.json", path)
	expect("a link to itself", "", nil)
	os.Remove(path)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Truncate(maxFile + 1)
	f.Close()
	expect("a huge sparse file", "at most", nil)
	os.WriteFile(path, []byte("{}"), 0o644)
	expect("an empty object", "version", nil)
	if _, err := Open(filepath.Join(folder, "nowhere")); err == nil {
		t.Error("a folder that does not exist opens")
	}
}
