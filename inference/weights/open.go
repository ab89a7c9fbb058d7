package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

// shardName is how writers name the shards of one model.
var shardName = regexp.MustCompile(`-\d{5}-of-(\d{5})\.safetensors$`)

// Open finds the weights that path means and parses their headers. Path is
//   - a model folder: model.safetensors, or the shards of
//     model.safetensors.index.json, or the one .safetensors file there is;
//   - a .safetensors file: it alone, unless the index beside it lists it as one
//     of its shards, which then are read all;
//   - an index, or the config.json of a folder, which mean the folder's weights;
//   - a .gguf file, with all files of the model where it is one of several, or a
//     folder that holds one such model and no SafeTensors.
//
// Symbolic links to regular files are followed, as download caches consist of
// them. Errors are *Error; the caller closes the Source.
func Open(path string) (*Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, statError(path, err)
	}
	if info.IsDir() {
		return openFolder(path, path)
	}
	if reason := irregular(info); reason != "" {
		return nil, fileError(path, reason, nil)
	}
	dir, name := filepath.Split(path)
	dir = filepath.Clean(dir)
	switch {
	case strings.HasSuffix(name, ".safetensors.index.json"):
		return openIndex(path, dir, path)
	case name == "config.json":
		return openFolder(path, dir)
	case filepath.Ext(name) == ".safetensors":
		return openNamed(path, dir, name)
	case isGGUF(name):
		return openGGUFModel(path)
	}
	return nil, refuse(path)
}

// refuse says why a file that is neither SafeTensors nor GGUF is not read.
func refuse(path string) *Error {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle":
		return fileError(path, "a pickle file can run any program when it is read, so it is not; convert the model to SafeTensors", ErrUnsupported)
	}
	return fileError(path, "neither a model folder nor a .safetensors or .gguf file", ErrUnsupported)
}

// openNamed opens one .safetensors file, or the sharded model it is a part of.
func openNamed(path, dir, name string) (*Source, error) {
	indexPath := filepath.Join(dir, indexName)
	x, err := readIndex(indexPath)
	switch {
	case err == nil && slices.Contains(x.shards, name):
		return openShards(path, dir, x)
	case err != nil && !errors.Is(err, fs.ErrNotExist) && shardCount(name) > 1:
		return nil, err
	case shardCount(name) > 1:
		return nil, fileError(path, fmt.Sprintf("one of %d shards, and no %s beside it lists it", shardCount(name), indexName), nil)
	}
	return openFiles(path, dir, []string{name})
}

// shardCount is the N of "…-00001-of-N.safetensors", 0 for other names.
func shardCount(name string) int {
	m := shardName.FindStringSubmatch(name)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

func openFolder(path, dir string) (*Source, error) {
	hasSingle, err := exists(filepath.Join(dir, singleName))
	if err != nil {
		return nil, err
	}
	hasIndex, err := exists(filepath.Join(dir, indexName))
	if err != nil {
		return nil, err
	}
	switch {
	case hasSingle && hasIndex:
		return openBoth(path, dir)
	case hasIndex:
		return openIndex(path, dir, filepath.Join(dir, indexName))
	case hasSingle:
		return openFiles(path, dir, []string{singleName})
	}
	return openOnly(path, dir)
}

// exists reports whether the name is there, a broken link counting as there: it
// is a download cut short, and saying "no weights" would hide that.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, statError(path, err)
	}
	return true, nil
}

// openBoth decides between model.safetensors and an index beside it.
func openBoth(path, dir string) (*Source, error) {
	x, err := readIndex(filepath.Join(dir, indexName))
	if err == nil && slices.Contains(x.shards, singleName) {
		return openShards(path, dir, x)
	}
	s, openErr := openFiles(path, dir, []string{singleName})
	if openErr != nil {
		return nil, openErr
	}
	s.warnf("%s has both %s and %s; the single file is read, as transformers does", dir, singleName, indexName)
	return s, nil
}

// openOnly opens the only .safetensors file of a folder, or its only GGUF model.
func openOnly(path, dir string) (*Source, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, statError(dir, err)
	}
	var found, gguf []string
	var other *Error
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".safetensors" {
			found = append(found, e.Name())
		} else if isGGUF(e.Name()) {
			gguf = append(gguf, e.Name())
		} else if r := refuse(filepath.Join(dir, e.Name())); !strings.HasPrefix(r.Reason, "neither") {
			other = r
		}
	}
	switch {
	case len(found) == 1 && shardCount(found[0]) < 2:
		return openFiles(path, dir, found)
	case len(found) > 0:
		return nil, fileError(dir, fmt.Sprintf("%d .safetensors files (%s …) and neither %s nor %s; the download may be incomplete", len(found), found[0], singleName, indexName), nil)
	case len(gguf) > 0:
		return openOnlyGGUF(path, dir, gguf)
	case other != nil:
		return nil, other
	}
	return nil, fileError(dir, fmt.Sprintf("no weights here: neither %s nor %s nor another .safetensors or .gguf file", singleName, indexName), fs.ErrNotExist)
}

func isGGUF(name string) bool { return strings.EqualFold(filepath.Ext(name), ".gguf") }

// openOnlyGGUF opens the one model that the .gguf files of a folder are.
func openOnlyGGUF(path, dir string, names []string) (*Source, error) {
	models := map[string]bool{}
	for _, name := range names {
		models[ggufShard.ReplaceAllString(name, "$1-$3")] = true
	}
	if len(models) > 1 {
		return nil, fileError(dir, fmt.Sprintf("%d models (%s …): give the .gguf file of one", len(models), names[0]), nil)
	}
	s, err := openGGUFModel(filepath.Join(dir, names[0]))
	if err != nil {
		return nil, err
	}
	s.Path = path
	return s, nil
}

func openIndex(path, dir, indexPath string) (*Source, error) {
	x, err := readIndex(indexPath)
	if err != nil {
		return nil, err
	}
	return openShards(path, dir, x)
}

func openShards(path, dir string, x *index) (*Source, error) {
	for _, shard := range x.shards {
		if _, err := os.Stat(filepath.Join(dir, shard)); errors.Is(err, fs.ErrNotExist) {
			return nil, fileError(filepath.Join(dir, shard), "the index lists this shard and it is not there; the download may be incomplete", err)
		}
	}
	s, err := openFiles(path, dir, x.shards)
	if err != nil {
		return nil, err
	}
	if err := x.agree(s); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func openFiles(path, dir string, names []string) (*Source, error) {
	s := &Source{Path: path, Dir: dir}
	for _, name := range names {
		f, tensors, err := openSafeTensors(filepath.Join(dir, name))
		if err == nil {
			err = s.add(f, tensors)
		}
		if err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}
