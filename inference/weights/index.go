package weights

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"llorch/inference/weights/strictjson"
)

// Bounds of a shard index.
const (
	maxIndex  = 32 << 20 // bytes
	maxShards = 1 << 12
)

// index is model.safetensors.index.json: which shard holds which tensor.
type index struct {
	file      string
	shards    []string          // file names, sorted
	weightMap map[string]string // tensor → shard
	totalSize int64             // metadata.total_size, -1 where the file has none
}

func readIndex(path string) (*index, error) {
	text, err := ReadFile(path, maxIndex)
	if err != nil {
		return nil, err
	}
	return parseIndex(path, string(text))
}

func parseIndex(path, text string) (*index, error) {
	x := &index{file: path, weightMap: map[string]string{}, totalSize: -1}
	s, err := strictjson.New(text, strictjson.Limits{Values: 2 * maxTensors, Members: maxTensors})
	if err == nil {
		err = s.Object(func(key string, at int) error { return x.member(s, key, at) })
	}
	if err == nil {
		err = s.End()
	}
	if err == nil && len(x.shards) == 0 {
		err = &strictjson.Error{Offset: 0, Reason: "no weight_map, or an empty one"}
	}
	slices.Sort(x.shards)
	return x, x.wrap(err)
}

func (x *index) member(s *strictjson.Scanner, key string, at int) error {
	switch {
	case key == "weight_map":
		return s.Object(func(name string, at int) error { return x.entry(s, name, at) })
	case key == "metadata" && s.Kind() == strictjson.Object:
		return s.Object(func(key string, at int) error { return x.metadata(s, key, at) })
	case strictjson.SameFold(key, "weight_map"), strictjson.SameFold(key, "metadata") && key != "metadata":
		return &strictjson.Error{Offset: at, Reason: "key " + strictjson.Quote(key) + " differs only in case from one that is read"}
	}
	return s.Skip()
}

// entry reads "tensor": "shard". A shard is a plain file name: the index of a
// model folder never has a reason to point out of it.
func (x *index) entry(s *strictjson.Scanner, name string, at int) error {
	fail := func(format string, args ...any) error {
		return &Error{File: x.file, Tensor: name, Offset: int64(at), Reason: fmt.Sprintf(format, args...)}
	}
	if reason := badName(name); reason != "" {
		return fail("%s", reason)
	}
	shard, err := s.String()
	if err != nil {
		return err
	}
	if !plainName(shard) {
		return fail("shard %s is not the plain name of a file beside the index", strictjson.Quote(shard))
	}
	if filepath.Ext(shard) != ".safetensors" {
		return fail("shard %s is not a .safetensors file", strictjson.Quote(shard))
	}
	if i, found := slices.BinarySearch(x.shards, shard); !found {
		if len(x.shards) == maxShards {
			return fail("more than %d shards", maxShards)
		}
		x.shards = slices.Insert(x.shards, i, shard)
	} else {
		shard = x.shards[i] // one string for all tensors of a shard
	}
	x.weightMap[name] = shard
	return nil
}

func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) < 256 &&
		!strings.ContainsAny(name, "/\\\x00") && filepath.IsLocal(name)
}

func (x *index) metadata(s *strictjson.Scanner, key string, at int) error {
	if key != "total_size" {
		return s.Skip()
	}
	n, err := s.Number()
	if err != nil {
		return fmt.Errorf("metadata.total_size: %w", err)
	}
	// Some writers give a float; only a whole number is a size.
	f, err := n.Float()
	if size := int64(f); err == nil && f >= 0 && f < 1<<62 && float64(size) == f {
		x.totalSize = size
		return nil
	}
	return &strictjson.Error{Offset: at, Reason: fmt.Sprintf("metadata.total_size %.40s is not a size in bytes", string(n))}
}

func (x *index) wrap(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*strictjson.Error](err); ok {
		return &Error{File: x.file, Offset: int64(e.Offset), Reason: strings.Replace(err.Error(), e.Error(), e.Reason, 1)}
	}
	return fileError(x.file, err.Error(), nil)
}

// agree checks the index against the tensors the shards really hold.
func (x *index) agree(s *Source) error {
	for _, name := range sortedKeys(x.weightMap) {
		shard := x.weightMap[name]
		t, ok := s.Tensor(name)
		switch {
		case !ok:
			return &Error{File: filepath.Join(s.Dir, shard), Tensor: name, Offset: -1, Reason: "the index lists it for this shard, which does not hold it"}
		case filepath.Base(s.Files[t.File].Path) != shard:
			return &Error{File: s.Files[t.File].Path, Tensor: name, Offset: t.Offset, Reason: "it lies here and the index lists it for " + strictjson.Quote(shard)}
		}
	}
	if x.totalSize >= 0 && x.totalSize != s.Bytes() {
		s.warnf("%s: metadata.total_size is %d, the tensors take %d bytes", x.file, x.totalSize, s.Bytes())
	}
	return nil
}
