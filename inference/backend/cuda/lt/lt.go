// Package lt multiplies matrices with cuBLASLt, which is opened at run time: the
// library has half a gigabyte and belongs to the CUDA toolkit of the host, not to
// this program. Without it the backend's own kernel multiplies prompts, slower.
//
// The search for the library and the shapes are here; the calls, which need no
// header of it, are behind the tag cuda.
package lt

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// ErrMissing is wrapped where the library is not found.
var ErrMissing = errors.New("cuBLASLt was not found")

// Advice says what the lack means and what to do about it.
const Advice = "prompts are multiplied by this program's own kernel, slower; for speed install the CUDA 13 or 12 runtime libraries, " +
	"or set LLORCH_CUBLASLT to the folder of libcublasLt.so.13 (a Python environment has it in nvidia/cu13/lib)"

// sonames, the one that fits a driver of today first.
var sonames = []string{"libcublasLt.so.13", "libcublasLt.so.12"}

// Candidates lists what to try to open, in order: named, a file or a folder, and
// then nothing else; without it what the dynamic linker finds (LD_LIBRARY_PATH is
// part of that), $CUDA_HOME, and the toolkits in /usr/local, the newest first.
// glob is filepath.Glob.
func Candidates(named, cudaHome string, glob func(string) ([]string, error)) []string {
	if named != "" {
		all := []string{named}
		for _, s := range sonames {
			all = append(all, filepath.Join(named, s))
		}
		return all
	}
	var folders []string
	if cudaHome != "" {
		folders = append(folders, filepath.Join(cudaHome, "lib64"), filepath.Join(cudaHome, "lib"))
	}
	folders = append(folders, "/usr/local/cuda/lib64")
	others, _ := glob("/usr/local/cuda-*/lib64") // the pattern is right
	slices.Sort(others)
	slices.Reverse(others)
	folders = append(folders, others...)
	var all []string
	for _, s := range sonames {
		all = append(all, s)
		for _, f := range folders {
			all = append(all, filepath.Join(f, s))
		}
	}
	return all
}

// Format is a number format of a matrix (cudaDataType).
type Format int

const (
	F32  Format = 0
	F16  Format = 2
	BF16 Format = 14
)

func (f Format) bytes() int {
	if f == F32 {
		return 4
	}
	return 2
}

// Shape is a product y = x·wᵀ (+ y): x [M × K] and w [N × K] of format In, y
// [M × N] of format Out, all by row, summed in float32.
type Shape struct {
	M, N, K int
	In, Out Format
	Add     bool // y += x·wᵀ
	// StrideX, StrideW, StrideY are elements from one row to the next; 0: no gap.
	StrideX, StrideW, StrideY int
	// Align is what every address is a multiple of, bytes; 0 is 256.
	Align int
}

// Check tells whether a shape can be asked for.
func (s Shape) Check() error {
	switch {
	case s.M < 1 || s.N < 1 || s.K < 1:
		return fmt.Errorf("lt: a product of [%d × %d] and [%d × %d]: every side is 1 or more", s.M, s.K, s.N, s.K)
	case s.In != BF16 && s.In != F16:
		return fmt.Errorf("lt: format %d of the factors: want bf16 or f16", s.In)
	case s.Out != s.In && s.Out != F32:
		return fmt.Errorf("lt: format %d of the product: want that of the factors, or f32", s.Out)
	}
	d := s.dense()
	if d.StrideX < s.K || d.StrideW < s.K || d.StrideY < s.N {
		return fmt.Errorf("lt: strides %d, %d, %d are shorter than rows of %d, %d, %d", d.StrideX, d.StrideW, d.StrideY, s.K, s.K, s.N)
	}
	if d.Align < s.Out.bytes() || d.Align&(d.Align-1) != 0 {
		return fmt.Errorf("lt: alignment %d: want a power of two from %d on", s.Align, s.Out.bytes())
	}
	return nil
}

// dense fills in what is left at 0.
func (s Shape) dense() Shape {
	if s.StrideX == 0 {
		s.StrideX = s.K
	}
	if s.StrideW == 0 {
		s.StrideW = s.K
	}
	if s.StrideY == 0 {
		s.StrideY = s.N
	}
	if s.Align == 0 {
		s.Align = 256
	}
	return s
}

// MaxCandidates is how many algorithms a plan holds at most.
const MaxCandidates = 8

// Candidate is an algorithm that the library's heuristic proposes.
type Candidate struct {
	Workspace int64   // bytes it needs
	Waves     float32 // blocks per multiprocessor slot: just above a whole number is a waste
}

// Error is a failed call of the library.
type Error struct {
	Status int // cublasStatus_t
	Call   string
}

var statuses = map[int]string{
	1: "not initialized", 3: "out of memory", 7: "invalid value", 8: "the GPU lacks what is asked", 11: "memory access failed",
	13: "execution failed", 14: "internal error", 15: "not supported", 16: "licence error",
}

func (e *Error) Error() string {
	text := statuses[e.Status]
	if text == "" {
		text = "failed"
	}
	return fmt.Sprintf("%s: %s (%d)", e.Call, text, e.Status)
}
