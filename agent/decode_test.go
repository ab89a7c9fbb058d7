package agent

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDecodeDefaults(t *testing.T) {
	got, err := decodeGenerate([]byte(` { "job_id" : "j" , "prompt":"hi","max_tokens":7 } ` + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := &generateRequest{JobID: "j", Prompt: "hi", MaxTokens: 7, Temperature: 1, TopP: 1, RepetitionPenalty: 1}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDecodeEveryField(t *testing.T) {
	got, err := decodeGenerate([]byte(`{"cache_salt":"t1","stop":["a","\u005b\"\\\/\b\f\n\r\t"],"min_p":0.25,"repetition_penalty":1.5,"top_k":40,"top_p":9e-1,
		"seed":18446744073709551615,"temperature":-0.0,"max_tokens":4294967295,"prompt":"\ud83c\udf0d é \u0000","job\u005fid":"j"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &generateRequest{
		JobID: "j", Prompt: "🌍 é \x00", MaxTokens: math.MaxUint32, Temperature: float32(math.Copysign(0, -1)), Seed: math.MaxUint64, Seeded: true,
		TopP: 0.9, TopK: 40, RepetitionPenalty: 1.5, Stop: []string{"a", "[\"\\/\b\f\n\r\t"}, MinP: 0.25, CacheSalt: "t1",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The statuses are serde_json's, as axum reports them: 400 where the text is
// not JSON, 422 where it is JSON of another shape, and of several faults the
// first in the text decides.
func TestDecodeErrors(t *testing.T) {
	good := `"job_id":"j","prompt":"hi","max_tokens":1`
	cases := []struct {
		body   string
		status int
		says   string
	}{
		{``, 400, "EOF while parsing a value"},
		{`  `, 400, "EOF"},
		{`{`, 400, "EOF"},
		{`{"job_id":`, 400, "EOF"},
		{`{"job_id"`, 400, "EOF"},
		{`{"job_id" "x"}`, 400, "expected `:`"},
		{`{job_id:1}`, 400, "key must be a string"},
		{`{` + good + `,}`, 400, "trailing comma"},
		{`{` + good + `} x`, 400, "trailing characters"},
		{`{` + good + `}{}`, 400, "trailing characters"},
		{"\ufeff{" + good + "}", 400, "expected value"},
		{`nope`, 400, "expected ident"},
		{`{"job_id":"` + "\x01" + `"}`, 400, "control character"},
		{`{"job_id":"` + "\xff" + `"}`, 400, "unicode"},
		{`{"job_id":"\ud800"}`, 400, "surrogate"},
		{`{"job_id":"\udc00\ud800"}`, 400, "surrogate"},
		{`{"job_id":"\ud800\u0041"}`, 400, "surrogate"},
		{`{"job_id":"\uZZZZ"}`, 400, "invalid escape"},
		{`{"job_id":"\x41"}`, 400, "invalid escape"},
		{`{"job_id":"\`, 400, "EOF"},
		{`{"job_id":"\u00`, 400, "EOF"},
		{`{"max_tokens":01}`, 400, "invalid number"},
		{`{"max_tokens":-}`, 400, "invalid number"},
		{`{"temperature":1.}`, 400, "invalid number"},
		{`{"temperature":1e}`, 400, "invalid number"},
		{`{"temperature":1e999}`, 400, "out of range"},
		{`{"temperature":NaN}`, 400, "expected value"},
		{`{"temperature":Infinity}`, 400, "expected value"},
		{`{"temperature":+1}`, 400, "expected value"},
		{`{"other":[1,{"a":tru}]}`, 400, "expected ident"},
		{`{"other":[1,]}`, 400, "expected value"},
		{`{"other":{"a":1,}}`, 400, "key must be a string"},
		{`{"other":[1}`, 400, "expected `,`"},
		{`{"stop":["a" "b"]}`, 400, "expected `,`"},

		{`{}`, 422, "missing field `job_id`"},
		{`{"job_id":"j"}`, 422, "missing field `prompt`"},
		{`{"job_id":"j","prompt":"hi"}`, 422, "missing field `max_tokens`"},
		{`{"Job_Id":"j","prompt":"hi","max_tokens":1}`, 422, "missing field `job_id`"},
		{`[1]`, 422, "sequence"},
		{`"x"`, 422, "string"},
		{`12`, 422, "number"},
		{`null`, 422, "null"},
		{`true`, 422, "boolean"},
		{`{"job_id":1}`, 422, "job_id: invalid type: number, expected a string"},
		{`{"job_id":null}`, 422, "null"},
		{`{"prompt":["a"]}`, 422, "sequence"},
		{`{"prompt":{}}`, 422, "map"},
		{`{"max_tokens":-1}`, 422, "out of range"},
		{`{"max_tokens":1.5}`, 422, "floating point"},
		{`{"max_tokens":1.0}`, 422, "floating point"},
		{`{"max_tokens":1e0}`, 422, "floating point"},
		{`{"max_tokens":-0}`, 422, "floating point"},
		{`{"max_tokens":4294967296}`, 422, "u32"},
		{`{"max_tokens":99999999999999999999}`, 422, "u32"},
		{`{"max_tokens":"1"}`, 422, "string"},
		{`{"max_tokens":true}`, 422, "boolean"},
		{`{"temperature":null}`, 422, "null"},
		{`{"temperature":"1"}`, 422, "f32"},
		{`{"seed":-1}`, 422, "u64"},
		{`{"seed":18446744073709551616}`, 422, "u64"},
		{`{"seed":"1"}`, 422, "u64"},
		{`{"top_k":-1}`, 422, "u32"},
		{`{"stop":null}`, 422, "a sequence"},
		{`{"stop":"a"}`, 422, "a sequence"},
		{`{"stop":["a",null]}`, 422, "null"},
		{`{"job_id":"a","job_id":"a"}`, 422, "duplicate field `job_id`"},
		{`{"seed":null,"seed":1}`, 422, "duplicate field `seed`"},
		{`{"job_id":1`, 422, "number"}, // the wrong type stands before the missing brace
	}
	for _, c := range cases {
		_, err := decodeGenerate([]byte(c.body))
		var e *decodeError
		if !errors.As(err, &e) || e.status != c.status || !strings.Contains(e.text, c.says) {
			t.Errorf("%q: %v, want %d with %q", c.body, err, c.status, c.says)
		}
	}
}

func TestDecodeErrorNamesPlace(t *testing.T) {
	_, err := decodeGenerate([]byte("{\n \"job_id\": 12}"))
	if err == nil || !strings.HasSuffix(err.Error(), "at line 2 column 13") {
		t.Errorf("%v", err)
	}
}

// Unknown keys may hold anything, at any depth, and cost no stack.
func TestDecodeSkipsUnknown(t *testing.T) {
	deep := strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000)
	for _, v := range []string{deep, `{"a":{"b":[{},[],"]}",1e400,null,true,false,{"c":-0.5e-7}]}}`, `""`, `[{}]`} {
		r, err := decodeGenerate([]byte(`{"x":` + v + `,"job_id":"j","prompt":"p","stream":true,"max_tokens":1,"model":"m"}`))
		if err != nil || r.Prompt != "p" {
			t.Errorf("%.40s: %v", v, err)
		}
	}
}

func TestDecodeFloatsLikeRust(t *testing.T) {
	for body, want := range map[string]float32{"1e39": float32(math.Inf(1)), "-1e39": float32(math.Inf(-1)), "0.1": 0.1, "2": 2, "1e-60": 0} {
		r, err := decodeGenerate([]byte(`{"job_id":"j","prompt":"p","max_tokens":1,"temperature":` + body + `}`))
		if err != nil || r.Temperature != want {
			t.Errorf("%s: %v %v", body, r, err)
		}
	}
}

func TestDecodeCancel(t *testing.T) {
	if id, err := decodeCancel([]byte(`{"why":[1],"job_id":"a\tb"}`)); id != "a\tb" || err != nil {
		t.Errorf("%q %v", id, err)
	}
	for body, status := range map[string]int{`{}`: 422, `{"job_id":1}`: 422, `[`: 422, `{"job_id":"a"`: 400, `{"job_id":"a","job_id":"b"}`: 422, `x`: 400} {
		_, err := decodeCancel([]byte(body))
		var e *decodeError
		if !errors.As(err, &e) || e.status != status {
			t.Errorf("%s: %v, want %d", body, err, status)
		}
	}
}

// FuzzRequestJSON holds the decoder to encoding/json: what it takes must be
// valid JSON with the same strings, what it calls malformed (400) must be
// malformed for encoding/json, too, up to the three known differences.
func FuzzRequestJSON(f *testing.F) {
	for _, s := range []string{
		`{"job_id":"j","prompt":"hi","max_tokens":1}`, `{"job_id":"\ud83c\udf0d","prompt":"\u0000","max_tokens":1,"stop":["a"],"seed":null}`,
		`{"a":[[{"b":[]}]],"temperature":1e39}`, `[1]`, `{"job_id":1`, `{"seed":18446744073709551615,"top_p":-0.0}`, "\ufeff{}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decodeGenerate(body)
		var e *decodeError
		if err != nil && (!errors.As(err, &e) || e.status != 400 && e.status != 422) {
			t.Fatalf("untyped error %v", err)
		}
		if err == nil {
			agree(t, body, r)
			r.validate(2048)
		}
		if e != nil && e.status == 400 && json.Valid(body) && !strings.Contains(e.text, "surrogate") &&
			!strings.Contains(e.text, "unicode") && !strings.Contains(e.text, "out of range") {
			t.Fatalf("valid JSON refused: %v", err)
		}
	})
}

func agree(t *testing.T, body []byte, r *generateRequest) {
	t.Helper()
	if !utf8.ValidString(r.JobID + r.Prompt + strings.Join(r.Stop, "")) {
		t.Fatal("a decoded string is not UTF-8")
	}
	var other map[string]any
	if err := json.Unmarshal(body, &other); err != nil {
		if strings.Contains(err.Error(), "max depth") || strings.Contains(err.Error(), "cannot unmarshal number") {
			return // its limits on depth and on numbers nobody reads are not ours
		}
		t.Fatalf("taken, but encoding/json says %v", err)
	}
	if other["job_id"] != r.JobID || other["prompt"] != r.Prompt || other["max_tokens"] != float64(r.MaxTokens) {
		t.Fatalf("decoded %+v, encoding/json %v", r, other)
	}
}
