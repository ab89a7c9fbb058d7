package weights

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sync"

	"github.com/zeebo/xxh3"

	"llorch/inference/weights/longhash"
)

// piece is a stretch of a file that was read and waits for its turn to be hashed.
type piece struct {
	b    []byte         // left alone until then
	sums []longhash.Sum // of b, where the hasher joins such
	over func()         // told when it is hashed; does not wait
}

// turn is how far a file is hashed: a digest of all of it cannot be computed but in
// order. Whoever brings the next piece hashes it, and goes on with those that are there
// by then: a digest handed from core to core would wait for each of them to wake.
type turn struct {
	hasher

	mu      sync.Mutex
	at      int64 // hashed so far
	hashing bool
	waiting map[int64]piece // by their first byte
}

// add leaves p, whose first byte is byte `from` of the file, to be hashed after those
// before, and hashes what has its turn now. When ctx ends it hashes no more.
func (t *turn) add(ctx context.Context, from int64, p piece) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting[from] = p
	if t.hashing {
		return
	}
	for p, ok := t.waiting[t.at]; ok && ctx.Err() == nil; p, ok = t.waiting[t.at] {
		delete(t.waiting, t.at)
		t.hashing = true
		t.mu.Unlock()
		t.take(p)
		t.mu.Lock()
		t.at, t.hashing = t.at+int64(len(p.b)), false
		p.over()
	}
}

// leave takes the piece from byte `from` on back; it returns false where that is hashed,
// or being hashed.
func (t *turn) leave(from int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, waits := t.waiting[from]
	delete(t.waiting, from)
	return waits
}

// end returns the sums of f once it is hashed to its end.
func (t *turn) end(f File) (Sums, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at != f.Size {
		return Sums{}, fileError(f.Path, "not read to its end", nil)
	}
	return t.sums(), nil
}

// hasher sums the bytes of a file, which come in order.
type hasher struct {
	long *longhash.Hash // nil: fast
	fast *xxh3.Hasher128
	slow hash.Hash // SHA-256, nil where it was not asked for
}

func newHasher(c Checks, long *longhash.Hash) hasher {
	h := hasher{long: long}
	if long == nil {
		h.fast = xxh3.New128()
	}
	if c.SHA256 {
		h.slow = sha256.New()
	}
	return h
}

func (h *hasher) take(p piece) {
	if h.long != nil {
		h.long.Join(p.sums)
	} else {
		_, _ = h.fast.Write(p.b) // a hash never fails
	}
	if h.slow != nil {
		_, _ = h.slow.Write(p.b)
	}
}

func (h *hasher) sums() Sums {
	var sum [16]byte
	if h.long != nil {
		sum = h.long.Sum().Bytes()
	} else {
		sum = h.fast.Sum128().Bytes()
	}
	s := Sums{XXH3: hex.EncodeToString(sum[:])}
	if h.slow != nil {
		s.SHA256 = hex.EncodeToString(h.slow.Sum(nil))
	}
	return s
}
