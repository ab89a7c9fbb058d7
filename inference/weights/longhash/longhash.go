// Package longhash is XXH3-128 of bytes that all lie in memory, where they lie, by
// several goroutines at once. What the stripes of a block add to the accumulators does
// not depend on those before it; the step between two blocks does, and is short. So
// whoever has a block computes its Sum, in any order, and sums are joined in the order of
// the blocks, a thirtieth of the work. The steps and constants are those of the XXH3
// specification for inputs of more than 240 bytes; the sums are those of every other
// implementation.
//
// Beside a sum a Sieve can look for exponents that are full: a core that waits for memory has
// the time, and a second look at the same bytes would not.
//
// The blocks are assembler for AVX-512 (blocks_amd64.s), which Go has no other way to
// write, with the fetches ahead that a core needs to read as fast as it can. Its plain
// twin is accumulate, and package xxh3 the oracle of the tests and the way of hosts
// without AVX-512.
package longhash

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// Block is the bytes of a Sum.
const Block = 1024 // 16 stripes: with each the secret moves on by 8 bytes

// Sum is what the stripes of a block add to the accumulators.
type Sum [8]uint64

// Hash is the sum of data as far as its blocks have been joined.
type Hash struct {
	data   []byte
	acc    [8]uint64
	joined int // blocks
	sum    xxh3.Uint128
}

const (
	hashStripe   = 64
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

// whole is how many blocks data has before its last one, which has an end of its own,
// whole or not.
func (h *Hash) whole() int { return (len(h.data) - 1) / Block }

// Blocks appends the sums of the blocks of data[from:to] to sums; from is a multiple of
// Block, and so is to unless it is the end of data. Several goroutines may call it at once.
func (h *Hash) Blocks(sums []Sum, from, to int) []Sum {
	sums, _ = h.Sieved(sums, from, min(to/Block, h.whole())*Block, nothing)
	if to == len(h.data) {
		sums = append(sums, h.last())
	}
	return sums
}

// last is the sum of the last block: its whole stripes but the last, and the last 64 bytes.
func (h *Hash) last() (sum Sum) {
	secret := 0
	for at := h.whole() * Block; at+hashStripe < len(h.data); at += hashStripe {
		accumulate(&sum, h.data[at:], hashSecret[secret:])
		secret += 8
	}
	accumulate(&sum, h.data[len(h.data)-hashStripe:], hashSecret[121:])
	return sum
}

// Join takes in the sums of the blocks that follow those before.
func (h *Hash) Join(sums []Sum) {
	between := sums[:min(len(sums), h.whole()-h.joined)]
	for i := range between {
		for j, s := range &sums[i] {
			acc := h.acc[j] + s
			h.acc[j] = (acc ^ acc>>47 ^ scramble[j]) * prime32A
		}
	}
	h.joined += len(sums)
	if h.joined > h.whole() {
		for j, s := range sums[len(between)] {
			h.acc[j] += s
		}
		n := uint64(len(h.data))
		h.sum = xxh3.Uint128{Lo: merge(&h.acc, hashSecret[11:], n*prime64A), Hi: merge(&h.acc, hashSecret[117:], ^(n * prime64B))}
	}
}

// scramble is what of the secret goes into the accumulators between two blocks.
var scramble = func() (s [8]uint64) {
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(hashSecret[128+8*i:])
	}
	return s
}()

// Sum is the sum of all data, once all blocks are joined.
func (h *Hash) Sum() xxh3.Uint128 { return h.sum }

// accumulate takes in one stripe: acc[i] += low half · high half of (in ^ secret),
// acc[i^1] += in.
func accumulate(acc *Sum, in, secret []byte) {
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
