package weights

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file is the bytes of a SafeTensors file with the given JSON and data.
func file(json string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(json)))
	return append(append(b, json...), make([]byte, data)...)
}

// pad fills a header with spaces to a multiple of eight, as writers do.
func pad(json string) string { return json + strings.Repeat(" ", (8-len(json)%8)%8) }

// save writes a file below dir and returns its path.
func save(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// refused checks that err is an *Error with the given file, tensor and reason;
// at < -1 does not check the byte.
func refused(t *testing.T, err error, path, tensor string, at int64, reason string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("no *Error: %v", err)
	}
	if e.File != path {
		t.Errorf("file %q, want %q", e.File, path)
	}
	if e.Tensor != tensor {
		t.Errorf("tensor %.80q, want %.80q", e.Tensor, tensor)
	}
	if at >= -1 && e.Offset != at {
		t.Errorf("byte %d, want %d", e.Offset, at)
	}
	if !strings.Contains(e.Reason, reason) {
		t.Errorf("reason %q, want …%s…", e.Reason, reason)
	}
	if len(e.Error()) > 1000 {
		t.Errorf("a message of %d bytes", len(e.Error()))
	}
}

// descriptors is how many files the process has open, -1 where it cannot tell.
func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(entries)
}
