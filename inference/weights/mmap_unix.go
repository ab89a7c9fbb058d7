//go:build unix

package weights

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Region is one mapped file.
type Region struct {
	File  string
	Addr  uintptr
	Bytes int64
}

// Map maps all files read-only and shared, so that several workers on one model
// use the same pages, and sets Tensor.Data. Nothing is read. It fails, mapping
// nothing, where a file changed since Open.
func (s *Source) Map() error {
	if err := s.Changed(); err != nil {
		return err
	}
	for i := range s.Files {
		if err := s.Files[i].mmap(); err != nil {
			return errors.Join(err, s.unmap())
		}
	}
	for i := range s.tensors {
		t := &s.tensors[i]
		end := t.Offset + t.Bytes // ≤ the file's size, checked by Open
		t.Data = s.Files[t.File].mapped[t.Offset:end:end]
	}
	return nil
}

func (f *File) mmap() error {
	if f.mapped != nil {
		return nil
	}
	size, err := toInt(f.Size)
	if err != nil {
		return fileError(f.Path, "too large for this machine's address space", err)
	}
	f.mapped, err = unix.Mmap(int(f.f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		f.mapped = nil
		return fileError(f.Path, "cannot be mapped", err)
	}
	return nil
}

func (s *Source) unmap() error {
	for i := range s.tensors {
		s.tensors[i].Data = nil
	}
	var errs []error
	for i := range s.Files {
		if f := &s.Files[i]; f.mapped != nil {
			if err := unix.Munmap(f.mapped); err != nil {
				errs = append(errs, fileError(f.Path, "cannot be unmapped", err))
			}
			f.mapped = nil
		}
	}
	return errors.Join(errs...)
}

// Regions returns where the files are mapped, for whoever checks that the pages
// are in memory; none before Map.
func (s *Source) Regions() []Region {
	var r []Region
	for i := range s.Files {
		if f := &s.Files[i]; len(f.mapped) > 0 {
			r = append(r, Region{f.Path, addressOf(f.mapped), int64(len(f.mapped))})
		}
	}
	return r
}

func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
