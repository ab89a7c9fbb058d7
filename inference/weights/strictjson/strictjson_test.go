package strictjson

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// TestRefused gives, for each text, the byte the error is about and a word of
// its reason.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, text string
		at         int
		reason     string
	}{
		{"empty", "", 0, "ends"},
		{"only space", " \n", 2, "ends"},
		{"byte order mark", "\uFEFF{}", 0, "byte order mark"},
		{"not UTF-8", "{\"a\":\"\xff\"}", 6, "UTF-8"},
		{"overlong UTF-8", "\"\xc0\xaf\"", 1, "UTF-8"},
		{"encoded surrogate", "\"\xed\xa0\x80\"", 1, "UTF-8"},
		{"bytes after", "{} x", 3, "after"},
		{"second value", "1 2", 2, "after"},
		{"NUL after", "{}\x00", 2, "after"},
		{"duplicate key", `{"a":1,"a":2}`, 7, `"a" for the second time`},
		{"escaped duplicate", `{"a":1,"\u0061":2}`, 7, `"a" for the second time`},
		{"duplicate among many", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"b":2}`, 55, `"b"`},
		{"duplicate deep inside", `[{"x":{"k":1,"k":1}}]`, 13, `"k"`},
		{"depth", strings.Repeat("[", 65), 64, "deeper than 64"},
		{"depth bomb of objects", strings.Repeat(`{"a":`, 1_000_000), 320, "deeper than 64"},
		{"NaN", `{"a":NaN}`, 5, "NaN"},
		{"Infinity", `[-Infinity]`, 2, "without digits"},
		{"comment", `{} // x`, 3, "after"},
		{"trailing comma in object", `{"a":1,}`, 7, "string"},
		{"trailing comma in array", `[1,]`, 3, "no value"},
		{"no comma", `[1 2]`, 3, "','"},
		{"no colon", `{"a" 1}`, 5, "':'"},
		{"key without quotes", `{a:1}`, 1, "string"},
		{"single quotes", `{'a':1}`, 1, "string"},
		{"unclosed object", `{"a":1`, 6, "ends"},
		{"unclosed string", `"abc`, 4, "ends"},
		{"unclosed escape", `"abc\`, 4, "ends"},
		{"unclosed unicode", `"\u12`, 1, "hexadecimal"},
		{"signed unicode", `"\u+123"`, 1, "hexadecimal"},
		{"unknown escape", `"\x41"`, 1, `\x`},
		{"lone high surrogate", `"\ud83d"`, 1, "surrogate"},
		{"lone low surrogate", `"\ude00"`, 1, "surrogate"},
		{"high surrogate and letter", `"\ud83dA"`, 1, "surrogate"},
		{"two high surrogates", `"\ud83d\ud83d"`, 1, "surrogate"},
		{"newline in string", "\"a\nb\"", 2, "control byte 0x0a"},
		{"newline after escape", "\"\\ta\nb\"", 4, "control byte 0x0a"},
		{"leading zero", `[01]`, 1, "leading zero"},
		{"plus", `+1`, 0, "no value"},
		{"bare point", `.5`, 0, "no value"},
		{"point at the end", `1.`, 2, "after the point"},
		{"empty exponent", `1e`, 2, "exponent"},
		{"empty signed exponent", `1e+`, 3, "exponent"},
		{"hexadecimal", `0x10`, 1, "after"},
		{"half a word", `[tru]`, 1, "no value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.text, Limits{})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.Offset != c.at || !strings.Contains(e.Reason, c.reason) {
				t.Errorf("got byte %d: %s; want byte %d: …%s…", e.Offset, e.Reason, c.at, c.reason)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	many := `{"a":1,"b":2,"c":3}`
	for _, c := range []struct {
		text string
		l    Limits
		want string
	}{
		{many, Limits{Members: 2}, "more than 2 members"},
		{many, Limits{Values: 3}, "more than 3 values"},
		{`[[[]]]`, Limits{Depth: 2}, "deeper than 2"},
		{"[" + strings.Repeat("0,", 1<<17) + "0]", Limits{}, "more than 131072 values"},
	} {
		s, err := New(c.text, c.l)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Skip(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20s: got %v, want %q", c.text, err, c.want)
		}
	}
	if _, err := Parse(many, Limits{Members: 3, Values: 4, Depth: 1}); err != nil {
		t.Errorf("exactly at the limits: %v", err)
	}
}

func TestParsed(t *testing.T) {
	v, err := Parse(" {\"s\":\"a\\u00e9\\ud83d\\ude00\\n\\/\", \"n\":-1.5e+3, \"A\":[true,null], \"a\":{}} \n", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Get("s").Text; got != "aé😀\n/" {
		t.Errorf("string: %q", got)
	}
	if f, err := v.Get("n").Num().Float(); f != -1500 || err != nil {
		t.Errorf("number: %v %v", f, err)
	}
	if a := v.Get("A"); len(a.Elems) != 2 || a.Elems[0].Text != "true" || a.Elems[1].Kind != Null {
		t.Errorf("array: %+v", a)
	}
	if v.Get("a").Kind != Object || v.Get("b") != nil {
		t.Error("keys that differ in case were mixed up")
	}
	if !SameFold("mask", "maſK") { // the folds encoding/json makes beyond ASCII
		t.Error("SameFold misses a Unicode fold")
	}
}

func TestIntegers(t *testing.T) {
	for text, want := range map[Num]int64{"0": 0, "-0": 0, "9223372036854775807": 1<<63 - 1, "-5": -5} {
		if got, err := text.Int(); got != want || err != nil {
			t.Errorf("%s: %d %v", text, got, err)
		}
	}
	for _, text := range []Num{"1.0", "1e3", "1E3", "9223372036854775808", "-9223372036854775809", "1" + Num(strings.Repeat("0", 1000))} {
		if got, err := text.Int(); err == nil {
			t.Errorf("%.20s was taken for %d", text, got)
		} else if len(err.Error()) > 200 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
	if f, err := Num("1e999").Float(); err == nil {
		t.Errorf("1e999 was taken for %v", f)
	}
	if f, err := Num("1e-999").Float(); f != 0 || err != nil {
		t.Errorf("1e-999: %v %v", f, err)
	}
}

// FuzzParse: what Parse accepts, encoding/json accepts too.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,2.5e-3,"x\u00e9"],"b":{"c":null}}`, `"\ud83d\ude00"`, `[[[1]]]`, `{"a":1,"a":1}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := Parse(text, Limits{})
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Offset < 0 || e.Offset > len(text)) {
			t.Fatalf("not an Error inside the text: %v", err)
		}
		if err == nil && !json.Valid([]byte(text)) {
			t.Fatalf("accepted what is no JSON: %q", text)
		}
	})
}
