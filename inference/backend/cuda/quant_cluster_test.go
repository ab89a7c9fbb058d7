package cuda

import (
	"testing"

	"llorch/inference/tensor"
)

// TestPartBytes: blocks of a cluster have all integers of a record once, each with the scales of a half
// or of all, in pieces that bulk copies take.
func TestPartBytes(t *testing.T) {
	for format, f := range quantFormats {
		scales := (recordBytes(format) - warps*f.slice) / 2 // of 8 slices
		for blocks, want := range map[int]int{1: recordBytes(format), 2: recordBytes(format) / 2, 4: 4*f.slice + scales, 8: 2*f.slice + scales} {
			if got := partBytes(format, blocks); got != want || got%16 != 0 || f.slice%16 != 0 || scales%16 != 0 {
				t.Errorf("%v, %d blocks: %d bytes of a part, want %d", format, blocks, got, want)
			}
		}
	}
}

// TestClusterLaunch: what is launched fits into a block's shared memory, with as few blocks a cluster as
// can be, and the integers of all rows fit into their room.
func TestClusterLaunch(t *testing.T) {
	for format := range quantFormats {
		for _, records := range []int{1, 4, 8, 11, 16, 28, 56, mostRecords} {
			for rows := 1; rows <= clusterRows; rows++ {
				formats := []tensor.DType{format}
				c := clusterLaunchFor(formats, records, rows)
				if c.blocks == 0 {
					if rows <= 8 {
						t.Errorf("%v of %d records: no room for %d rows", format, records, rows)
					}
					continue
				}
				x := records * warps / c.blocks * 8 * c.groups() * rowBytes(format)
				shared := c.xBytes + c.groups()*clusterFinishing + c.stages(format)*c.blocks*partBytes(format, c.blocks)
				if c.xBytes < x || shared > clusterShared || c.stages(format) < clusterLeast || c.stages(format) > clusterMost {
					t.Errorf("%v of %d records, %d rows: %+v with %d stages takes %d bytes", format, records, rows, c, c.stages(format), shared)
				}
				if takenBytes(records, c.groups()) < x*c.blocks {
					t.Errorf("%v of %d records, %d rows: %d bytes of room for integers of %d", format, records, rows, takenBytes(records, c.groups()), x*c.blocks)
				}
			}
		}
	}
	for k, want := range map[int]int{2048: 1, 4096: 2, 5632: 4, 11008: 8, 14336: 8} {
		if c := clusterLaunchFor([]tensor.DType{tensor.Q4_K, tensor.Q6_K}, recordsFor(k), clusterRows); c.blocks != want {
			t.Errorf("rows of %d: %d blocks a cluster, want %d", k, c.blocks, want)
		}
	}
}

// TestClusterRows: rows are shared out evenly among launches, no more in one than clusters that the device
// runs have room for.
func TestClusterRows(t *testing.T) {
	q8 := []tensor.DType{tensor.Q8_0}
	d := &Device{kern: &functions{clusters: &clusters{resident: map[int]int{1: 132, 2: 66, 4: 30, 8: 15}}}}
	for n, want := range map[int]int{1: 1, 9: 9, 32: 32, 33: 17, 40: 20, 64: 32, 65: 22} {
		if _, rows := d.clusterFor(q8, 28, n); rows != want {
			t.Errorf("%d rows: %d in the first launch, want %d", n, rows, want)
		}
	}
	d.kern.clusters.resident[8] = 0 // as in a slice of a GPU
	if c, rows := d.clusterFor(q8, 28, 32); rows != 16 || c.blocks != 4 {
		t.Errorf("without clusters of 8: %d rows by %d blocks, want 16 by 4", rows, c.blocks)
	}
	d.kern.clusters = nil
	if _, rows := d.clusterFor(q8, 8, 32); rows != 0 {
		t.Errorf("%d rows without clusters", rows)
	}
}
