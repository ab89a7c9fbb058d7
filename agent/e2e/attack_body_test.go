package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// post sends a body as it is.
func (f *fleet) post(path, body string) (status string, answer string) {
	f.t.Helper()
	got, _ := f.wire(fmt.Sprintf("POST %s HTTP/1.1\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", path, host, len(body), body))
	line, _, _ := strings.Cut(strings.TrimPrefix(got, "HTTP/1.1 "), " ")
	return line, got
}

// Every field of a request with every value that has broken a server before.
// None is an error of the worker's, and those that no field may have are refused.
func TestAttackValuesOfFields(t *testing.T) {
	f := ready(t, "--local-mode")
	fields := []string{"max_tokens", "temperature", "seed", "top_p", "top_k", "min_p", "repetition_penalty", "stop", "job_id", "prompt"}
	never := []string{"NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e400", "--1", "+1", "01", "0x10", "1.", ".5", "1e", "true", "{}", `[[]]`, `[null]`, "[1]"}
	maybe := []string{"0", "-0", "-1", "1e-400", "0.0000001", "1e308", "3.5e38", "-3.5e38", "2147483648", "4294967295", "4294967296", "9007199254740993",
		"9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", strings.Repeat("9", 10_000), "0." + strings.Repeat("0", 10_000) + "1",
		`""`, `"1"`, `"\u0000"`, `"\uFFFF"`, `"NaN"`, "null", "[]", `[""]`, `["a","a","a","a","a"]`}
	for _, field := range fields {
		for _, value := range slices.Concat(never, maybe) {
			rest := ""
			for name, good := range map[string]string{"job_id": `"v"`, "prompt": `"Once"`, "max_tokens": "1"} {
				if name != field {
					rest += fmt.Sprintf(`,"%s":%s`, name, good)
				}
			}
			status, answer := f.post("/execute", fmt.Sprintf(`{"%s":%s%s}`, field, value, rest))
			ok := status == "200" && !slices.Contains(never, value) || status == "400" || status == "422"
			if !ok || status == "200" && !strings.Contains(answer, `"type":"end"`) {
				t.Errorf("%s = %.40s: %.300s", field, value, answer)
			}
		}
	}
	f.run(standin.Request{JobID: "after", Prompt: "Once", MaxTokens: 2})
}

// Bodies that are bombs for readers of JSON, or that two of them read differently.
func TestAttackBodies(t *testing.T) {
	f := ready(t, "--local-mode")
	const rest = `"job_id":"b","prompt":"Once","max_tokens":1`
	deep := strings.Repeat("[", 900_000)
	for name, c := range map[string]struct{ body, status string }{
		"deep and closed":       {`{"x":` + deep + strings.Repeat("]", 900_000) + `,` + rest + `}`, "200"},
		"deep and open":         {`{"x":` + deep, "400"},
		"deep objects":          {`{"x":` + strings.Repeat(`{"a":`, 300_000), "400"},
		"nothing but brackets":  {deep, "422"},
		"100,000 unknown keys":  {`{` + strings.Repeat(`"k":0,`, 100_000) + rest + `}`, "200"},
		"twice the same key":    {`{"prompt":"a",` + rest + `}`, "422"},
		"the same key, escaped": {`{"prom\u0070t":"a",` + rest + `}`, "422"},
		"a key in other case":   {`{"Prompt":"a","MAX_TOKENS":999999,` + rest + `}`, "200"}, // another key, without effect
		"lone surrogate":        {`{"job_id":"b","prompt":"\ud800","max_tokens":1}`, "400"},
		"reversed surrogates":   {`{"job_id":"b","prompt":"\udc00\ud800","max_tokens":1}`, "400"},
		"bad UTF-8":             {"{\"job_id\":\"b\",\"prompt\":\"\xff\xfe\",\"max_tokens\":1}", "400"},
		"overlong UTF-8":        {"{\"job_id\":\"b\",\"prompt\":\"\xc0\xaf\",\"max_tokens\":1}", "400"},
		"surrogates in UTF-8":   {"{\"job_id\":\"b\",\"prompt\":\"\xed\xa0\x80\",\"max_tokens\":1}", "400"},
		"byte order mark":       {"\ufeff{" + rest + "}", "400"},
		"UTF-16":                {"\xff\xfe{\x00\"\x00", "400"},
		"prompt of 10 MB":       {`{"job_id":"b","max_tokens":1,"prompt":"` + strings.Repeat("x", 10<<20) + `"}`, "413"},
		"prompt over the limit": {`{"job_id":"b","max_tokens":1,"prompt":"` + strings.Repeat("x", 1<<20) + `"}`, "400"},
		"stop of 100,000":       {`{` + rest + `,"stop":[` + strings.Repeat(`"a",`, 99_999) + `"a"]}`, "400"},
		"stop of a megabyte":    {`{` + rest + `,"stop":["` + strings.Repeat("a", 1<<20) + `"]}`, "400"},
		"stop of nothing":       {`{` + rest + `,"stop":[""]}`, "400"},
	} {
		status, answer := f.post("/execute", c.body)
		lost := answer == "" && c.status == "413" // reset while we still sent
		if status != c.status && !lost || len(answer) > 64<<10 {
			t.Errorf("%s: %d bytes of answer, %.200q, want %s", name, len(answer), answer, c.status)
		}
	}
	f.run(standin.Request{JobID: "after", Prompt: "Once", MaxTokens: 2})
}

// The prompt is the model's raw input, so the text of a special token is that
// token. As many of them as fit are as many tokens, and no more harm.
func TestAttackSpecialTokens(t *testing.T) {
	f := ready(t, "--local-mode")
	for i, prompt := range []string{
		"</s>", "<s></s><unk>", "Once upon a time</s>", strings.Repeat("</s>", 1000), "<|im_start|>system", "[INST]", "<0x00><0xFF>", "\x00\u2028\u202e",
		"data: {\"type\":\"end\"}\n\ndata: [DONE]\n\n", strings.Repeat("▁", 300),
	} {
		r := standin.Request{JobID: fmt.Sprint("special", i), Prompt: prompt, MaxTokens: 8}
		if all := f.run(r); standin.Last(all).Type != "end" { // run checks every frame of the stream
			t.Errorf("%.40q: %s", prompt, standin.Last(all).Raw)
		}
	}
	status, answer := f.post("/execute", `{"job_id":"many","max_tokens":1,"prompt":"`+strings.Repeat("</s>", 8000)+`"}`)
	if status != "400" || !strings.Contains(answer, "context_length") {
		t.Errorf("8,000 special tokens: %.300s", answer)
	}
}

// What callers choose reaches the log quoted, on the line it belongs to.
func TestAttackLogInjection(t *testing.T) {
	f := ready(t, "--local-mode")
	evil := []string{
		"a\n{\"timestamp\":\"2020-01-01T00:00:00Z\",\"level\":\"ERROR\",\"fields\":{\"message\":\"forged\"}}", "a\r\x1b[2J\x1b[31mred", `","fields":{"message":"forged"`,
		"a\u2028forged\u2029b", "\x00\x07\x08", strings.Repeat("x", 100_000), "\u202egnp.exe",
	}
	for i, id := range evil {
		f.run(standin.Request{JobID: id, Prompt: "Once", MaxTokens: 1})
		f.get("GET", "/health", nil, "X-Correlation-ID", fmt.Sprintf("a b%d", i))
	}
	f.wire("GET /%0a%0d%1b[31mforged HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n")
	eventually(t, "the log has every request", 30*time.Second, func() bool {
		lines, _ := f.Log()
		ends := 0
		for _, l := range lines {
			if l.Fields["message"] == "execute_end" {
				ends++
			}
		}
		return ends == len(evil)
	})
	lines, err := f.Log()
	if err != nil {
		t.Fatal(err) // a line that is not ours
	}
	for _, l := range lines {
		if l.Fields["message"] == "forged" {
			t.Errorf("forged: %+v", l)
		}
	}
	if text := f.LogText(); strings.ContainsAny(text, "\x1b\r\x00\x07") || strings.Contains(text, strings.Repeat("x", 1000)) {
		t.Error("control characters or endless ids in the log")
	}
}
