package bench

import (
	"math"
	"strings"
	"testing"
)

func TestTheTableOfThresholds(t *testing.T) {
	table, err := parseThresholds(thresholdsText)
	if err != nil {
		t.Fatal(err)
	}
	// Every format that the figures to reach name has its lines for decode and for both kinds of CPU.
	for _, format := range []string{"BF16", "Q8_0", "Q4_0", "Q4_K_M"} {
		for _, c := range []struct {
			kase  string
			units []Unit
		}{{"decode@16", []Unit{Read}}, {"decode@1024", []Unit{Read}}, {"prefill@512", []Unit{Tile}}, {"prefill@512", []Unit{Int8, FMA}}, {"prefill@512", []Unit{Int8, Pair}}} {
			found := false
			for _, u := range c.units {
				_, ok := find(table, format, c.kase, u)
				found = found || ok
			}
			if !found {
				t.Errorf("no line for %s %s %v", format, c.kase, c.units)
			}
		}
	}
}

func TestBadThresholds(t *testing.T) {
	for text, want := range map[string]string{
		"BF16 decode@16 read":                                 "3 columns",
		"BF16 decode@16 read 0.8 x":                           "5 columns",
		"BF16 decode@x read 0.8":                              `case "decode@x"`,
		"BF16 decode@0 read 0.8":                              `case "decode@0"`,
		"BF16 prefil@16 fma 0.8":                              `case "prefil@16"`,
		"BF16 decode@16 fma 0.8":                              `unit "fma"`,
		"BF16 prefill@16 read 0.8":                            `unit "read"`,
		"BF16 prefill@16 gpu 0.8":                             `unit "gpu"`,
		"BF16 decode@16 read 82":                              `least "82"`,
		"BF16 decode@16 read 0":                               `least "0"`,
		"BF16 decode@16 read NaN":                             `least "NaN"`,
		"\n# x\nA decode@1 read 0.5\nA decode@1 read 0.6 # y": "line 4: A decode@1 read is there twice",
	} {
		if _, err := parseThresholds(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	table, err := parseThresholds("Q8_0 decode@16 read 0.8\n* decode@1024 read 0.7\n* prefill@512 tile 0.1\nQ8_0 prefill@512 int8 0.2\nBF16 prefill@512 pair 0.6\n* prefill@512 fma 0.5")
	if err != nil {
		t.Fatal(err)
	}
	cpu := Limits{ReadGBs: 20, FMAGFlops: 300, Int8Gops: 1000}
	slow := Limits{ReadGBs: 20, WeightsGBs: 17, FMAGFlops: 300, Int8Gops: 1000}
	tiles := Limits{ReadGBs: 20, FMAGFlops: 300, Int8Gops: 1000, TileGFlops: 6000}
	pairs := Limits{ReadGBs: 20, FMAGFlops: 300, Int8Gops: 1000, PairGFlops: 600}
	for _, c := range []struct {
		name    string
		r       Report
		want    string
		wantErr bool
	}{
		{"quantised", Report{Format: "q8_0",
			Decode:  []Decode{{Batch: 1, Prompt: 16, GBs: 16, Limits: cpu}, {Batch: 1, Prompt: 1024, GBs: 13, Limits: cpu}, {Batch: 8, Prompt: 16, GBs: 1, Limits: cpu}},
			Prefill: []Prefill{{Tokens: 128, GFlops: 1, Limits: cpu}, {Tokens: 512, GFlops: 199, Limits: cpu}}},
			"ok decode@16 read 0.80/0.80, MISS decode@1024 read 0.65/0.70, MISS prefill@512 int8 0.20/0.20", false},
		{"what the weights' own memory gives", Report{Format: "q8_0",
			Decode: []Decode{{Batch: 1, Prompt: 16, GBs: 15, Limits: slow}, {Batch: 1, Prompt: 1024, GBs: 11, Limits: slow}}},
			"ok decode@16 where 0.88/0.80, MISS decode@1024 where 0.65/0.70", false},
		{"floats have no line for int8", Report{Format: "BF16",
			Decode:  []Decode{{Batch: 1, Prompt: 16, GBs: 1, Limits: cpu}, {Batch: 1, Prompt: 1024, GBs: 14, Limits: cpu}},
			Prefill: []Prefill{{Tokens: 512, GFlops: 150, Limits: cpu}}},
			"ok decode@1024 read 0.70/0.70, ok prefill@512 fma 0.50/0.50", false},
		{"pairs come before float32", Report{Format: "BF16", Prefill: []Prefill{{Tokens: 512, GFlops: 330, Limits: pairs}}},
			"MISS prefill@512 pair 0.55/0.60", false},
		{"and behind int8", Report{Format: "Q8_0", Prefill: []Prefill{{Tokens: 512, GFlops: 330, Limits: pairs}}},
			"ok prefill@512 int8 0.33/0.20", false},
		{"tiles come first", Report{Format: "Q8_0", Prefill: []Prefill{{Tokens: 512, GFlops: 500, Limits: tiles}}},
			"MISS prefill@512 tile 0.08/0.10", false},
		{"no number", Report{Format: "Q8_0", Decode: []Decode{{Batch: 1, Prompt: 16, GBs: math.NaN(), Limits: cpu}}},
			"MISS decode@16 read NaN/0.80", false},
		{"nothing in the table", Report{Format: "F16", Decode: []Decode{{Batch: 1, Prompt: 16, GBs: 16, Limits: cpu}}}, "", true},
	} {
		got, err := c.r.check(table)
		if (err != nil) != c.wantErr || err == nil && describe(got) != c.want {
			t.Errorf("%s: %v %s\nwant %s", c.name, err, describe(got), c.want)
		}
	}
}

func TestBetterOfTwoRuns(t *testing.T) {
	a := []Fraction{{"decode@16", Read, 0.5, 0.8}, {"prefill@512", FMA, 0.9, 0.8}}
	b := []Fraction{{"prefill@512", FMA, 0.7, 0.8}, {"decode@16", Read, 0.85, 0.8}, {"decode@16", FMA, 0.99, 0.8}}
	if got := describe(Better(a, b)); got != "ok decode@16 read 0.85/0.80, ok prefill@512 fma 0.90/0.80" || a[0].Is != 0.5 {
		t.Errorf("%s, %v", got, a)
	}
}

func describe(all []Fraction) string {
	var parts []string
	for _, f := range all {
		word, _, _ := strings.Cut(f.String(), " ")
		parts = append(parts, strings.Join([]string{word, f.Case, string(f.Unit), number(f.Is) + "/" + number(f.Want)}, " "))
	}
	return strings.Join(parts, ", ")
}
