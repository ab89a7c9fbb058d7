package weights

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"unsafe"
)

// scanBuffer is all a header is read through, whatever its size.
const scanBuffer = 64 << 10

// ggufScan reads the header of a GGUF file forwards. It keeps the first error,
// and reads only zeros from then on, so that a parser needs to look where a loop
// or an allocation depends on what was read.
type ggufScan struct {
	file   string
	src    io.ReaderAt
	end    int64  // of what may be read: the file's size, or maxHeader where that is less
	size   int64  // of the file
	at     int64  // of the next byte
	key    string // what is being read, for errors
	tensor string
	err    error

	buf    []byte
	window []byte // the part of buf that was not read yet; its first byte is byte at
}

func newScan(file string, src io.ReaderAt, size int64) *ggufScan {
	return &ggufScan{file: file, src: src, size: size, end: min(size, maxHeader), buf: make([]byte, scanBuffer)}
}

// fail keeps an error about byte at of the file, or about its end if that comes
// first, unless there is an error already.
func (g *ggufScan) fail(at int64, format string, args ...any) {
	if g.err == nil {
		g.err = &Error{File: g.file, Key: g.key, Tensor: g.tensor, Offset: min(at, g.size), Reason: fmt.Sprintf(format, args...)}
	}
}

// room tells whether n more bytes lie before the end, and fails where they do not.
func (g *ggufScan) room(n int64, what string) bool {
	if g.err != nil {
		return false
	}
	if n >= 0 && n <= g.end-g.at {
		return true
	}
	if g.end < g.size {
		g.fail(g.at, "%s of %d bytes ends beyond the %d bytes that a header may have", what, n, int64(maxHeader))
	} else {
		g.fail(g.at, "%s of %d bytes ends beyond the file's %d bytes", what, n, g.size)
	}
	return false
}

// take returns the next n bytes, at most scanBuffer; they are valid until the next call.
func (g *ggufScan) take(n int, what string) []byte {
	if !g.room(int64(n), what) {
		return make([]byte, n)
	}
	if len(g.window) < n {
		g.fill()
	}
	if g.err != nil || len(g.window) < n {
		g.fail(g.at, "%s of %d bytes ends beyond the file's %d bytes", what, n, g.size)
		return make([]byte, n)
	}
	p := g.window[:n]
	g.window = g.window[n:]
	g.at += int64(n)
	return p
}

// fill reads the next bytes of the file to the buffer.
func (g *ggufScan) fill() {
	want := int(min(int64(len(g.buf)), g.end-g.at))
	n, err := g.src.ReadAt(g.buf[:want], g.at)
	if g.window = g.buf[:n]; n < want {
		g.window = nil
		if g.err == nil {
			g.err = &Error{File: g.file, Key: g.key, Tensor: g.tensor, Offset: g.at + int64(n), Reason: "the header cannot be read to its end", Err: err}
		}
	}
}

// skip passes n bytes over without reading them, where they are not in the buffer.
func (g *ggufScan) skip(n int64, what string) {
	if !g.room(n, what) {
		return
	}
	if g.at += n; n <= int64(len(g.window)) {
		g.window = g.window[n:]
	} else {
		g.window = nil
	}
}

func (g *ggufScan) u8(what string) uint8   { return g.take(1, what)[0] }
func (g *ggufScan) u32(what string) uint32 { return binary.LittleEndian.Uint32(g.take(4, what)) }
func (g *ggufScan) u64(what string) uint64 { return binary.LittleEndian.Uint64(g.take(8, what)) }

// length reads a size or count of 64 bits, which is at most limit.
func (g *ggufScan) length(what string, limit int64) int64 {
	at := g.at
	n := g.u64(what)
	if g.err == nil && (n > math.MaxInt64 || int64(n) > limit) {
		g.fail(at, "%s is %d; at most %d is possible", what, n, limit)
	}
	if g.err != nil {
		return 0
	}
	return int64(n)
}

// text reads a string of at most limit bytes.
func (g *ggufScan) text(what string, limit int) string {
	at := g.at
	n := g.length("the length of "+what, max(g.end-g.at-8, 0))
	if n > int64(limit) {
		g.fail(at, "%s of %d bytes; at most %d are read", what, n, limit)
	}
	if !g.room(n, what) {
		return ""
	}
	text := make([]byte, 0, n) // room has seen that the file holds so much
	for left := n; left > 0 && g.err == nil; {
		step := min(left, scanBuffer)
		text = append(text, g.take(int(step), what)...)
		left -= step
	}
	return unsafe.String(unsafe.SliceData(text), len(text)) // text is not written to again
}
