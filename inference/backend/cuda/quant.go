package cuda

import (
	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// Records: how weights in blocks of integers lie that the matrix unit multiplies. A record
// holds 16 rows and 512 k in as many bytes as a file has for them, in two halves. Each has the
// integers of 8 slices, [slice][lane], what one of 16 warps takes at a time, 32 k, in the order
// of the registers of a product of 8-bit integers; then scales, [slice][row] or by super-block.
// A strip is its records in the order of k, padded with zeros. kernels/quant.cuh says where the
// bits of each format are.

// recordK is the k of a record.
const recordK = 32 * warps

// quantFormat is what kernels for a format need to know of it.
type quantFormat struct {
	stage  int // records of a stage of the ring: twin of STAGE in kernels/quant.cuh
	groups int // scales of 32 k
	slice  int // bytes of the integers of 32 k
}

var quantFormats = map[tensor.DType]quantFormat{
	tensor.Q8_0: {2, 1, 512}, tensor.Q4_0: {4, 1, 256}, tensor.Q4_K: {4, 1, 256}, tensor.Q6_K: {2, 2, 384},
}

// quantised tells whether kernels multiply a format's integers.
func quantised(t tensor.DType) bool { return quantFormats[t].stage > 0 }

func recordBytes(t tensor.DType) int { return 16 * t.RowBytes(recordK) }

// recordsFor returns the records of a strip for rows of k elements.
func recordsFor(k int) int { return ceilDiv(k, recordK) }

// mostRecords bounds the length of rows: one row of activations must fit in shared memory
// beside a ring.
const mostRecords = 96

// levelPlace is where the low bits of an integer lie in its record, row i and k counted in
// it: byte, and bit in that. Those that have them have four more at once (Q8_0) or two
// more elsewhere (twoPlace). Where there are no more, halves of 16 k lie apart.
func levelPlace(t tensor.DType, i, k int) (at, bit int) {
	lane, tile, half, slice := i%8*4+k%16/4, k%32/16, i/8, sliceAt(t, k/32)
	switch t {
	case tensor.Q8_0:
		return slice + lane*16 + tile*8 + half*4 + k%4, 0
	case tensor.Q6_K:
		return slice + lane*8 + tile*4 + k%4, half * 4
	}
	return slice + (tile*32+lane)*4 + k%4, half * 4
}

// sliceAt is where the integers of a slice begin.
func sliceAt(t tensor.DType, slice int) int {
	return slice/8*recordBytes(t)/2 + slice%8*quantFormats[t].slice
}

// twoPlace is where two more bits of an integer of Q6_K lie: the highest of rows up to 7 and the
// lowest of others, where a lane finds those of two registers after one mask.
func twoPlace(i, k int) (at, bit int) {
	lane, tile, half := i%8*4+k%16/4, k%32/16, i/8
	at, bit = k%4, 4-2*half
	if tile == 1 {
		at, bit = (k+1-half)%4, 6*half
	}
	return sliceAt(tensor.Q6_K, k/32) + 256 + lane*4 + at, bit
}

// Shared memory of a block beside its static variables, and the most of it that is ring. Smaller
// rings, with a block of the next kernel beside this one's, were slower: where two have come to
// one multiprocessor, they are its last.
const (
	quantShared = 208 << 10
	quantRing   = 176 << 10
	plainShared = 64 << 10 // without a ring, before compute capability 9.0
	mostStages  = 11
)

// quantLaunch is how the kernel of a format is launched for so many rows of activations.
type quantLaunch struct{ rows, xBytes, stages, stageBytes int }

// quantLaunchFor returns the shared memory that rows of activations take, and the stages that
// are left for a ring.
func quantLaunchFor(t tensor.DType, records, rows int) quantLaunch {
	f, stride := quantFormats[t], 8
	if rows == 1 {
		records, stride = ceilDiv(records, 4)*4, 1
	}
	x := records * warps * (64*rows + 8*f.groups*stride)
	l := quantLaunch{rows: rows, xBytes: ceilDiv(x, 128) * 128, stageBytes: f.stage * recordBytes(t)}
	l.stages = min(mostStages, quantRing/l.stageBytes, (quantShared-l.xBytes)/l.stageBytes)
	return l
}

// quantRows is how many rows of activations a launch takes, of n that are left: up to 8, and as
// many as fit.
func quantRows(formats []tensor.DType, records, n int, ring bool) int {
	most := 8
	for ; most > 1; most-- {
		fits := true
		for _, t := range formats {
			l := quantLaunchFor(t, records, most)
			fits = fits && (ring && l.stages >= 3 || !ring && l.xBytes <= plainShared)
		}
		if fits {
			break
		}
	}
	return ceilDiv(n, ceilDiv(n, most))
}

// quantRuns shares blocks out among runs of parts with one format, so that the one with the most
// bytes for a block has as few as can be. The last entry says where blocks and strips end.
func quantRuns(parts []part, records, blocks int) (all []run) {
	strip := int32(0)
	for i := range parts {
		if i == 0 || parts[i].format != parts[i-1].format {
			all = append(all, run{format: parts[i].format, strip: strip})
		}
		strip += parts[i].strips
	}
	all = append(all, run{strip: strip})
	n := len(all) - 1
	strips := func(i int) int { return int(all[i+1].strip - all[i].strip) }
	share := make([]int, n)
	for i := range share {
		share[i] = 1
	}
	for range blocks - n {
		most, at := 0, -1
		for i := range share {
			if bytes := ceilDiv(strips(i), share[i]) * records * recordBytes(tensor.DType(all[i].format)); bytes > most && share[i] < strips(i) {
				most, at = bytes, i
			}
		}
		if at < 0 {
			break
		}
		share[at]++
	}
	for i := range share {
		all[i+1].block = all[i].block + int32(share[i])
	}
	return all
}

// multiplyQuant launches a projection of quantised weights for rows of the decode phase.
func (d *Device) multiplyQuant(p *projection, f *fusion) {
	records := recordsFor(p.k)
	for m, n := 0, f.linear.decode; m < n; {
		rows := quantRows(p.formats, records, n-m, d.hopper)
		if c, most := d.clusterFor(p.formats, records, n-m); most > rows {
			d.launchCluster(p, f, m, most, c)
			m += most
			continue
		}
		d.launchQuant(p, f, m, rows)
		m += rows
	}
	d.packed = nil
	if f.packed {
		d.packed = f.after.dst.Data
	}
}

// quantParams are the parameters of a launch for rows from m on, and its runs, shared out among so
// many blocks or clusters.
func (d *Device) quantParams(p *projection, f *fusion, m, rows, blocks int) (quantParams, []run) {
	records := recordsFor(p.k)
	q := quantParams{projectParams: d.projectParams(p, f, m, rows), chunks: int32(records)}
	q.packedX, q.packedDst = flag(d.packed == f.linear.x.Data && d.packed != nil), flag(f.packed)
	runs := quantRuns(p.parts, records, blocks)
	copy(q.run[:], runs)
	q.runs = int32(len(runs) - 1)
	return q, runs
}

func (d *Device) launchQuant(p *projection, f *fusion, m, rows int) {
	records := recordsFor(p.k)
	q, runs := d.quantParams(p, f, m, rows, d.blocks)
	for _, t := range p.formats {
		q.xBytes = max(q.xBytes, int32(quantLaunchFor(t, records, rows).xBytes))
	}
	c := driver.Blocks(int(runs[q.runs].block), 32*(warps+2)) // one that fetches, one that finishes
	c.Programmatic = d.programmatic
	ring := 0
	for i := range runs[:q.runs] {
		l := quantLaunchFor(tensor.DType(runs[i].format), records, rows)
		stages := min(l.stages, (quantShared-int(q.xBytes))/l.stageBytes)
		q.run[i].stages = int32(stages)
		ring = max(ring, stages*l.stageBytes)
	}
	if c.Shared = uint32(q.xBytes); d.hopper {
		c.Shared += uint32(ring)
	}
	kernel := d.kern.quantMany
	if rows == 1 {
		kernel = d.kern.quantOne
	}
	d.check(d.drv.Launch(kernel, d.stream, c, driver.Params(&q)))
}

// wideBytes bounds the room for weights of a prompt in bf16: matrices that are larger are
// multiplied in slices. A few turns of all multiprocessors, for 128 rows and 256 tokens each.
const wideBytes = 128 << 20

// wideRoom is device memory for weights of one product of a prompt in bf16.
type wideRoom struct {
	at    driver.Ptr
	bytes int
}

// slicesOf cuts parts into slices of at most so many strips.
func slicesOf(parts []part, strips, records int) (all [][]part) {
	var now []part
	left := strips
	for _, p := range parts {
		for p.strips > 0 {
			q := p
			q.strips = min(p.strips, int32(left))
			now = append(now, q)
			p.strips, p.first = p.strips-q.strips, p.first+q.strips
			p.w += driver.Ptr(int(q.strips) * records * recordBytes(tensor.DType(p.format)))
			if left -= int(q.strips); left == 0 {
				all, now, left = append(all, now), nil, strips
			}
		}
	}
	if now != nil {
		all = append(all, now)
	}
	return all
}

// gemmQuant computes c, whose parts are quantised, by the kernels for bf16: weights are
// rounded to it, slice by slice.
func (d *Device) gemmQuant(c *gemmCall, parts []part) {
	records := recordsFor(c.k)
	strip := records * recordK * 32
	strips := 0
	for i := range parts {
		strips += int(parts[i].strips)
	}
	n := ceilDiv(strips, ceilDiv(strips*strip, d.wide.bytes)) // slices of one size
	for _, slice := range slicesOf(parts, min(n, d.wide.bytes/strip), records) {
		at := d.wide.at
		c.parts = slice
		for i := range slice {
			launch(d, d.kern.quantWide[tensor.DType(slice[i].format)], grid(int(slice[i].strips), records), 512, &quantWideParams{
				dst: at, src: slice[i].w, chunks: int32(records),
			})
			slice[i].w = at
			at += driver.Ptr(int(slice[i].strips) * strip)
		}
		d.gemm(d.kern.gemms, c)
	}
}

// growWide makes room for the weights of a projection in bf16, as far as they are multiplied at a time.
func (d *Device) growWide(p *projection) error {
	strip := recordsFor(p.k) * recordK * 32
	bytes := max(strip, min(wideBytes, p.strips*strip))
	if bytes <= d.wide.bytes {
		return nil
	}
	if d.wide.at != 0 {
		if err := d.drv.StreamSynchronize(d.stream); err != nil {
			return err
		}
		if err := d.release(d.wide.at); err != nil {
			return err
		}
		d.wide = wideRoom{}
	}
	at, err := d.alloc(backend.Scratch, int64(bytes))
	if err == nil {
		d.wide = wideRoom{at, bytes}
	}
	return err
}
