package ref

import (
	"fmt"

	"llorch/inference/backend"
	"llorch/inference/sample"
)

// Embed: dst[i] = table[b.Tokens[i]].
func (d *Device) Embed(dst, table backend.Tensor, b *backend.Batch) {
	out := dst.Float32s()
	d.each("Embed", dst.Rows, func(_ *worker, i int) {
		table.Type.Decode(out[i*dst.Cols:(i+1)*dst.Cols], rowBytes(table, int(b.Tokens[i])))
	})
}

// Rows: dst[i] = x[b.Logits[i]].
func (d *Device) Rows(dst, x backend.Tensor, b *backend.Batch) {
	d.each("Rows", dst.Rows, func(_ *worker, i int) {
		copy(rowBytes(dst, i), rowBytes(x, int(b.Logits[i])))
	})
}

// Sample: dst[i] = sample.Choose of a copy of row i, −1 where it fails.
func (d *Device) Sample(dst []int32, logits backend.Tensor, p []sample.Params) {
	all, n := logits.Float32s(), logits.Cols
	d.each("Sample", logits.Rows, func(w *worker, i int) {
		row := grow(&w.row, n)
		copy(row, all[i*n:])
		id, err := w.chooser.Choose(row, &p[i])
		if err != nil {
			d.fail(fmt.Errorf("ref: Sample: row %d of %d: %w", i, len(dst), err))
		}
		dst[i] = id
	})
}
