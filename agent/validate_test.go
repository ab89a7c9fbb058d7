package agent

import (
	"encoding/json"
	"strings"
	"testing"
)

func valid() *generateRequest {
	return &generateRequest{JobID: "j", Prompt: "p", MaxTokens: 1, Temperature: 1, TopP: 1, RepetitionPenalty: 1}
}

func TestValidateBoundsAreInclusive(t *testing.T) {
	for name, change := range map[string]func(*generateRequest){
		"least": func(r *generateRequest) { r.Temperature, r.TopP, r.RepetitionPenalty, r.MinP = 0, 0, 0, 0 },
		"most": func(r *generateRequest) {
			r.Temperature, r.TopP, r.RepetitionPenalty, r.MinP, r.MaxTokens = 2, 1, 2, 1, 2048
		},
		"prompt counts scalars": func(r *generateRequest) { r.Prompt = strings.Repeat("🎉", 32768) },
		"stops":                 func(r *generateRequest) { r.Stop = []string{strings.Repeat("x", 100), "b", "c", "d"} },
	} {
		r := valid()
		change(r)
		if e := r.validate(2048); len(e) != 0 {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestValidateOneFault(t *testing.T) {
	cases := []struct {
		change      func(*generateRequest)
		field, tag  string
		value, says string
	}{
		{func(r *generateRequest) { r.JobID = "" }, "job_id", "non_empty", `""`, "empty"},
		{func(r *generateRequest) { r.Prompt = "" }, "prompt", "length(1..=32768)", "", "empty"},
		{func(r *generateRequest) { r.Prompt = strings.Repeat("é", 32769) }, "prompt", "length(1..=32768)", "", "32768"},
		{func(r *generateRequest) { r.MaxTokens = 0 }, "max_tokens", "range(1..=2048)", `"0"`, "at least 1"},
		{func(r *generateRequest) { r.MaxTokens = 2049 }, "max_tokens", "range(1..=2048)", `"2049"`, "2048"},
		{func(r *generateRequest) { r.Temperature = -0.1 }, "temperature", "range(0.0..=2.0)", `"-0.1"`, "0.0"},
		{func(r *generateRequest) { r.Temperature = 2.5 }, "temperature", "range(0.0..=2.0)", `"2.5"`, "2.0"},
		{func(r *generateRequest) { r.TopP = 1.0000001 }, "top_p", "range(0.0..=1.0)", `"1.0000001"`, "1.0"},
		{func(r *generateRequest) { r.RepetitionPenalty = 3 }, "repetition_penalty", "range(0.0..=2.0)", `"3"`, "2.0"},
		{func(r *generateRequest) { r.MinP = 1e20 }, "min_p", "range(0.0..=1.0)", `"100000000000000000000"`, "1.0"},
		{func(r *generateRequest) { r.Stop = make5() }, "stop", "max_count(4)", `"5"`, "4"},
		{func(r *generateRequest) { r.Stop = []string{"a", ""} }, "stop[1]", "non_empty", "", "empty"},
		{func(r *generateRequest) { r.Stop = []string{strings.Repeat("é", 51)} }, "stop[0]", "max_length(100)", "", "100"},
	}
	for _, c := range cases {
		r := valid()
		c.change(r)
		errs := r.validate(2048)
		if len(errs) != 1 {
			t.Errorf("%s: %+v", c.field, errs)
			continue
		}
		e := errs[0]
		value := ""
		if e.Value != nil {
			b, _ := json.Marshal(*e.Value)
			value = string(b)
		}
		if e.Field != c.field || e.Constraint != c.tag || value != c.value || !strings.Contains(e.Message, c.says) || !strings.Contains(e.Message, c.field) {
			t.Errorf("%s: %+v value %s", c.field, e, value)
		}
	}
}

func make5() []string { return []string{"a", "b", "c", "d", "e"} }

func TestValidateReportsAllInOrder(t *testing.T) {
	r := &generateRequest{Temperature: 3, TopP: 2, RepetitionPenalty: 3, Stop: []string{"", "b", "c", "d", "e"}, MinP: 2, CacheSalt: strings.Repeat("s", 257)}
	var fields []string
	for _, e := range r.validate(2048) {
		fields = append(fields, e.Field)
	}
	want := "job_id prompt max_tokens temperature top_p repetition_penalty stop stop[0] min_p cache_salt"
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
