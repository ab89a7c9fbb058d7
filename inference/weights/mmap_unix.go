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

// Release gives the pages of a mapped tensor back to the page cache, which may
// drop them: for weights that were copied elsewhere. Reading them again is right,
// and slow. Pages that a neighbour shares stay.
func (s *Source) Release(t *Tensor) {
	f := &s.Files[t.File]
	if f.mapped == nil {
		return
	}
	page := int64(unix.Getpagesize())
	from, to := (t.Offset+page-1)/page*page, (t.Offset+t.Bytes)/page*page
	if from < to {
		_ = unix.Madvise(f.mapped[from:to], unix.MADV_DONTNEED) // an advice
	}
}

// Unmap gives the mappings up, for weights that were all copied elsewhere. No
// Tensor.Data may be used after it, and no examination be under way.
func (s *Source) Unmap() error { return s.unmap() }

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
