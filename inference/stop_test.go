package inference

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// firstStop is the plain specification: the stop string that ends first, the
// longest of those that end there.
func firstStop(text string, stops []string) (before, matched string, found bool) {
	for end := 1; end <= len(text); end++ {
		for _, s := range stops {
			if strings.HasSuffix(text[:end], s) && len(s) > len(matched) {
				matched, found = s, true
			}
		}
		if found {
			return text[:end-len(matched)], matched, true
		}
	}
	return text, "", false
}

// TestStopMatcher checks text, match and minimal hold-back over random texts of
// a small alphabet and all ways to cut them.
func TestStopMatcher(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.SampledFrom([]rune("abé")), 1, 5, -1)
		stops := rapid.SliceOfN(word, 0, 4).Draw(t, "stops")
		text := rapid.StringOfN(rapid.SampledFrom([]rune("abé")), 0, 30, -1).Draw(t, "text")
		wantText, wantMatch, found := firstStop(text, stops)

		m, got, match, rest := newStopMatcher(stops), "", "", text
		for rest != "" && match == "" {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			out, matched := m.push(rest[:n])
			got, match, rest = got+out, matched, rest[n:]
			if match == "" {
				checkHoldBack(t, text[:len(text)-len(rest)], got, stops)
			}
		}
		if match == "" {
			got += m.flush()
		}
		if got != wantText || match != wantMatch || (match != "") != found {
			t.Fatalf("text %q stops %q: got %q %q, want %q %q", text, stops, got, match, wantText, wantMatch)
		}
	})
}

// checkHoldBack fails if more or less of seen is withheld than the longest end
// that is a proper beginning of a stop string.
func checkHoldBack(t *rapid.T, seen, out string, stops []string) {
	need := 0
	for _, s := range stops {
		for n := range len(s) {
			if strings.HasSuffix(seen, s[:n]) {
				need = max(need, n)
			}
		}
	}
	if len(seen)-len(out) != need {
		t.Fatalf("%q out of %q: %d bytes withheld, want %d", out, seen, len(seen)-len(out), need)
	}
}

func TestStopMatcherByHand(t *testing.T) {
	m := newStopMatcher([]string{"\n\n", "END"})
	for _, c := range []struct{ in, out, matched string }{
		{"a", "a", ""}, {"\n", "", ""}, {"b", "\nb", ""}, {"EN", "", ""}, {"E", "EN", ""}, {"ND!", "", "END"},
	} {
		if out, matched := m.push(c.in); out != c.out || matched != c.matched {
			t.Errorf("push(%q) = %q %q, want %q %q", c.in, out, matched, c.out, c.matched)
		}
	}
}
