package tokenize

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The library aborts the process on some malformed components (a Rust panic cannot cross the C boundary), so each part
// of the pipeline is checked here against this table first. It lists what tokenizers of Llama-like models are made of;
// what is not listed is refused by name rather than tried.

type valueKind int

const (
	isString valueKind = iota
	isBool
	isChar       // a string of one code point
	isCount      // an integer from 0 to 2^31-1
	isPattern    // {"String": s} or {"Regex": s}
	isList       // components of the same place
	isBehavior   // how a split treats its delimiter
	isPrepending // when Metaspace puts its mark before the text
)

type property struct {
	name     string
	kind     valueKind
	optional bool // may be absent or null
}

type schema map[string][]property // component type → its properties

var normalizers = schema{
	"Sequence": {{name: "normalizers", kind: isList}},
	"NFC":      nil, "NFD": nil, "NFKC": nil, "NFKD": nil, "Lowercase": nil, "Nmt": nil, "StripAccents": nil, "ByteLevel": nil,
	"Strip":   {{name: "strip_left", kind: isBool}, {name: "strip_right", kind: isBool}},
	"Replace": {{name: "pattern", kind: isPattern}, {name: "content", kind: isString}},
	"Prepend": {{name: "prepend", kind: isString}},
}

var byteLevelProperties = []property{
	{name: "add_prefix_space", kind: isBool}, {name: "trim_offsets", kind: isBool}, {name: "use_regex", kind: isBool, optional: true},
}

var metaspaceProperties = []property{
	{name: "replacement", kind: isChar}, {name: "prepend_scheme", kind: isPrepending, optional: true},
	{name: "add_prefix_space", kind: isBool, optional: true}, {name: "split", kind: isBool, optional: true},
	{name: "str_rep", kind: isString, optional: true},
}

var preTokenizers = schema{
	"Sequence":   {{name: "pretokenizers", kind: isList}},
	"ByteLevel":  byteLevelProperties,
	"Metaspace":  metaspaceProperties,
	"Whitespace": nil, "WhitespaceSplit": nil, "UnicodeScripts": nil, "BertPreTokenizer": nil,
	"Split":       {{name: "pattern", kind: isPattern}, {name: "behavior", kind: isBehavior}, {name: "invert", kind: isBool}},
	"Punctuation": {{name: "behavior", kind: isBehavior, optional: true}},
	"Digits":      {{name: "individual_digits", kind: isBool}},
}

var decoders = schema{
	"Sequence":  {{name: "decoders", kind: isList}},
	"ByteLevel": byteLevelProperties,
	"Metaspace": metaspaceProperties,
	"Replace":   {{name: "pattern", kind: isPattern}, {name: "content", kind: isString}},
	"Strip":     {{name: "content", kind: isChar}, {name: "start", kind: isCount}, {name: "stop", kind: isCount}},
	"Fuse":      nil, "ByteFallback": nil,
}

var postProcessors = schema{
	"Sequence":           {{name: "processors", kind: isList}},
	"ByteLevel":          byteLevelProperties,
	"TemplateProcessing": nil, // checked in template.go
}

// component is one step of a pipeline; Sequences are flattened away.
type component struct {
	kind string
	with map[string]any
}

func (c component) text(name string) string { s, _ := c.with[name].(string); return s }
func (c component) count(name string) int   { n, _ := c.with[name].(float64); return int(n) }

// pattern is the text of a string or regular expression pattern.
func (c component) pattern(name string) (text string, regex bool) {
	p, _ := c.with[name].(map[string]any)
	if text, ok := p["String"].(string); ok {
		return text, false
	}
	text, _ = p["Regex"].(string)
	return text, true
}

// parseComponents reads one place of the pipeline from JSON that the reader has already walked, so depth and duplicate
// keys are no longer a question. null is an empty pipeline.
func parseComponents(raw []byte, s schema) ([]component, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, &Error{Offset: -1, Reason: "not JSON", Err: err}
	}
	if v == nil {
		return nil, nil
	}
	return s.components(v)
}

func (s schema) components(v any) ([]component, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, refuse("", "an object with a type is due")
	}
	kind, ok := m["type"].(string)
	if !ok {
		return nil, refuse("type", "missing, or not a string")
	}
	properties, known := s[kind]
	if !known {
		return nil, refuse("type", "%q is not supported", clip(kind))
	}
	for _, p := range properties {
		if err := p.check(m[p.name]); err != nil {
			return nil, under(p.name, err)
		}
		if p.kind == isList {
			list, err := s.list(m[p.name].([]any))
			return list, under(p.name, err)
		}
	}
	return []component{{kind: kind, with: m}}, nil
}

func (s schema) list(values []any) ([]component, error) {
	var all []component
	for i, v := range values {
		some, err := s.components(v)
		if err != nil {
			return nil, under(fmt.Sprintf("[%d]", i), err)
		}
		all = append(all, some...)
	}
	return all, nil
}

var (
	behaviors   = []string{"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"}
	prependings = []string{"first", "never", "always"}
)

// check tells whether v is a value of the property. NUL is refused in every text: the library puts the text of a value
// into its error messages and aborts when such a message holds a NUL.
func (p property) check(v any) error {
	if v == nil && p.optional {
		return nil
	}
	text, isText := v.(string)
	switch p.kind {
	case isString, isChar, isBehavior, isPrepending:
		if !isText || strings.ContainsRune(text, 0) {
			return refuse("", "a string without NUL is due")
		}
		return p.checkText(text)
	case isBool:
		if _, ok := v.(bool); !ok {
			return refuse("", "true or false is due")
		}
	case isCount:
		if n, ok := v.(float64); !ok || n != float64(int32(n)) || n < 0 {
			return refuse("", "a whole number from 0 to 2147483647 is due")
		}
	case isList:
		if _, ok := v.([]any); !ok {
			return refuse("", "a list is due")
		}
	case isPattern:
		return checkPatternValue(v)
	}
	return nil
}

func (p property) checkText(text string) error {
	switch {
	case p.kind == isChar && utf8.RuneCountInString(text) != 1:
		return refuse("", "a single character is due, not %q", clip(text))
	case p.kind == isBehavior && !slices.Contains(behaviors, text):
		return refuse("", "%q is none of %s", clip(text), strings.Join(behaviors, ", "))
	case p.kind == isPrepending && !slices.Contains(prependings, text):
		return refuse("", "%q is none of %s", clip(text), strings.Join(prependings, ", "))
	}
	return nil
}

func checkPatternValue(v any) error {
	m, _ := v.(map[string]any)
	text, isText := m["String"].(string)
	regex, isRegex := m["Regex"].(string)
	if len(m) != 1 || isText == isRegex || strings.ContainsRune(text+regex, 0) {
		return refuse("", `{"String": …} or {"Regex": …} without NUL is due`)
	}
	if !isRegex {
		if text == "" || len(text) > maxPattern {
			return refuse("String", "a text of 1 to %d bytes is due", maxPattern)
		}
		return nil
	}
	if err := checkPattern(regex); err != nil {
		return refuse("Regex", "%v", err)
	}
	return nil
}
