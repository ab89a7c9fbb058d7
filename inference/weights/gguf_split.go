package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
)

// Keys of a model that is split over several files.
const (
	splitNo      = "split.no"            // of this file, from 0
	splitCount   = "split.count"         // of files
	splitTensors = "split.tensors.count" // of all files together
	archKey      = "general.architecture"
)

// ggufShard is how the files of a split model are named, counted from 1:
// "NAME-00001-of-00003.gguf".
var ggufShard = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// openGGUFModel opens the model that a .gguf file is, or is a part of: any part
// opens all. The metadata are those of the first.
func openGGUFModel(path string) (*Source, error) {
	dir, name := filepath.Split(path)
	s := &Source{Path: path, Dir: filepath.Clean(dir)}
	g, err := openGGUF(path)
	if err != nil {
		return nil, err
	}
	count, err := g.parts()
	switch {
	case err != nil:
		err = errors.Join(err, g.f.Close())
	case count == 1:
		s.Meta = g.meta
		err = s.add(g.File, g.tensors)
	default:
		err = errors.Join(g.f.Close(), s.addParts(name, count))
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// parts is how many files the model has.
func (g *gguf) parts() (int, error) {
	if !g.meta.Has(splitCount) {
		return 1, nil
	}
	n, err := g.meta.Int(splitCount)
	if err == nil && (n < 1 || n > maxShards) {
		err = g.meta.Fail(splitCount, "%d files; a model has 1 to %d", n, maxShards)
	}
	return int(n), err
}

// addParts opens all files of a split model, one of which has the given name.
func (s *Source) addParts(name string, count int) error {
	m := ggufShard.FindStringSubmatch(name)
	if m == nil {
		return fileError(s.Path, fmt.Sprintf("one of %d files of a model, and not named as they are: NAME-00001-of-%05d.gguf", count, count), nil)
	}
	if n, _ := strconv.Atoi(m[3]); n != count {
		return fileError(s.Path, fmt.Sprintf("one of %d files of a model by its %s, and one of %d by its name", count, splitCount, n), nil)
	}
	for i := range count {
		path := filepath.Join(s.Dir, fmt.Sprintf("%s-%05d-of-%05d.gguf", m[1], i+1, count))
		g, err := openGGUF(path)
		if errors.Is(err, fs.ErrNotExist) {
			return fileError(path, fmt.Sprintf("file %d of the %d of the model is not there; the download may be incomplete", i+1, count), err)
		}
		if err != nil {
			return err
		}
		if i == 0 {
			s.Meta = g.meta
		}
		bad := g.checkPart(s.Meta, i, count)
		if err := s.add(g.File, g.tensors); bad == nil {
			bad = err
		}
		if bad != nil {
			return bad
		}
	}
	return s.Meta.checkTotal(len(s.tensors))
}

// checkPart checks that the file is part i of the model that first begins.
func (g *gguf) checkPart(first *Metadata, i, count int) error {
	if n, err := g.meta.Int(splitCount); err != nil {
		return err
	} else if n != int64(count) {
		return g.meta.Fail(splitCount, "%d, and the model has %d files: a part of another one", n, count)
	}
	if n, err := g.meta.Int(splitNo); err != nil {
		return err
	} else if n != int64(i) {
		return g.meta.Fail(splitNo, "%d in the file that is named as number %d from 0: the files were mixed up", n, i)
	}
	for _, key := range []string{splitTensors, archKey} {
		if !g.meta.Has(key) || !first.Has(key) {
			continue // parts beyond the first need not repeat it
		}
		if mine, its := g.meta.shown(key), first.shown(key); mine != its {
			return g.meta.Fail(key, "%s, and %s in the first file: a part of another model", mine, its)
		}
	}
	return nil
}

// checkTotal checks the number of tensors of all parts.
func (m *Metadata) checkTotal(tensors int) error {
	n, err := m.Int(splitTensors)
	if err == nil && n != int64(tensors) {
		err = m.Fail(splitTensors, "%d, and the files hold %d: a part is of another model", n, tensors)
	}
	return err
}
