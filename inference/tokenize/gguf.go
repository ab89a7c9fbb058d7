package tokenize

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"math"
	"slices"
)

// GGUF is the vocabulary that a GGUF file carries in its metadata, in the words of the GGUF specification. The keys
// stand beside the fields; all begin with "tokenizer.ggml.".
type GGUF struct {
	Model  string    // model: "llama" (SentencePiece-like) or "gpt2" (byte-level)
	Pre    string    // pre: how a byte-level vocabulary splits text before merging, "" when the file does not say
	Tokens []string  // tokens, by id
	Scores []float32 // scores, one for each token; of "llama" only: the higher, the sooner a pair is merged into it
	Types  []int32   // token_type, one for each token; nil when the file does not say
	Merges []string  // merges, "left right" in order; of "gpt2", and of those "llama" files that keep them

	// Ids of bos_token_id and so on, -1 for none. EOT, EOM and PAD are control tokens and nothing else here.
	BOS, EOS, EOT, EOM, UNK, PAD int32

	AddBOS, AddEOS *bool // add_bos_token, add_eos_token; nil for the default of the kind
	AddSpacePrefix *bool // add_space_prefix; nil is true for "llama"

	notes []string // of ToGGUF, for Doubts
}

// Values of GGUF.Types.
const (
	ggufUndefined = iota
	ggufNormal
	ggufUnknown // what stands for text that has no token
	ggufControl
	ggufUserDefined // an added token that is text all the same
	ggufUnused
	ggufByte
)

const ggufPrefix = "tokenizer.ggml"

// OpenGGUF makes a tokenizer of the vocabulary in a GGUF file. It becomes a tokenizer.json in memory that takes the same
// way as one from disk. path is for messages only. What cannot be used is an *Error whose Field is the metadata key.
func OpenGGUF(path string, g GGUF, o Options) (Tokenizer, error) {
	t, err := newGGUF(path, g, o)
	if err != nil {
		return nil, at(path, err)
	}
	return t, nil
}

func newGGUF(path string, g GGUF, o Options) (*hf, error) {
	digest := g.digest() // of what the file says, before anything is filled in
	document, err := g.document()
	if err != nil {
		return nil, under(ggufPrefix, err)
	}
	def, err := parseDefinition(document)
	if err != nil { // every reason in the file's own words should have been found before
		return nil, &Error{Field: ggufPrefix, Offset: -1, Reason: "does not make a tokenizer", Err: err}
	}
	def.digest = digest
	kept, err := pack(document)
	if err != nil {
		return nil, &Error{Field: ggufPrefix, Offset: -1, Reason: "cannot be kept", Err: err}
	}
	return start(&hf{path: path, def: def, kind: "gguf-bpe", again: func() ([]byte, error) { return unpack(kept) }}, o)
}

// Doubts are sentences for the log about what a file leaves open and had to be guessed, or, of what ToGGUF made, about what
// other readers may do otherwise.
func (g *GGUF) Doubts() []string {
	doubts := slices.Clone(g.notes)
	if g.Model == "gpt2" && g.Pre == "" {
		doubts = append(doubts, "tokenizer.ggml.pre is missing, so text is split in the default way, which may not be that of the "+
			"model's training: answers can be worse than those of a file converted again")
	}
	if g.Types == nil {
		doubts = append(doubts, "tokenizer.ggml.token_type is missing: only the tokens named by an id key are control tokens")
	}
	return doubts
}

// digest is over every field, each with its length, so that no two vocabularies are written alike.
func (g *GGUF) digest() [sha256.Size]byte {
	h := sha256.New()
	writeStrings(h, []string{"gguf-bpe 1", g.Model, g.Pre})
	writeStrings(h, g.Tokens)
	writeStrings(h, g.Merges)
	words := make([]byte, 0, 4*(len(g.Scores)+len(g.Types))+64)
	word := func(n uint32) { words = binary.LittleEndian.AppendUint32(words, n) }
	word(uint32(len(g.Scores)))
	for _, s := range g.Scores {
		word(math.Float32bits(s))
	}
	word(uint32(len(g.Types)))
	for _, t := range g.Types {
		word(uint32(t))
	}
	for _, id := range []int32{g.BOS, g.EOS, g.EOT, g.EOM, g.UNK, g.PAD} {
		word(uint32(id))
	}
	for _, flag := range []*bool{g.AddBOS, g.AddEOS, g.AddSpacePrefix} {
		switch {
		case flag == nil:
			word(2)
		case *flag:
			word(1)
		default:
			word(0)
		}
	}
	h.Write(words)
	return [sha256.Size]byte(h.Sum(nil))
}

func writeStrings(h hash.Hash, list []string) {
	length := binary.LittleEndian.AppendUint64(nil, uint64(len(list)))
	h.Write(length)
	for _, s := range list {
		binary.LittleEndian.PutUint64(length, uint64(len(s)))
		h.Write(length)
		io.WriteString(h, s)
	}
}

// isSet is the value of a flag that may be missing.
func isSet(flag *bool, otherwise bool) bool {
	if flag == nil {
		return otherwise
	}
	return *flag
}
