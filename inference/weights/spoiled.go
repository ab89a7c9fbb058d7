package weights

import (
	"encoding/binary"
	"fmt"

	"llorch/inference/tensor"
)

// Spoiled returns an error, without a file or tensor, if a block of b, whole blocks
// of format d, has a scale that is no finite number: its elements were none, or too
// large for a scale in binary16.
func Spoiled(d tensor.DType, b []byte) error {
	t, ok := blocked[d.String()]
	if !ok {
		return nil
	}
	for _, scale := range t.scales {
		for at := scale; at < int64(len(b)); at += t.bytes {
			if binary.LittleEndian.Uint16(b[at:])&0x7c00 == 0x7c00 {
				return fmt.Errorf("elements %d to %d are too large for the scale of a block of %v, or are no numbers", at/t.bytes*t.block, (at/t.bytes+1)*t.block-1, d)
			}
		}
	}
	return nil
}
