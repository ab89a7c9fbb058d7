package weights

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// Source is the weights of one model. Its methods may be called from several
// goroutines, except Map and Close, which must not run beside any other.
type Source struct {
	Path     string // as given to Open
	Dir      string // the model's folder, where config.json and the tokenizer lie
	Files    []File
	Meta     *Metadata // of a GGUF file; nil for SafeTensors
	Warnings []string  // facts that do not stop a load and that a user should see

	tensors []Tensor
	byName  map[string]int
}

// Tensor returns the tensor of that name.
func (s *Source) Tensor(name string) (*Tensor, bool) {
	i, ok := s.byName[name]
	if !ok {
		return nil, false
	}
	return &s.tensors[i], true
}

// Names returns the names of all tensors, sorted.
func (s *Source) Names() []string { return sortedKeys(s.byName) }

// Bytes returns the size of all tensors.
func (s *Source) Bytes() int64 {
	var n int64
	for i := range s.tensors {
		n += s.tensors[i].Bytes
	}
	return n
}

// FileBytes returns the size of all files: the tensors and the headers. It is
// what Map maps and Populate brings into memory.
func (s *Source) FileBytes() int64 {
	var n int64
	for i := range s.Files {
		n += s.Files[i].Size
	}
	return n
}

// ReadTensor fills p with the bytes of t that begin at byte off of it. It reads
// the file, not the mapping, and so fails with an *Error where reading the
// mapping of a truncated file would end the process.
func (s *Source) ReadTensor(t *Tensor, p []byte, off int64) error {
	end, err := add(off, int64(len(p)))
	if err != nil || end > t.Bytes {
		return &Error{File: s.Files[t.File].Path, Tensor: t.Name, Offset: -1, Reason: fmt.Sprintf("bytes [%d,%d) of its %d were asked for", off, end, t.Bytes)}
	}
	f := &s.Files[t.File]
	if n, err := f.f.ReadAt(p, t.Offset+off); n < len(p) {
		return f.ioError(t.Name, t.Offset+off+int64(n), err)
	}
	return nil
}

// ioError names a change of the file as the cause of a failed access, if there
// was one.
func (f *File) ioError(name string, off int64, err error) *Error {
	if changed := f.changed(); changed != nil {
		return changed
	}
	return &Error{File: f.Path, Tensor: name, Offset: off, Reason: "cannot be read", Err: err}
}

// Changed returns an *Error wrapping ErrChanged if a file was truncated, grown,
// rewritten or replaced since Open.
func (s *Source) Changed() error {
	for i := range s.Files {
		if err := s.Files[i].changed(); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) changed() *Error {
	now, err := f.f.Stat()
	if err != nil {
		return fileError(f.Path, "cannot be examined", err)
	}
	switch {
	case now.Size() < f.Size:
		return f.changedTo("truncated from %d to %d bytes", f.Size, now.Size())
	case now.Size() > f.Size:
		return f.changedTo("grown from %d to %d bytes", f.Size, now.Size())
	case !now.ModTime().Equal(f.opened.ModTime()):
		return f.changedTo("written to at %v", now.ModTime())
	}
	// The open file is as it was; the name may lead to another one by now.
	named, err := os.Stat(f.Path)
	if err != nil {
		return f.changedTo("the name leads nowhere any more (%v)", err)
	}
	if !os.SameFile(named, f.opened) {
		return f.changedTo("replaced by another file")
	}
	return nil
}

func (f *File) changedTo(format string, args ...any) *Error {
	return fileError(f.Path, fmt.Sprintf(format, args...), ErrChanged)
}

// Close unmaps and closes all files. Tensor.Data must not be used any more.
func (s *Source) Close() error {
	errs := []error{s.unmap()}
	for i := range s.Files {
		if f := s.Files[i].f; f != nil {
			errs = append(errs, f.Close())
			s.Files[i].f = nil
		}
	}
	return errors.Join(errs...)
}

// add takes over an open file and its tensors.
func (s *Source) add(f File, tensors []Tensor) error {
	i := len(s.Files)
	s.Files = append(s.Files, f) // before any return: Close closes it
	if len(s.tensors)+len(tensors) > maxTensors {
		return fileError(f.Path, fmt.Sprintf("the model has more than %d tensors", maxTensors), nil)
	}
	first := len(s.tensors)
	if first == 0 {
		s.tensors, s.byName = tensors, make(map[string]int, len(tensors))
	} else {
		s.tensors = append(s.tensors, tensors...)
	}
	for j := first; j < len(s.tensors); j++ {
		t := &s.tensors[j]
		if k, twice := s.byName[t.Name]; twice {
			return &Error{File: f.Path, Tensor: t.Name, Offset: t.Offset, Reason: "it is in " + s.Files[s.tensors[k].File].Path + " too"}
		}
		t.File = i
		s.byName[t.Name] = j
	}
	return nil
}

func (s *Source) warnf(format string, args ...any) {
	s.Warnings = append(s.Warnings, strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
