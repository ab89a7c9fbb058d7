package tokenize

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// ToGGUF is the vocabulary of a tokenizer.json as a GGUF file carries it, for a writer of such files. model is what Open
// takes. OpenGGUF of the result encodes and decodes as the file does; what a GGUF file cannot say is an *Error, what
// other readers of the file may do otherwise is among its Doubts.
//
// BOS and EOS are set where the file puts them round every text. The ids of a model that does not are in its config.json
// and the caller's to fill in, as are EOT, EOM and PAD.
func ToGGUF(model string) (GGUF, error) {
	path, err := find(model)
	if err != nil {
		return GGUF{}, err
	}
	data, err := readFile(path)
	if err != nil {
		return GGUF{}, at(path, err)
	}
	g, err := toGGUF(data)
	if err != nil {
		return GGUF{}, at(path, err)
	}
	return *g, nil
}

// PadTo adds unused tokens up to the number of rows that the embedding of the model has: readers want as many of both.
func (g *GGUF) PadTo(rows int) {
	g.Tokens, g.Scores, g.Types = slices.Clone(g.Tokens), slices.Clone(g.Scores), slices.Clone(g.Types)
	for i := len(g.Tokens); i < rows; i++ {
		g.Tokens = append(g.Tokens, fmt.Sprintf("[PAD%d]", i))
		if g.Scores != nil {
			g.Scores = append(g.Scores, -10000)
		}
		if g.Types != nil {
			g.Types = append(g.Types, ggufUnused)
		}
	}
}

// jsonFile is what the check of a tokenizer.json has no use for once it is done.
type jsonFile struct {
	Added []struct {
		ID                      int32
		Content                 string
		Special, Lstrip, Rstrip bool
		SingleWord              bool `json:"single_word"`
	} `json:"added_tokens"`
	Normalizer, Decoder json.RawMessage
	Pre                 json.RawMessage `json:"pre_tokenizer"`
	Post                json.RawMessage `json:"post_processor"`
	Model               struct {
		Type         string
		Unk          string `json:"unk_token"`
		ByteFallback bool   `json:"byte_fallback"`
		IgnoreMerges bool   `json:"ignore_merges"`
		Merges       []json.RawMessage
	}
}

func toGGUF(data []byte) (*GGUF, error) {
	def, err := parseDefinition(data)
	if err != nil {
		return nil, err
	}
	var f jsonFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, &Error{Offset: -1, Reason: "cannot be read", Err: err}
	}
	if f.Model.Type != "BPE" {
		return nil, refuse("model.type", "%q has no counterpart in a GGUF file: BPE is due", f.Model.Type)
	}
	normalizer, _ := parseComponents(orNull(f.Normalizer), normalizers) // all checked by parseDefinition
	pre, _ := parseComponents(orNull(f.Pre), preTokenizers)
	g := &GGUF{Tokens: def.vocab.tokens, BOS: -1, EOS: -1, EOT: -1, EOM: -1, UNK: -1, PAD: -1}
	g.Types = slices.Repeat([]int32{ggufNormal}, len(g.Tokens))
	merges, err := f.merges()
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(pre, func(c component) bool { return c.kind == "ByteLevel" }) {
		err = g.fromByteLevel(&f, normalizer, pre, merges)
	} else {
		err = g.fromPieces(&f, def, normalizer, pre, merges)
	}
	if err == nil {
		err = g.fromTemplate(f.Post, def)
	}
	if err == nil {
		err = g.fromAdded(&f)
	}
	return g, err
}

func orNull(raw json.RawMessage) []byte {
	if len(raw) == 0 {
		return []byte("null")
	}
	return raw
}

// merges are those of the file as "left right". Parts with blanks cannot be told apart so and are refused.
func (f *jsonFile) merges() ([]string, error) {
	merges := make([]string, len(f.Model.Merges))
	for i, raw := range f.Model.Merges {
		var parts []string
		if raw[0] == '"' {
			if err := json.Unmarshal(raw, &merges[i]); err != nil {
				return nil, refuse(place("model.merges", i), "not a text")
			}
			continue
		}
		if err := json.Unmarshal(raw, &parts); err != nil || len(parts) != 2 || strings.Contains(parts[0]+parts[1], " ") {
			return nil, refuse(place("model.merges", i), "two parts without blanks are due: a GGUF file has a blank between them")
		}
		merges[i] = parts[0] + " " + parts[1]
	}
	return merges, nil
}

// fromByteLevel finds the name of the file's splitting.
func (g *GGUF) fromByteLevel(f *jsonFile, normalizer, pre []component, merges []string) error {
	g.Model, g.Merges = "gpt2", merges
	if len(merges) == 0 {
		return refuse("model.merges", "missing: a byte-level vocabulary in a GGUF file cannot be without")
	}
	for i := range splittings {
		s := &splittings[i]
		if s.ignoreMerges == f.Model.IgnoreMerges && sameSteps(s.normalizer(), normalizers, normalizer) &&
			sameSteps(s.preTokenizer(), preTokenizers, pre) {
			g.Pre = s.names[0]
			return nil
		}
	}
	return refuse("pre_tokenizer", "a GGUF file has no name for these steps (with this normalizer and ignore_merges), so its readers "+
		"would split text otherwise: keep the model in its folder")
}

// sameSteps tells whether the components are those of a splitting, but for properties that do not matter for ids.
func sameSteps(want any, s schema, have []component) bool {
	raw, err := json.Marshal(want)
	if err != nil {
		return false
	}
	due, err := parseComponents(raw, s)
	if err != nil || len(due) != len(have) {
		return false
	}
	for i := range due {
		if !reflect.DeepEqual(essence(due[i]), essence(have[i])) {
			return false
		}
	}
	return true
}

func essence(c component) map[string]any {
	with := map[string]any{}
	for name, value := range c.with {
		if name != "trim_offsets" {
			with[name] = value
		}
	}
	if c.kind == "ByteLevel" && with["use_regex"] == nil {
		with["use_regex"] = true
	}
	if c.kind == "Punctuation" && with["behavior"] == nil {
		with["behavior"] = "Isolated"
	}
	return with
}

// fromAdded sets the types of the added tokens and refuses what no type can say of them.
func (g *GGUF) fromAdded(f *jsonFile) error {
	swallows := g.swallowing(slices.Contains(g.Tokens, phi3Mark))
	for i, a := range f.Added {
		if a.Lstrip || a.SingleWord || a.Rstrip != swallows(a.Content) {
			return refuse(place("added_tokens", i), "%q takes blanks along, or counts as a whole word only, which a GGUF file cannot say", clip(a.Content))
		}
		switch {
		case !a.Special:
			g.Types[a.ID] = ggufUserDefined
		case a.ID == g.UNK:
			g.Types[a.ID] = ggufUnknown
		default:
			g.Types[a.ID] = ggufControl
		}
	}
	return nil
}

// fromTemplate takes BOS and EOS from the tokens round the text.
func (g *GGUF) fromTemplate(post json.RawMessage, def *definition) error {
	bos, eos := false, false
	g.AddBOS, g.AddEOS = &bos, &eos
	steps, _ := parseComponents(orNull(post), postProcessors)
	for _, c := range steps {
		if c.kind != "TemplateProcessing" {
			continue
		}
		special, _ := c.with["special_tokens"].(map[string]any)
		pieces, _ := c.with["single"].([]any)
		to, flag := &g.BOS, &bos
		for _, p := range pieces {
			token, isToken := p.(map[string]any)["SpecialToken"].(map[string]any)
			if !isToken { // the text
				to, flag = &g.EOS, &eos
				continue
			}
			ids := special[token["id"].(string)].(map[string]any)["ids"].([]any)
			if *flag || len(ids) != 1 {
				return refuse("post_processor.single", "more than one token before or after the text, which a GGUF file cannot say")
			}
			*to, *flag = int32(ids[0].(float64)), true
		}
	}
	return nil
}
