package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"unsafe"
)

// File is one open file of a model.
type File struct {
	Path    string // as opened; a symbolic link is not resolved
	Size    int64  // bytes
	Header  int64  // bytes before the tensors
	Tensors int

	f      *os.File
	opened fs.FileInfo
	mapped []byte
}

// openRegular opens a regular file, or a link to one. A FIFO would block the
// open, a device could do anything, so the kind is asked before and after.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, statError(path, err)
	}
	if reason := irregular(info); reason != "" {
		return nil, nil, fileError(path, reason, nil)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fileError(path, "cannot be opened", err)
	}
	info, err = f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it was replaced by something that is no regular file")
	}
	if err != nil {
		f.Close()
		return nil, nil, fileError(path, "cannot be opened", err)
	}
	return f, info, nil
}

func statError(path string, err error) *Error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fileError(path, "no such file", err)
	case errors.Is(err, syscall.ELOOP):
		return fileError(path, "a symbolic link that leads back to itself", err)
	}
	return fileError(path, "cannot be read", err)
}

func irregular(info fs.FileInfo) string {
	switch m := info.Mode(); {
	case m.IsRegular():
		return ""
	case m.IsDir():
		return "a folder where a file belongs"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe, not a file"
	case m&fs.ModeSocket != 0:
		return "a socket, not a file"
	case m&fs.ModeDevice != 0:
		return "a device, not a file"
	}
	return "not a regular file"
}

// ReadFile returns a small file beside the weights: config.json, an index. It is
// a regular file of at most limit bytes, or an *Error.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, info, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > limit {
		return nil, fileError(path, fmt.Sprintf("%d bytes long; at most %d are read", info.Size(), limit), nil)
	}
	// One byte more than the size, so that a file that grows is noticed too.
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fileError(path, "cannot be read", err)
	}
	if int64(len(data)) > limit {
		return nil, fileError(path, fmt.Sprintf("grows while it is read; at most %d bytes are read", limit), ErrChanged)
	}
	return data, nil
}

// openSafeTensors opens a file and parses its header.
func openSafeTensors(path string) (_ File, _ []Tensor, err error) {
	f, info, err := openRegular(path)
	if err != nil {
		return File{}, nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	text, err := readHeader(path, f, info.Size())
	if err != nil {
		return File{}, nil, err
	}
	tensors, err := parseHeader(path, text, info.Size())
	if err != nil {
		return File{}, nil, err
	}
	return File{Path: path, Size: info.Size(), Header: 8 + int64(len(text)), Tensors: len(tensors), f: f, opened: info}, tensors, nil
}

// readHeader reads the JSON behind the eight bytes that hold its length.
func readHeader(path string, r io.ReaderAt, size int64) (string, error) {
	if size < 8 {
		return "", &Error{File: path, Offset: size, Reason: "the file ends inside the eight bytes of the header's length"}
	}
	var prefix [8]byte
	if _, err := r.ReadAt(prefix[:], 0); err != nil {
		return "", &Error{File: path, Offset: 0, Reason: "the header's length cannot be read", Err: err}
	}
	n := binary.LittleEndian.Uint64(prefix[:])
	switch {
	case n < 2:
		return "", &Error{File: path, Offset: 0, Reason: fmt.Sprintf("a header of %d bytes; the shortest is {}", n)}
	case n > maxHeader:
		return "", &Error{File: path, Offset: 0, Reason: fmt.Sprintf("a header of %d bytes; at most %d are allowed; is this a SafeTensors file?", n, maxHeader)}
	case n > uint64(size-8):
		return "", &Error{File: path, Offset: 0, Reason: fmt.Sprintf("a header of %d bytes in a file of %d", n, size)}
	}
	text := make([]byte, n)
	if got, err := r.ReadAt(text, 8); got < len(text) {
		return "", &Error{File: path, Offset: 8 + int64(got), Reason: "the header cannot be read to its end", Err: err}
	}
	return unsafe.String(&text[0], len(text)), nil // text is not written to again
}
