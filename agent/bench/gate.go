package bench

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

//go:embed thresholds.txt
var thresholdsText string

// threshold is a line of the table.
type threshold struct {
	format, kase string
	unit         Unit
	least        float64
}

// Fraction is a share of a limit that was reached.
type Fraction struct {
	Case string  `json:"case"` // "decode@16", "prefill@512"
	Unit Unit    `json:"unit"`
	Is   float64 `json:"is"`
	Want float64 `json:"want"` // at least
}

// Missed says that too little was reached.
func (f Fraction) Missed() bool { return !(f.Is >= f.Want) } // also when it is no number

func (f Fraction) String() string {
	word := "ok  "
	if f.Missed() {
		word = "MISS"
	}
	return fmt.Sprintf("%s %-12s %5.1f %% of %s, at least %.0f %% wanted", word, f.Case, 100*f.Is, unitNames[f.Unit], 100*f.Want)
}

// Check holds a report against the table of thresholds. A report of which
// nothing is in the table is an error.
func (r *Report) Check() ([]Fraction, error) {
	table, err := parseThresholds(thresholdsText)
	if err != nil {
		return nil, err
	}
	return r.check(table)
}

func (r *Report) check(table []threshold) (all []Fraction, err error) {
	for _, d := range r.Decode {
		if t, ok := find(table, r.Format, fmt.Sprintf("decode@%d", d.Prompt), Read); ok && d.Batch == 1 {
			is, unit := d.FractionWhere()
			all = append(all, Fraction{t.kase, unit, is, t.least})
		}
	}
	for _, p := range r.Prefill {
		for _, u := range computing {
			if p.Limits.of(u) <= 0 {
				continue
			}
			if t, ok := find(table, r.Format, fmt.Sprintf("prefill@%d", p.Tokens), u); ok {
				all = append(all, Fraction{t.kase, u, p.Fraction(u), t.least})
				break
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("bench: the table of thresholds has no line for anything measured with format %s: add one to thresholds.txt", r.Format)
	}
	return all, nil
}

// find returns the line for a format, or the one for all formats.
func find(table []threshold, format, kase string, u Unit) (threshold, bool) {
	for _, name := range []string{format, "*"} {
		i := slices.IndexFunc(table, func(t threshold) bool {
			return strings.EqualFold(t.format, name) && t.kase == kase && t.unit == u
		})
		if i >= 0 {
			return table[i], true
		}
	}
	return threshold{}, false
}

// parseThresholds reads the table. Two lines for one thing are refused: one of
// them would be read in vain.
func parseThresholds(text string) (table []threshold, err error) {
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		t, err := parseThreshold(f)
		if err != nil {
			return nil, fmt.Errorf("bench: thresholds, line %d: %w", i+1, err)
		}
		for _, o := range table {
			if o.format == t.format && o.kase == t.kase && o.unit == t.unit {
				return nil, fmt.Errorf("bench: thresholds, line %d: %s %s %s is there twice", i+1, t.format, t.kase, t.unit)
			}
		}
		table = append(table, t)
	}
	return table, nil
}

func parseThreshold(f []string) (t threshold, err error) {
	if len(f) != 4 {
		return t, fmt.Errorf("%d columns, want format, case, unit and least", len(f))
	}
	t = threshold{format: f[0], kase: f[1], unit: Unit(f[2])}
	kind, n, ok := strings.Cut(t.kase, "@")
	tokens, bad := strconv.Atoi(n)
	if !ok || bad != nil || tokens < 1 || kind != "decode" && kind != "prefill" {
		return t, fmt.Errorf("case %q, want decode@N or prefill@N", t.kase)
	}
	if (kind == "decode") != (t.unit == Read) || t.unit != Read && !slices.Contains(computing, t.unit) {
		return t, fmt.Errorf("unit %q of %s: decode is held against read, prefill against tile, int8, pair or fma", t.unit, t.kase)
	}
	if t.least, err = strconv.ParseFloat(f[3], 64); err != nil || !(t.least > 0 && t.least <= 1) {
		return t, fmt.Errorf("least %q, want a share above 0 and at most 1", f[3])
	}
	return t, nil
}

// Better keeps of two checks of the same cases the larger share of each: what a
// busy machine took away in one run it may give in the next.
func Better(a, b []Fraction) []Fraction {
	best := slices.Clone(a)
	for i := range best {
		for _, f := range b {
			if f.Case == best[i].Case && f.Unit == best[i].Unit {
				best[i].Is = max(best[i].Is, f.Is)
			}
		}
	}
	return best
}
