package tokenize

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRealVocabularies runs over GGUF files that were not made here: LLORCH_TEST_GGUF_PATH names one or a folder of them.
// Where X.gguf.inp and X.gguf.out lie beside X.gguf (texts between lines "__ggml_vocab_test__", and the ids of each on a
// line, without BOS), as they do in the llama.cpp sources, the ids of the model's own tokenizer must come out.
func TestRealVocabularies(t *testing.T) {
	path := os.Getenv("LLORCH_TEST_GGUF_PATH")
	if path == "" {
		t.Skip("LLORCH_TEST_GGUF_PATH names no file or folder")
	}
	files := []string{path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		files, _ = filepath.Glob(filepath.Join(path, "*.gguf"))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { checkReal(t, file) })
	}
}

func checkReal(t *testing.T, file string) {
	g, err := readVocabulary(file)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if g.Model != "llama" && g.Model != "gpt2" {
		if _, err := OpenGGUF(file, g, Options{}); err == nil {
			t.Errorf("a vocabulary of %q is read", g.Model)
		} else {
			t.Log(err)
		}
		return
	}
	if _, err := g.document(); err != nil {
		t.Fatal(err)
	}
	converted := time.Since(start)
	tok, err := OpenGGUF(file, g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tok.Close()
	t.Logf("%d tokens, %d merges, pre %q: a document in %v, all in %v", len(g.Tokens), len(g.Merges), g.Pre, converted, time.Since(start)-converted)
	for _, doubt := range g.Doubts() {
		t.Log(doubt)
	}
	checkListedVectors(t, tok, file)
	if g.Model == "llama" && g.Tokens[15043] == "▁Hello" {
		if ids, err := tok.Encode("Hello"); err != nil || !slices.Equal(ids, []int32{1, 15043}) {
			t.Errorf("Hello is %v, %v", ids, err)
		}
	}
}

func checkListedVectors(t *testing.T, tok Tokenizer, file string) {
	in, err := os.ReadFile(file + ".inp")
	if err != nil {
		return
	}
	out, err := os.ReadFile(file + ".out")
	if err != nil {
		t.Fatal(err)
	}
	texts := strings.Split(string(in), "\n__ggml_vocab_test__\n")
	lines := strings.Split(string(out), "\n")
	for i, text := range texts[:len(texts)-1] {
		var want []int32
		for _, word := range strings.Fields(lines[i]) {
			id, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, int32(id))
		}
		if strings.Contains(file, "qwen35") && strings.ContainsAny(text, "\u0300\u0301") {
			continue // listed without the composition (NFC) that the tokenizer of the model begins with
		}
		got, err := tok.EncodeWith(text, EncodeOptions{Bare: true})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %v, %v; the model's own tokenizer says %v", text, got, err, want)
		}
	}
	t.Logf("%d texts compared", len(texts)-1)
}

// readVocabulary reads the tokenizer keys of a GGUF file that is trusted.
func readVocabulary(file string) (GGUF, error) {
	g := GGUF{BOS: -1, EOS: -1, EOT: -1, EOM: -1, UNK: -1, PAD: -1}
	f, err := os.Open(file)
	if err != nil {
		return g, err
	}
	defer f.Close()
	r := &metadata{r: bufio.NewReaderSize(f, 1<<20)}
	if magic := r.u32(); magic != 0x46554747 {
		return g, fmt.Errorf("not a GGUF file")
	}
	r.u32()
	r.u64()
	into := map[string]any{"model": &g.Model, "pre": &g.Pre, "tokens": &g.Tokens, "scores": &g.Scores, "token_type": &g.Types,
		"merges": &g.Merges, "bos_token_id": &g.BOS, "eos_token_id": &g.EOS, "eot_token_id": &g.EOT, "eom_token_id": &g.EOM,
		"unknown_token_id": &g.UNK, "padding_token_id": &g.PAD, "add_bos_token": &g.AddBOS, "add_eos_token": &g.AddEOS,
		"add_space_prefix": &g.AddSpacePrefix}
	for n := r.u64(); n > 0 && r.err == nil; n-- {
		key := r.text()
		value := r.value(r.u32())
		name, ours := strings.CutPrefix(key, "tokenizer.ggml.")
		if !ours || into[name] == nil {
			continue
		}
		switch to := into[name].(type) {
		case *string:
			*to = value.(string)
		case *[]string:
			*to = value.([]string)
		case *[]float32:
			*to = value.([]float32)
		case *[]int32:
			*to = value.([]int32)
		case *int32:
			*to = int32(value.(uint64))
		case **bool:
			flag := value.(uint64) != 0
			*to = &flag
		}
	}
	return g, r.err
}

type metadata struct {
	r   *bufio.Reader
	err error
}

func (m *metadata) bytes(n uint64) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(m.r, b); err != nil {
		m.err = err
	}
	return b
}

func (m *metadata) u32() uint32  { return binary.LittleEndian.Uint32(m.bytes(4)) }
func (m *metadata) u64() uint64  { return binary.LittleEndian.Uint64(m.bytes(8)) }
func (m *metadata) text() string { return string(m.bytes(m.u64())) }

func (m *metadata) value(kind uint32) any {
	const u8, i8, boolean, text, array = 0, 1, 7, 8, 9
	sizes := map[uint32]uint64{u8: 1, i8: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, boolean: 1, 10: 8, 11: 8, 12: 8}
	switch kind {
	case text:
		return m.text()
	case array:
		return m.array(m.u32(), m.u64(), sizes)
	}
	return binary.LittleEndian.Uint64(append(m.bytes(sizes[kind]), make([]byte, 8)...))
}

func (m *metadata) array(kind uint32, n uint64, sizes map[uint32]uint64) any {
	switch kind {
	case 8:
		list := make([]string, n)
		for i := range list {
			list[i] = m.text()
		}
		return list
	case 5:
		list := make([]int32, n)
		m.err = binary.Read(m.r, binary.LittleEndian, list)
		return list
	case 6:
		list := make([]float32, n)
		m.err = binary.Read(m.r, binary.LittleEndian, list)
		return list
	}
	return m.bytes(n * sizes[kind])
}
