package tokenize

import "fmt"

// maxTemplate bounds the tokens that a post-processor may add to every text.
const maxTemplate = 64

// checkTemplate checks a TemplateProcessing: the library uses names and ids from it without looking (an unknown name
// panics, a wrong id goes into the model), and a template whose ids belong to other tokens than it says is a back door.
func checkTemplate(c component, v *vocabulary) error {
	special, ok := c.with["special_tokens"].(map[string]any)
	if !ok {
		return refuse("special_tokens", "an object is due")
	}
	for name, value := range special {
		if err := checkTemplateToken(name, value, v); err != nil {
			return under("special_tokens."+clip(name), err)
		}
	}
	for _, which := range []string{"single", "pair"} {
		pieces, ok := c.with[which].([]any)
		if !ok || len(pieces) > maxTemplate {
			return refuse(which, "a list of at most %d pieces is due", maxTemplate)
		}
		texts := 0
		for i, p := range pieces {
			sequence, err := checkPiece(p, special)
			if err != nil {
				return under(fmt.Sprintf("%s[%d]", which, i), err)
			}
			if sequence == "B" && which == "single" {
				return refuse(which, "names a second text")
			}
			if sequence == "A" {
				texts++
			}
		}
		if texts != 1 {
			return refuse(which, "names the text %d times instead of once", texts)
		}
	}
	return nil
}

// checkPiece returns A or B for a place where a text goes, "" for a special token.
func checkPiece(v any, special map[string]any) (string, error) {
	m, _ := v.(map[string]any)
	sequence, isSequence := m["Sequence"].(map[string]any)
	token, isToken := m["SpecialToken"].(map[string]any)
	if len(m) != 1 || isSequence == isToken {
		return "", refuse("", "Sequence or SpecialToken is due")
	}
	body := sequence
	if isToken {
		body = token
	}
	if err := (property{kind: isCount}).check(body["type_id"]); err != nil {
		return "", under("type_id", err)
	}
	id, _ := body["id"].(string)
	if isSequence {
		if id != "A" && id != "B" {
			return "", refuse("Sequence.id", `"A" or "B" is due`)
		}
		return id, nil
	}
	if special[id] == nil {
		return "", refuse("SpecialToken.id", "%q is not among special_tokens", clip(id))
	}
	return "", nil
}

func checkTemplateToken(name string, value any, v *vocabulary) error {
	m, _ := value.(map[string]any)
	ids, hasIDs := m["ids"].([]any)
	tokens, hasTokens := m["tokens"].([]any)
	if m["id"] != name || !hasIDs || !hasTokens || len(ids) != len(tokens) || len(ids) == 0 || len(ids) > maxTemplate {
		return refuse("", "its own name as id, and ids and tokens of the same length, are due")
	}
	for i := range ids {
		if err := (property{kind: isCount}).check(ids[i]); err != nil {
			return under(fmt.Sprintf("ids[%d]", i), err)
		}
		id, token := int32(ids[i].(float64)), ""
		token, ok := tokens[i].(string)
		if has, known := v.token(id); !ok || !known || has != token {
			return refuse(fmt.Sprintf("ids[%d]", i), "id %d is not the token %q in the vocabulary", id, clip(token))
		}
	}
	return nil
}
