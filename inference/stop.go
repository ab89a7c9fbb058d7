package inference

// stopMatcher finds stop strings in a text that arrives in pieces. It withholds
// no more than it must: the longest end of the text that some stop string
// begins with. What it lets out never depends on how the text was cut, because
// it reads byte by byte and stops at the first byte that completes a match;
// of several completed by one byte the longest counts.
type stopMatcher struct {
	stops []string
	fail  [][]int // Knuth-Morris-Pratt tables
	state []int   // bytes of each stop string that the text ends with
	held  []byte
}

func newStopMatcher(stops []string) *stopMatcher {
	m := &stopMatcher{stops: stops, state: make([]int, len(stops))}
	for _, s := range stops {
		m.fail = append(m.fail, failures(s))
	}
	return m
}

// failures returns, for each length n, the longest proper prefix of s[:n] that
// is also its end.
func failures(s string) []int {
	f := make([]int, len(s)+1)
	for n, k := 2, 0; n <= len(s); n++ {
		for k > 0 && s[k] != s[n-1] {
			k = f[k]
		}
		if s[k] == s[n-1] {
			k++
		}
		f[n] = k
	}
	return f
}

// push takes the next piece and returns the text that may go out. Once a stop
// string is complete, matched is it, out is what came before it, and the
// matcher is done.
func (m *stopMatcher) push(piece string) (out, matched string) {
	if len(m.stops) == 0 {
		return piece, ""
	}
	for i := range len(piece) {
		m.held = append(m.held, piece[i])
		if s := m.step(piece[i]); s != "" {
			return string(m.held[:len(m.held)-len(s)]), s
		}
	}
	longest := 0
	for _, n := range m.state {
		longest = max(longest, n)
	}
	out = string(m.held[:len(m.held)-longest])
	m.held = append(m.held[:0], m.held[len(m.held)-longest:]...)
	return out, ""
}

// step moves every automaton by one byte and returns the longest stop string
// that is complete now.
func (m *stopMatcher) step(b byte) (matched string) {
	for i, s := range m.stops {
		k := m.state[i]
		for k > 0 && s[k] != b {
			k = m.fail[i][k]
		}
		if s[k] == b {
			k++
		}
		m.state[i] = k
		if k == len(s) && k > len(matched) {
			matched = s
		}
	}
	return matched
}

// flush returns what is still withheld; the text is over.
func (m *stopMatcher) flush() string {
	s := string(m.held)
	m.held = m.held[:0]
	return s
}
