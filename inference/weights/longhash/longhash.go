// Package longhash is XXH3-128 of bytes that all lie in memory, taken as far as they
// have arrived: where they lie, without the copy that a hash of a stream makes of them,
// and with the fetches ahead of it that a core needs to read as fast as it can. The
// steps and constants are those of the XXH3 specification for inputs of more than 240
// bytes; the sums are those of every other implementation.
//
// The blocks are assembler for AVX-512 (blocks_amd64.s), which Go has no other way to
// write. Its plain twin is accumulate, and package xxh3 the oracle of the tests and the
// way of hosts without AVX-512.
package longhash

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// Hash is the sum of data as far as it has come.
type Hash struct {
	data []byte
	at   int // bytes that are in acc, whole blocks
	acc  [8]uint64
	sum  xxh3.Uint128 // once data is over
}

const (
	hashStripe   = 64
	hashBlock    = 1024 // 16 stripes: with each the secret moves on by 8 bytes
	shortestLong = 241

	prime32A, prime32B, prime32C        = 0x9e3779b1, 0x85ebca77, 0xc2b2ae3d
	prime64A, prime64B, prime64C        = 0x9e3779b185ebca87, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9
	prime64D, prime64E, primeMix uint64 = 0x85ebca77c2b2ae63, 0x27d4eb2f165667c5, 0x165667919e3779f9
)

// hashSecret is the default secret of XXH3.
var hashSecret = [192]byte(unhex(
	"b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221" +
		"b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8" +
		"a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb" +
		"170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"))

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// New returns nil where this host, or so little data, is for package xxh3.
func New(data []byte) *Hash {
	if !hashesBlocks || len(data) < shortestLong {
		return nil
	}
	return &Hash{data: data, acc: [8]uint64{prime32C, prime64A, prime64B, prime64C, prime64D, prime32B, prime64E, prime32A}}
}

// UpTo takes in data[:end]; end never falls. Nothing beyond it is read.
func (h *Hash) UpTo(end int) {
	// The last block, whole or not, has an end of its own.
	if n := (min(end, len(h.data)-1) - h.at) / hashBlock; n > 0 {
		hashBlocks(&h.acc, &h.data[h.at], n, &hashSecret)
		h.at += n * hashBlock
	}
	if end == len(h.data) {
		h.finish()
	}
}

// Sum is the sum of all data. UpTo must have come to its end.
func (h *Hash) Sum() xxh3.Uint128 { return h.sum }

// finish takes in what is left, at most a block, and mixes the sum.
func (h *Hash) finish() {
	n, acc := uint64(len(h.data)), h.acc
	secret := 0
	for at := h.at; at+hashStripe < len(h.data); at += hashStripe {
		accumulate(&acc, h.data[at:], hashSecret[secret:])
		secret += 8
	}
	accumulate(&acc, h.data[len(h.data)-hashStripe:], hashSecret[121:])
	h.sum = xxh3.Uint128{Lo: merge(&acc, hashSecret[11:], n*prime64A), Hi: merge(&acc, hashSecret[117:], ^(n * prime64B))}
}

// accumulate takes in one stripe: acc[i] += low half · high half of (in ^ secret),
// acc[i^1] += in.
func accumulate(acc *[8]uint64, in, secret []byte) {
	for i := range acc {
		v := binary.LittleEndian.Uint64(in[8*i:])
		k := v ^ binary.LittleEndian.Uint64(secret[8*i:])
		acc[i^1] += v
		acc[i] += k & 0xffffffff * (k >> 32)
	}
}

// merge folds the accumulators into 64 bits.
func merge(acc *[8]uint64, secret []byte, sum uint64) uint64 {
	for i := 0; i < 8; i += 2 {
		hi, lo := bits.Mul64(acc[i]^binary.LittleEndian.Uint64(secret[8*i:]), acc[i+1]^binary.LittleEndian.Uint64(secret[8*i+8:]))
		sum += hi ^ lo
	}
	sum ^= sum >> 37
	sum *= primeMix
	return sum ^ sum>>32
}
