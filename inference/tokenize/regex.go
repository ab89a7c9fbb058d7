package tokenize

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds on regular expressions in a tokenizer file. The library's engine backtracks: (a+)+$ on thirty letters takes
// longer than anybody waits, and with each request again. The patterns of all known models repeat single characters or
// classes, at most twice in one alternative.
const (
	maxPattern     = 8 << 10
	maxGroups      = 16
	maxUnbounded   = 2
	boundedRepeats = 16 // {n,m} with m above this is counted as without bound
)

// checkPattern refuses a pattern whose matching time could grow exponentially with the text, or that the check below
// does not understand (back references, calls of groups). It reads the syntax of the library's engine (Ruby's).
func checkPattern(pattern string) error {
	if len(pattern) > maxPattern {
		return fmt.Errorf("regular expression of %d bytes, at most %d are allowed", len(pattern), maxPattern)
	}
	p := &patternReader{s: pattern}
	total, err := p.alternatives(0)
	if err == nil && p.i < len(p.s) {
		err = fmt.Errorf("unmatched )")
	}
	if err == nil && total.unbounded > maxUnbounded {
		err = fmt.Errorf("%d unbounded repetitions in one alternative, at most %d are allowed", total.unbounded, maxUnbounded)
	}
	if err != nil {
		return fmt.Errorf("regular expression %q is refused at byte %d: %w", clip(pattern), p.i, err)
	}
	return nil
}

// cost is what a part of a pattern can cost: whether the same text can match it in several ways, and how many
// repetitions without bound lie on the costliest path through it.
type cost struct {
	ambiguous bool
	unbounded int
}

type patternReader struct {
	s string
	i int
}

func (p *patternReader) more(prefix string) bool { return strings.HasPrefix(p.s[p.i:], prefix) }

func (p *patternReader) accept(prefix string) bool {
	if !p.more(prefix) {
		return false
	}
	p.i += len(prefix)
	return true
}

func (p *patternReader) alternatives(depth int) (cost, error) {
	if depth > maxGroups {
		return cost{}, fmt.Errorf("groups nested deeper than %d", maxGroups)
	}
	all, err := p.sequence(depth)
	for err == nil && p.accept("|") {
		var next cost
		next, err = p.sequence(depth)
		all = cost{ambiguous: true, unbounded: max(all.unbounded, next.unbounded)}
	}
	return all, err
}

func (p *patternReader) sequence(depth int) (cost, error) {
	var sum cost
	for p.i < len(p.s) && !p.more("|") && !p.more(")") {
		atom, err := p.atom(depth)
		if err != nil {
			return sum, err
		}
		atom, err = p.quantified(atom)
		if err != nil {
			return sum, err
		}
		sum.ambiguous = sum.ambiguous || atom.ambiguous
		sum.unbounded += atom.unbounded
	}
	return sum, nil
}

func (p *patternReader) atom(depth int) (cost, error) {
	switch {
	case p.accept("("):
		return p.group(depth)
	case p.accept("["):
		return cost{}, p.class(depth)
	case p.accept(`\`):
		return cost{}, p.escape()
	case p.more("*"), p.more("+"), p.more("?"):
		return cost{}, fmt.Errorf("a repetition of nothing")
	}
	_, size := utf8.DecodeRuneInString(p.s[p.i:])
	p.i += size
	return cost{}, nil
}

func (p *patternReader) group(depth int) (cost, error) {
	if p.accept("?#") {
		end := strings.IndexByte(p.s[p.i:], ')')
		if end < 0 {
			return cost{}, fmt.Errorf("a comment without end")
		}
		p.i += end + 1
		return cost{}, nil
	}
	if p.accept("?") {
		if err := p.groupKind(); err != nil {
			return cost{}, err
		}
	}
	inner, err := p.alternatives(depth + 1)
	if err == nil && !p.accept(")") {
		err = fmt.Errorf("a group without end")
	}
	return inner, err
}

// groupKind reads what stands between "(?" and the content of a group.
func (p *patternReader) groupKind() error {
	for _, kind := range []string{":", "=", "!", ">", "<=", "<!"} {
		if p.accept(kind) {
			return nil
		}
	}
	flags := p.i
	for p.i < len(p.s) && strings.IndexByte("imx-", p.s[p.i]) >= 0 {
		p.i++
	}
	if p.i > flags && (p.accept(":") || p.more(")")) {
		return nil
	}
	return fmt.Errorf("a kind of group that is not supported")
}

// class reads a character class from behind its opening bracket; classes nest.
func (p *patternReader) class(depth int) error {
	if depth > maxGroups {
		return fmt.Errorf("classes nested deeper than %d", maxGroups)
	}
	p.accept("^")
	for first := true; p.i < len(p.s); first = false {
		var err error
		switch {
		case p.accept("]"):
			if !first {
				return nil
			}
		case p.accept("["):
			err = p.class(depth + 1)
		case p.accept(`\`):
			err = p.escape()
		default:
			p.i++
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("a character class without end")
}

// escape reads from behind a backslash.
func (p *patternReader) escape() error {
	if p.i == len(p.s) {
		return fmt.Errorf("a backslash at the end")
	}
	c := p.s[p.i]
	switch {
	case c >= '1' && c <= '9', c == 'k', c == 'g', c == 'K', c == 'X', c == 'R':
		return fmt.Errorf("\\%c is not supported", c)
	case (c == 'p' || c == 'P' || c == 'x' || c == 'o') && p.i+1 < len(p.s) && p.s[p.i+1] == '{':
		end := strings.IndexByte(p.s[p.i:], '}')
		if end < 0 {
			return fmt.Errorf("\\%c{ without }", c)
		}
		p.i += end + 1
		return nil
	}
	_, size := utf8.DecodeRuneInString(p.s[p.i:])
	p.i += size
	return nil
}

// quantified applies the repetitions that follow an atom. A second one after the first repeats the repetition, unless it
// is the ? or + that makes the first lazy or possessive.
func (p *patternReader) quantified(atom cost) (cost, error) {
	least, most, ok := p.quantifier()
	if !ok {
		return atom, nil
	}
	if most > 1 && atom.ambiguous {
		return atom, fmt.Errorf("a repetition of something that can itself match in several ways")
	}
	if most > boundedRepeats {
		if atom.unbounded++; atom.unbounded > maxUnbounded {
			return atom, fmt.Errorf("more than %d unbounded repetitions in one alternative", maxUnbounded)
		}
	}
	atom.ambiguous = atom.ambiguous || least != most
	if _, _, again := p.quantifier(); again {
		return atom, fmt.Errorf("a repetition of a repetition")
	}
	return atom, nil
}

// quantifier reads one repetition with its lazy or possessive mark; most is huge when there is no bound.
func (p *patternReader) quantifier() (least, most int, ok bool) {
	const noBound = 1 << 30
	switch {
	case p.accept("*"):
		most = noBound
	case p.accept("+"):
		least, most = 1, noBound
	case p.accept("?"):
		most = 1
	case p.more("{"):
		return p.counted(noBound)
	default:
		return 0, 0, false
	}
	if !p.accept("?") {
		p.accept("+")
	}
	return least, most, true
}

// counted reads {n}, {n,}, {,m} or {n,m}; any other text behind a brace is literal.
func (p *patternReader) counted(noBound int) (least, most int, ok bool) {
	end := strings.IndexByte(p.s[p.i:], '}')
	if end < 0 {
		return 0, 0, false
	}
	low, high, comma := strings.Cut(p.s[p.i+1:p.i+end], ",")
	least, most = count(low, 0), count(high, noBound)
	if least < 0 || most < 0 || (low == "" && high == "") {
		return 0, 0, false
	}
	if !comma {
		most = least
	}
	p.i += end + 1
	if p.accept("?") { // lazy, and {n}? even optional
		least = 0
	}
	return least, most, true
}

// count is the value of up to six digits, absent for the empty string, -1 for anything else.
func count(s string, absent int) int {
	if s == "" {
		return absent
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' || len(s) > 6 {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}
