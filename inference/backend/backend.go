package backend

import (
	"llorch/inference/sample"
	"llorch/inference/tensor"
)

// Tensor is a matrix in device memory.
type Tensor = tensor.Tensor

// Use says what memory is for, so that residency can account for it by class.
type Use uint8

const (
	Weights Use = iota + 1
	Cache
	Scratch
)

func (u Use) String() string { return [...]string{"?", "weights", "cache", "scratch"}[u] }

// Device is one opened device. All calls come from one goroutine.
type Device interface {
	Memory
	Ops
	Info() Info
	Sync() error  // runs or waits for what was asked; returns the first failure since the last Sync
	Close() error // frees everything that Alloc and Place gave
}

// Info describes an opened device to people and to the orchestrator.
type Info struct {
	Kind         string // "cpu", "ref", "cuda", "metal"
	Index        int
	Name         string // what the maker calls it
	UUID         string // what tells it from others of its kind, "" where nothing does
	ISA          string // the instruction set chosen, "" where there is no choice
	Threads      int    // host threads that compute
	Architecture string // where weights live: "ram", "vram-only", "unified"
}

// Memory hands out device memory and keeps the account that residency checks.
type Memory interface {
	// Alloc returns zeroed memory for rows×cols elements, aligned to at least
	// 64 bytes and, on hosts, touched, so that it is resident from the start.
	Alloc(use Use, t tensor.DType, rows, cols int) (Tensor, error)
	// Place makes the bytes of a weight usable by the device: in place where the
	// device can read host memory (host must then outlive the device), by a copy
	// elsewhere. len(host) is rows·RowBytes; it may have any alignment.
	Place(t tensor.DType, rows, cols int, host []byte) (Tensor, error)
	Upload(t Tensor, host []byte)   // t = host
	Download(host []byte, t Tensor) // host = t; there after Sync
	Held() map[Use]int64            // bytes by class, placed weights included
	Regions() []Region              // where those bytes are
}

// Region is a stretch of memory the device computes from.
type Region struct {
	Use   Use
	Addr  uintptr
	Bytes int64
}

// Ops are the operations a decoder needs. dst first, sources next, scalars last.
// n is the number of rows of the step. Activations are F32.
type Ops interface {
	// Embed: dst[i] = table[b.Tokens[i]]. dst [n × hidden], table [vocab × hidden].
	Embed(dst, table Tensor, b *Batch)
	// RMSNorm: dst = x / √(mean(x²) + eps) · w, by row. w [1 × hidden] of any type.
	RMSNorm(dst, x, w Tensor, eps float32)
	// Linear: dst = x·Wᵀ + B. x [n × in], dst [n × Σ out]. b says which rows are
	// of which phase; with nil every row takes the decode kernel (the head does).
	Linear(dst, x Tensor, w Linear, b *Batch)
	// LinearAdd: dst += x·Wᵀ + B.
	LinearAdd(dst, x Tensor, w Linear, b *Batch)
	// HeadNorm: RMSNorm of each query head with wq and each key head with wk, in
	// place. qkv [n × (Q+2·KV)·Dim], wq and wk [1 × Dim].
	HeadNorm(qkv, wq, wk Tensor, h Heads, eps float32)
	// RopeStore rotates q (in qkv) and k by the angle of their position and
	// writes k and v to the pages of their sequence.
	RopeStore(qkv Tensor, kv KV, r Rope, h Heads, b *Batch)
	// Attend: dst = softmax(q·kᵀ·h.Scale)·v, causal, grouped, within h.Window.
	// dst [n × Q·Dim].
	Attend(dst, qkv Tensor, kv KV, h Heads, b *Batch)
	// SwiGLU: dst = silu(gate)·up. gateUp [n × 2·F] holds gate, then up.
	SwiGLU(dst, gateUp Tensor)
	// Rows: dst[i] = x[b.Logits[i]].
	Rows(dst, x Tensor, b *Batch)
	// Sample: dst[i] = the next token of logits row i under p[i], there after
	// Sync. Package sample is the specification. A row whose logits are not
	// finite gives −1, and Sync an error that wraps sample.ErrNotFinite. It ends a
	// step: of what that leaves in its activations only logits are read later.
	Sample(dst []int32, logits Tensor, p []sample.Params)
}

// Linear is a projection, stacked by output row: a file may keep q, k and v
// apart and in different formats, and no copy is made to fuse them.
type Linear []Part

// Part is one matrix of a projection: W [out × in], B [1 × out] or no bias
// (Data nil).
type Part struct{ W, B Tensor }

// Out returns the number of output columns.
func (l Linear) Out() int {
	n := 0
	for _, p := range l {
		n += p.W.Rows
	}
	return n
}

// Heads is the shape of grouped-query attention.
type Heads struct {
	Q, KV, Dim int
	Window     int     // a position sees itself and Window-1 before it; 0 = all
	Scale      float32 // usually 1/√Dim
}

// Rope is the table of rotations of the first R elements of a head; those
// behind are left as they are, and R is Dim for most families. HF files pair
// element i with i+R/2 ("halves"), GGUF llama files 2i with 2i+1: a fact of the
// container.
type Rope struct {
	Cos, Sin    Tensor // [positions × R/2] F32
	Interleaved bool
}

// KV is the paged cache of one layer. Row (page·KVHeads + head)·PageSize + i of
// K is the key of that head at the page's i-th position; V likewise. [pages ·
// KVHeads · PageSize × Dim], F32, F16, BF16 or, with Dim a multiple of 32, Q8_0.
type KV struct {
	K, V     Tensor
	PageSize int
}

// CacheFormats are the formats of keys and values that every device reads and
// writes. A block of Q8_0 lies within one head.
var CacheFormats = []tensor.DType{tensor.F32, tensor.F16, tensor.BF16, tensor.Q8_0}

// FormatComputer is the optional ability of a device to tell which formats of
// weights its projections read. A device without it reads F32, F16 and BF16.
type FormatComputer interface{ Computes(t tensor.DType) bool }

// Computes tells whether d multiplies with weights of a format as they are. What
// it does not must be widened before it is placed.
func Computes(d Device, t tensor.DType) bool {
	if c, ok := ability[FormatComputer](d); ok {
		return c.Computes(t)
	}
	return t == tensor.F32 || t == tensor.F16 || t == tensor.BF16
}

// ability looks for an optional ability of d, or of what d decorates.
func ability[T any](d Device) (T, bool) {
	for {
		if t, ok := d.(T); ok {
			return t, true
		}
		u, wrapped := d.(interface{ Unwrap() Device })
		if !wrapped {
			var none T
			return none, false
		}
		d = u.Unwrap()
	}
}

// Rounder is the optional ability of a device to tell the format that its
// projections round to what they multiply, by the format of the weights and the
// phase: F32 not at all, BF16 activations and weights to bf16, Q8_0 activations to
// int8 with a scale for each 32 of a row. A device without it rounds nothing.
type Rounder interface {
	Rounds(weights tensor.DType, prefill bool) tensor.DType
}

// Rounds asks d, or F32 for a device that does not say.
func Rounds(d Device, weights tensor.DType, prefill bool) tensor.DType {
	if r, ok := ability[Rounder](d); ok {
		return r.Rounds(weights, prefill)
	}
	return tensor.F32
}

// AttendRounder is the optional ability of a device to tell the format to which its
// attention rounds what it multiplies, by the format of the cache and the phase:
// F32 not at all, BF16 scaled queries, keys, values and weights to bf16, once each,
// and a weight counts in their sum as it was rounded. A device without it rounds
// nothing.
type AttendRounder interface {
	AttendRounds(cache tensor.DType, prefill bool) tensor.DType
}

// AttendRounds asks d, or F32 for a device that does not say.
func AttendRounds(d Device, cache tensor.DType, prefill bool) tensor.DType {
	if r, ok := ability[AttendRounder](d); ok {
		return r.AttendRounds(cache, prefill)
	}
	return tensor.F32
}

// FormatEncoder is the optional ability of a host device to encode some formats
// faster than package tensor does, and to the same bytes.
type FormatEncoder interface {
	// Encode writes src, whole blocks, to dst, which holds RowBytes(len(src))
	// bytes, or returns false and has written nothing. Any number of goroutines may
	// call it at once, during a step too.
	Encode(t tensor.DType, dst []byte, src []float32) bool
}

// Encoder returns what d can encode with, nil if it has no way of its own.
func Encoder(d Device) tensor.Encoder {
	if e, ok := ability[FormatEncoder](d); ok {
		return e.Encode
	}
	return nil
}

// Limiter is the optional ability of a device to measure what its hardware
// allows, in a second or two and without touching the device's state. It is called as
// all others are, from the device's goroutine between steps.
type Limiter interface{ Limits() (Limits, error) }

// Limiting returns d's ability, nil if it has none.
func Limiting(d Device) Limiter {
	l, _ := ability[Limiter](d)
	return l
}

// Limits are measured now, with all that the device computes with. A limit is 0 where
// what the device uses has no such unit, or nobody measured it. Multiplication and
// addition count as two operations.
type Limits struct {
	ReadGBs    float64 // reading memory that no cache holds, 10⁹ bytes a second
	WeightsGBs float64 // reading the weights where they lie; of a device without memory of its own, whose file others have laid out
	GFlops     float64 // float32 fused multiply-add, 10⁹ operations a second
	IntGops    float64 // dot products of 8-bit integers, summed in 32 bits, 10⁹ operations a second
	PairGFlops float64 // dot products of pairs of bfloat16, summed in float32, 10⁹ operations a second
	TileGFlops float64 // matrix tiles of bfloat16, summed in float32, 10⁹ operations a second
}
