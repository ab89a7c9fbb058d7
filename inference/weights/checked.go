package weights

import (
	"errors"
	"math"
	"math/bits"
)

var errOverflow = errors.New("the product or sum does not fit 63 bits")

// mul is a·b of two sizes; negative factors and overflow are errors.
func mul(a, b int64) (int64, error) {
	if a < 0 || b < 0 {
		return 0, errors.New("negative size")
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, errOverflow
	}
	return int64(lo), nil
}

// add is a+b of two sizes; negative terms and overflow are errors.
func add(a, b int64) (int64, error) {
	if a < 0 || b < 0 {
		return 0, errors.New("negative size")
	}
	if a > math.MaxInt64-b {
		return 0, errOverflow
	}
	return a + b, nil
}

// product multiplies sizes. A zero makes the product zero, but every factor is
// checked, and the factors before the zero must not overflow either: readers
// disagree on such shapes, so none of them is let in.
func product(sizes []int) (int64, error) {
	n := int64(1)
	zero := false
	for _, s := range sizes {
		if s == 0 {
			zero = true
			continue
		}
		var err error
		if n, err = mul(n, int64(s)); err != nil {
			return 0, err
		}
	}
	if zero {
		return 0, nil
	}
	return n, nil
}

// spanBytes is the bytes that elements of bits bits each take; what is not a
// whole number of bytes is an error.
func spanBytes(elements, bits int64) (int64, error) {
	n, err := mul(elements, bits)
	if err != nil {
		return 0, err
	}
	if n%8 != 0 {
		return 0, errors.New("the elements do not fill whole bytes")
	}
	return n / 8, nil
}

// toInt is v as an int of this machine.
func toInt(v int64) (int, error) {
	if v < 0 || v > math.MaxInt {
		return 0, errOverflow
	}
	return int(v), nil
}

// alignUp returns the first multiple of alignment, a power of two, from n on.
func alignUp(n, alignment int64) (int64, error) {
	up, err := add(n, alignment-1)
	if err != nil {
		return 0, err
	}
	return up &^ (alignment - 1), nil
}
