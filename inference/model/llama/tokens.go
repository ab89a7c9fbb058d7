package llama

import (
	"slices"

	"llorch/inference/weights/strictjson"
)

// maxEOS bounds the ids that end a text. Real models have up to a handful.
const maxEOS = 1024

// tokens reads the special ids of config.json: absent is the family's default,
// null is none.
func (c *Config) tokens(f *fields, q Quirks) {
	c.BOS, c.EOS = q.BOS, q.EOS
	if v := f.get("bos_token_id"); v != nil {
		c.BOS = f.id("bos_token_id", v)
	}
	if v := f.get("eos_token_id"); v != nil {
		c.EOS = f.ids("eos_token_id", v)
	}
	if f.err == nil && int(c.BOS) >= c.Vocab {
		f.fail("bos_token_id", "%d is not below the %d of vocab_size", c.BOS, c.Vocab)
	}
}

// generation lets generation_config.json overrule the ids, as transformers'
// generate does. An id it does not name stays that of config.json: transformers
// would go on without any, and a text that cannot end helps nobody.
func (c *Config) generation(file string, text []byte) error {
	f, err := parseObject(file, text)
	if err != nil {
		return err
	}
	if v := f.some("bos_token_id"); v != nil {
		c.BOS = f.id("bos_token_id", v)
	}
	if v := f.some("eos_token_id"); v != nil {
		c.EOS = f.ids("eos_token_id", v)
	}
	if f.err == nil && int(c.BOS) >= c.Vocab {
		f.fail("bos_token_id", "%d is not below the %d of vocab_size", c.BOS, c.Vocab)
	}
	return f.done()
}

// id reads a token id, -1 for null.
func (f *fields) id(name string, v *strictjson.Value) int32 {
	if v.Kind == strictjson.Null {
		return -1
	}
	return int32(f.integerOf(name, v, 0, maxPositions))
}

// ids reads an id, a list of ids, or null.
func (f *fields) ids(name string, v *strictjson.Value) []int32 {
	switch {
	case v.Kind == strictjson.Null:
		return nil
	case v.Kind != strictjson.Array:
		return []int32{f.id(name, v)}
	case len(v.Elems) > maxEOS:
		f.fail(name, "a list of %d ids; at most %d", len(v.Elems), maxEOS)
		return nil
	}
	var ids []int32
	for i := range v.Elems {
		id := int32(f.integerOf(name, &v.Elems[i], 0, maxPositions))
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// dropUnknownEOS removes ids the model cannot produce. They do no harm, and some
// checkpoints with a cut vocabulary have them.
func (c *Config) dropUnknownEOS() {
	known := make([]int32, 0, len(c.EOS)) // a copy: the family's default is shared
	for _, id := range c.EOS {
		if int(id) < c.Vocab {
			known = append(known, id)
		} else {
			c.warnf("%s: eos_token_id %d is not below the %d of vocab_size, so it never comes", c.File, id, c.Vocab)
		}
	}
	if c.EOS = known; len(known) == 0 {
		c.warnf("%s: no eos_token_id: texts end by length or stop string only", c.File)
	}
}
