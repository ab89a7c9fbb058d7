package llama

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"
)

// ropeCase is one entry of testdata/rope.json, which testdata/rope.py works out
// in decimal arithmetic with one rounding per float32 operation.
type ropeCase struct {
	Name      string          `json:"name"`
	HeadDim   int             `json:"head_dim"`
	Theta     float64         `json:"rope_theta"`
	Scaling   json.RawMessage `json:"rope_scaling"`
	Attention float64         `json:"attention"`
	InvFreq   []uint32        `json:"inv_freq"`
	Table     [][4]uint32     `json:"table"` // position, pair, cos, sin
}

func TestRopeTable(t *testing.T) {
	text, err := os.ReadFile("testdata/rope.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []ropeCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { c.check(t) })
	}
	if len(cases) < 13 {
		t.Errorf("%d cases", len(cases))
	}
}

func (want ropeCase) check(t *testing.T) {
	// The same parameters in the three spellings that are in use.
	inside := fmt.Sprintf(`{"rope_theta":%v,%s`, want.Theta, want.Scaling[1:])
	if string(want.Scaling) == "{}" {
		inside = fmt.Sprintf(`{"rope_theta":%v,"rope_type":"default"}`, want.Theta)
	}
	for i, spelling := range []string{
		fmt.Sprintf(`"rope_theta":%v,"rope_scaling":%s`, want.Theta, want.Scaling),
		`"rope_parameters":` + inside,
		`"rope_theta":3,"rope_scaling":{},"rope_parameters":` + inside,
	} {
		config := fmt.Sprintf(`{"model_type":"llama","max_position_embeddings":4096,"head_dim":%d,%s}`, want.HeadDim, spelling)
		c, err := ParseConfig("config.json", []byte(config), nil, Family)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(c.Rope.AttentionFactor-want.Attention) > 1e-12 {
			t.Errorf("attention factor %v, want %v", c.Rope.AttentionFactor, want.Attention)
		}
		freq := c.InvFreq(c.MaxPositions)
		for i, bits := range want.InvFreq {
			same(t, fmt.Sprintf("frequency %d", i), freq[i], bits)
		}
		if i > 0 {
			continue // the same frequencies make the same table
		}
		cos, sin := c.RopeTable(4096)
		if half := want.HeadDim / 2; len(freq) != half || len(cos) != 4096*half || len(sin) != 4096*half {
			t.Fatalf("%d frequencies, %d cos, %d sin", len(freq), len(cos), len(sin))
		}
		for _, x := range want.Table {
			at := int(x[0])*len(freq) + int(x[1])
			same(t, fmt.Sprintf("cos at %d of pair %d", x[0], x[1]), cos[at], x[2])
			same(t, fmt.Sprintf("sin at %d of pair %d", x[0], x[1]), sin[at], x[3])
		}
	}
}

// same allows the last bit: two correct libraries may round cos differently
// where it lies in the middle of two float32.
func same(t *testing.T, what string, got float32, bits uint32) {
	t.Helper()
	want := math.Float32frombits(bits)
	ulp := math.Abs(float64(math.Nextafter32(want, float32(math.Inf(1))) - want))
	if math.Abs(float64(got)-float64(want)) > ulp {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestRopeTableOfNothing(t *testing.T) {
	c := Config{HeadDim: 4, RopeTheta: 10000}
	if cos, sin := c.RopeTable(0); len(cos) != 0 || len(sin) != 0 {
		t.Error("a table of no positions has entries")
	}
}
