package weights

import (
	"encoding/binary"
	"os"
	"strings"
)

// Bounds of a GGUF header, which as a whole has at most maxHeader bytes.
const (
	maxPairs     = 1 << 16
	maxText      = 4 << 20 // bytes of a string that is no element of an array
	maxAlignment = 1 << 20
	maxGGUFDims  = 4 // of the format

	defaultAlignment = 32
	alignmentKey     = "general.alignment"

	// What the shortest pair and tensor of a header take. They bound their number
	// by the size of the file, and with it what is allocated.
	shortestPair = 8 + 1 + 4 + 1
	shortestInfo = 8 + 1 + 4 + 8 + 4 + 8
)

// gguf is a GGUF file whose header was parsed.
type gguf struct {
	File
	meta    *Metadata
	tensors []Tensor
}

// openGGUF opens a file and parses its header: magic, version, the pairs of key
// and value, the tensors, and where they lie.
func openGGUF(path string) (_ *gguf, err error) {
	f, info, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	g := &gguf{File: File{Path: path, Size: info.Size(), f: f, opened: info}}
	return g, g.parse()
}

func (g *gguf) parse() error {
	s := newScan(g.Path, g.f, g.Size)
	tensors, pairs := s.prefix()
	if g.meta = s.pairs(pairs, g.f); s.err != nil {
		return s.err
	}
	alignment, err := g.meta.alignment()
	if err != nil {
		return err
	}
	g.tensors = s.infos(tensors)
	g.Tensors = len(g.tensors)
	s.layout(&g.File, g.tensors, alignment)
	return s.err
}

// prefix reads magic, version and the two counts.
func (g *ggufScan) prefix() (tensors, pairs int64) {
	if g.size < 24 {
		g.fail(g.size, "the file ends inside the 24 bytes every GGUF file begins with")
		return 0, 0
	}
	if magic := string(g.take(4, "the magic number")); magic != "GGUF" {
		g.fail(0, "the first bytes are %q and not \"GGUF\": not a GGUF file, or one of its forerunners; convert the model again", magic)
	}
	switch v := g.u32("the version"); {
	case g.err != nil:
	case v == 1:
		g.fail(4, "GGUF version 1, which no writer has used since 2023, is not read; convert the model again")
	case v != 0 && v&0xffff == 0:
		g.fail(4, "a big-endian GGUF file; convert the model for little-endian machines")
	case v != 2 && v != 3:
		g.fail(4, "GGUF version %d; versions 2 and 3 are read", v)
	}
	tensors = g.length("the number of tensors", min(maxTensors, g.end/shortestInfo))
	pairs = g.length("the number of keys", min(maxPairs, g.end/shortestPair))
	return tensors, pairs
}

// pairs reads n keys with their values.
func (g *ggufScan) pairs(n int64, src *os.File) *Metadata {
	m := &Metadata{file: g.file, src: src, byKey: make(map[string]int, n)}
	for i := 0; i < int(n) && g.err == nil; i++ {
		g.key = ""
		at := g.at
		p := ggufPair{key: g.text("a key", maxName)}
		if reason := badName(p.key); reason != "" && g.err == nil {
			g.fail(at, "%s", strings.ReplaceAll(reason, "tensor name", "key"))
		}
		if g.key = p.key; m.Has(p.key) {
			g.fail(at, "the key is there twice")
		}
		p.kind = g.kind("the type of the value")
		p.at = g.at
		g.value(&p)
		m.byKey[p.key] = i
		m.pairs = append(m.pairs, p)
	}
	g.key = ""
	return m
}

func (g *ggufScan) kind(what string) ggufKind {
	at := g.at
	k := ggufKind(g.u32(what))
	if k >= ggufKinds {
		g.fail(at, "%s is %d, which no version of the format knows", what, uint32(k))
		return 0
	}
	return k
}

// value reads what a key stands for.
func (g *ggufScan) value(p *ggufPair) {
	switch {
	case p.kind == ggufString:
		p.text = g.text("a string", maxText)
	case p.kind == ggufArray:
		g.array(p)
	case p.kind == ggufBool:
		if p.bits = uint64(g.u8("a bool")); p.bits > 1 {
			g.fail(p.at, "a bool is %d, neither 0 nor 1", p.bits)
		}
	default:
		for i, b := range g.take(int(kindBytes[p.kind]), "a number") {
			p.bits |= uint64(b) << (8 * i)
		}
	}
}

// array passes an array over and notes where its elements lie. Of strings only
// the lengths are looked at.
func (g *ggufScan) array(p *ggufPair) {
	p.elem = g.kind("the type of the elements")
	if p.elem == ggufArray {
		g.fail(p.at, "an array of arrays, which no key of a model has")
	}
	smallest := int64(8) // a string's length
	if p.elem != ggufString {
		smallest = max(kindBytes[p.elem], 1)
	}
	p.count = g.length("the number of elements", max(g.end-g.at-8, 0)/smallest)
	if p.at = g.at; g.err != nil {
		return
	}
	switch p.elem {
	case ggufString:
		g.strings(p.count)
	case ggufBool:
		g.bools(p.count)
	default:
		g.skip(p.count*smallest, "an array") // ≤ the end, checked by length
	}
	p.bytes = g.at - p.at
}

// strings passes n strings over.
func (g *ggufScan) strings(n int64) {
	for ; n > 0 && g.err == nil; n-- {
		if w := g.window; len(w) >= 8 { // nearly always: a vocabulary has some hundred thousand
			if size := binary.LittleEndian.Uint64(w); size <= uint64(len(w)-8) {
				g.window = w[8+size:]
				g.at += int64(8 + size)
				continue
			}
		}
		g.skip(g.length("the length of a string", max(g.end-g.at-8, 0)), "a string")
	}
}

func (g *ggufScan) bools(n int64) {
	for n > 0 && g.err == nil {
		step := min(n, scanBuffer)
		at := g.at
		for i, b := range g.take(int(step), "an array") {
			if b > 1 {
				g.fail(at+int64(i), "a bool is %d, neither 0 nor 1", b)
				return
			}
		}
		n -= step
	}
}

// alignment is what offsets of tensors are multiples of.
func (m *Metadata) alignment() (int64, error) {
	if !m.Has(alignmentKey) {
		return defaultAlignment, nil
	}
	a, err := m.Int(alignmentKey)
	if err == nil && (a < 8 || a > maxAlignment || a&(a-1) != 0) {
		err = m.Fail(alignmentKey, "%d is no power of two from 8 to %d", a, maxAlignment)
	}
	return a, err
}
