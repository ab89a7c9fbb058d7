package weights

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"llorch/inference/tensor"
	"llorch/inference/weights/strictjson"
)

// Bounds of a SafeTensors header. The format itself caps the header at 100 MB.
const (
	maxHeader   = 100_000_000
	maxTensors  = 1 << 17 // of a whole model
	maxMetadata = 4 << 20 // bytes of one __metadata__
	maxName     = 4 << 10 // bytes of a tensor's name
	maxDims     = 16
)

// bitsOf is the element size of every format the SafeTensors specification
// names. Those package tensor has no arithmetic for keep Type 0.
var bitsOf = map[string]int64{
	"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
	"BOOL": 8, "U8": 8, "I8": 8,
	"F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
	"U16": 16, "I16": 16, "F16": 16, "BF16": 16,
	"U32": 32, "I32": 32, "F32": 32,
	"U64": 64, "I64": 64, "F64": 64, "C64": 64,
}

// header is a parse of one file's header in progress.
type header struct {
	file    string
	json    int64 // where the JSON begins in the file
	data    int64 // where the tensors begin
	dataLen int64 // bytes from there to the end of the file
	scan    *strictjson.Scanner
	tensors []Tensor
	dims    []int // what the shapes are slices of
}

// shortestEntry is the text of the shortest entry a header can have. It bounds
// the tensors of a header by its length, and with them what is allocated.
const shortestEntry = len(`"":{"dtype":"U8","shape":[],"data_offsets":[0,1]},`)

// parseHeader reads the JSON of a header whose first byte is byte 8 of a file of
// fileSize bytes, and returns the tensors in the order of their offsets.
func parseHeader(file, text string, fileSize int64) ([]Tensor, error) {
	h := &header{file: file, json: 8, data: 8 + int64(len(text))}
	if h.dataLen = fileSize - h.data; h.dataLen < 0 {
		return nil, h.fail("", 0, "the header is longer than the file")
	}
	if !strings.HasPrefix(text, "{") {
		return nil, h.fail("", 0, "the header does not begin with '{'; is this a SafeTensors file?")
	}
	var err error
	limits := strictjson.Limits{Depth: 8, Values: 16 * maxTensors, Members: maxTensors + 1}
	if h.scan, err = strictjson.New(text, limits); err != nil {
		return nil, h.wrap("", err)
	}
	h.tensors = make([]Tensor, 0, min(maxTensors, 1+len(text)/shortestEntry))
	if err := h.scan.Object(h.member); err != nil {
		return nil, h.wrap("", err)
	}
	if err := h.scan.End(); err != nil {
		return nil, h.wrap("", err)
	}
	return h.tensors, h.layout()
}

func (h *header) member(name string, at int) error {
	if name == "__metadata__" {
		return h.metadata()
	}
	if len(h.tensors) == maxTensors {
		return h.fail("", at, fmt.Sprintf("more than %d tensors", maxTensors))
	}
	if reason := badName(name); reason != "" {
		return h.fail(name, at, reason)
	}
	t, err := h.entry(name, at)
	if err != nil {
		return h.wrap(name, err)
	}
	h.tensors = append(h.tensors, t)
	return nil
}

// badName refuses names no writer gives a tensor and some reader could stumble
// over: they are printed, and compared, but here never used as a path.
func badName(name string) string {
	switch {
	case name == "":
		return "an empty tensor name"
	case len(name) > maxName:
		return fmt.Sprintf("a tensor name of %d bytes; at most %d", len(name), maxName)
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "a control character in a tensor name"
	case slices.Contains(strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' }), ".."):
		return "a tensor name that walks up a folder"
	}
	return ""
}

// metadata checks __metadata__: an object of strings. Nothing in it is used.
func (h *header) metadata() error {
	from := h.scan.Offset()
	return h.scan.Object(func(key string, at int) error {
		if _, err := h.scan.String(); err != nil {
			return fmt.Errorf("__metadata__ %s: %w", strictjson.Quote(key), err)
		}
		if h.scan.Offset()-from > maxMetadata {
			return h.fail("", from, fmt.Sprintf("__metadata__ is longer than %d bytes", maxMetadata))
		}
		return nil
	})
}

// entry reads {"dtype":…,"shape":[…],"data_offsets":[from,to]}, all three and
// nothing else.
func (h *header) entry(name string, at int) (Tensor, error) {
	t := Tensor{Name: name, Offset: -1}
	haveShape := false
	var from, to int64
	err := h.scan.Object(func(key string, keyAt int) (err error) {
		switch key {
		case "dtype":
			t.Format, err = h.scan.String()
		case "shape":
			haveShape = true
			t.Shape, err = h.shape()
		case "data_offsets":
			t.Offset = 0
			from, to, err = h.offsets()
		default:
			err = &strictjson.Error{Offset: keyAt, Reason: "unknown key " + strictjson.Quote(key) + " in a tensor's entry"}
		}
		return err
	})
	switch {
	case err != nil:
		return t, err
	case t.Format == "":
		return t, h.fail(name, at, "no dtype")
	case !haveShape:
		return t, h.fail(name, at, "no shape")
	case t.Offset < 0:
		return t, h.fail(name, at, "no data_offsets")
	}
	return t, h.place(&t, at, from, to)
}

func (h *header) shape() ([]int, error) {
	from := len(h.dims)
	err := h.scan.Array(func(i int) error {
		if i == maxDims {
			return fmt.Errorf("shape has more than %d dimensions", maxDims)
		}
		v, err := h.size("shape")
		if err != nil {
			return err
		}
		d, err := toInt(v)
		h.dims = append(h.dims, d)
		return err
	})
	return h.dims[from:len(h.dims):len(h.dims)], err
}

func (h *header) offsets() (from, to int64, err error) {
	var pair [2]int64
	n := 0
	err = h.scan.Array(func(i int) error {
		if n++; n > 2 {
			return errors.New("data_offsets has more than two elements")
		}
		var err error
		pair[i], err = h.size("data_offsets")
		return err
	})
	if err == nil && n != 2 {
		err = errors.New("data_offsets has fewer than two elements")
	}
	return pair[0], pair[1], err
}

// size reads one integer from 0 to 2⁶³-1.
func (h *header) size(field string) (int64, error) {
	at := h.scan.Offset()
	n, err := h.scan.Number()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", field, err)
	}
	v, err := n.Int()
	if err == nil && v < 0 {
		err = fmt.Errorf("%d is negative", v)
	}
	if err != nil {
		return 0, &strictjson.Error{Offset: at, Reason: field + ": " + err.Error()}
	}
	return v, nil
}

// place checks a tensor's span against its shape, its format and the file.
func (h *header) place(t *Tensor, at int, from, to int64) error {
	bits, known := bitsOf[t.Format]
	if !known {
		return h.fail(t.Name, at, "unknown dtype "+strictjson.Quote(t.Format))
	}
	elements, err := product(t.Shape)
	if err == nil {
		t.Bytes, err = spanBytes(elements, bits)
	}
	if err != nil {
		return h.fail(t.Name, at, fmt.Sprintf("shape %v of %s: %v", t.Shape, t.Format, err))
	}
	switch {
	case to < from:
		return h.fail(t.Name, at, fmt.Sprintf("data_offsets [%d,%d] are reversed", from, to))
	case to > h.dataLen:
		return h.fail(t.Name, at, fmt.Sprintf("data_offsets [%d,%d] end beyond the file's %d bytes of data", from, to, h.dataLen))
	case to-from != t.Bytes:
		return h.fail(t.Name, at, fmt.Sprintf("data_offsets [%d,%d] span %d bytes, shape %v of %s takes %d", from, to, to-from, t.Shape, t.Format, t.Bytes))
	}
	if t.Offset, err = add(h.data, from); err != nil {
		return h.fail(t.Name, at, "data_offsets: "+err.Error())
	}
	if bits >= 8 && t.Bytes > 0 && t.Offset%(bits/8) != 0 {
		return h.fail(t.Name, at, fmt.Sprintf("the data begin at byte %d of the file, which is not aligned to %s; save the file again with a current safetensors", t.Offset, t.Format))
	}
	t.Type, _ = tensor.Parse(t.Format)
	return nil
}

// layout checks that the tensors cover the data exactly once.
func (h *header) layout() error {
	slices.SortStableFunc(h.tensors, func(a, b Tensor) int {
		if a.Offset != b.Offset {
			return int(max(-1, min(1, a.Offset-b.Offset)))
		}
		return int(max(-1, min(1, a.Bytes-b.Bytes)))
	})
	end := h.data
	for i := range h.tensors {
		t := &h.tensors[i]
		if t.Offset < end {
			return &Error{File: h.file, Tensor: t.Name, Offset: t.Offset, Reason: "the data overlap those of " + strictjson.Quote(h.tensors[i-1].Name)}
		}
		if t.Offset > end {
			return &Error{File: h.file, Tensor: t.Name, Offset: end, Reason: fmt.Sprintf("a hole of %d bytes before the data", t.Offset-end)}
		}
		end += t.Bytes // ≤ the file's size, checked by place
	}
	if tail := h.data + h.dataLen - end; tail != 0 {
		return &Error{File: h.file, Offset: end, Reason: fmt.Sprintf("%d bytes that belong to no tensor at the end of the file", tail)}
	}
	return nil
}

// fail is an Error at byte at of the header's JSON.
func (h *header) fail(name string, at int, reason string) *Error {
	return &Error{File: h.file, Tensor: name, Offset: h.json + int64(at), Reason: reason}
}

// wrap turns a scanner's error into an Error and leaves those that are one.
func (h *header) wrap(name string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*strictjson.Error](err); ok {
		reason := e.Reason
		if prefix, _, found := strings.Cut(err.Error(), e.Error()); found {
			reason = prefix + reason
		}
		return h.fail(name, e.Offset, reason)
	}
	return h.fail(name, h.scan.Offset(), err.Error())
}
