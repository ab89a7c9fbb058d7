//go:build cuda

package cuda

import (
	"fmt"
	"math"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// attendModels are the shapes of the published models that figures are given for.
var attendModels = []struct {
	name string
	h    backend.Heads
}{
	{"7B", backend.Heads{Q: 32, KV: 32, Dim: 128}},
	{"8B", backend.Heads{Q: 32, KV: 8, Dim: 128}},
	{"1.1B", backend.Heads{Q: 32, KV: 4, Dim: 64}},
}

// layersOf lays out batches over one random cache of a GiB, so that what is read lies
// in memory and not in L2: each is a layer's share with pages of its own, wrapping round.
func layersOf(b *testing.B, d *Device, h backend.Heads, rows, from, to, layers int, decode bool) ([]*backend.Batch, backend.KV) {
	b.Helper()
	const page = 64
	pages := 1 << 30 / (h.KV * page * h.Dim * 2)
	kv := backend.KV{K: noise(b, d, pages*h.KV*page, h.Dim), V: noise(b, d, pages*h.KV*page, h.Dim), PageSize: page}
	next, batches := 0, make([]*backend.Batch, layers)
	for l := range batches {
		batch := &backend.Batch{}
		for range rows {
			seq := backend.Seq{First: batch.Rows(), Rows: to - from}
			for range ceil(to, page) {
				seq.Pages = append(seq.Pages, int32(next*37%pages)) // scattered
				next++
			}
			for p := from; p < to; p++ {
				batch.Tokens, batch.Positions = append(batch.Tokens, 0), append(batch.Positions, int32(p))
			}
			batch.Seqs = append(batch.Seqs, seq)
		}
		if decode {
			batch.Decode = batch.Rows()
		}
		batches[l] = batch
	}
	return batches, kv
}

// noise is bf16 memory of numbers of either sign around 1: no zeros, which read faster.
func noise(b *testing.B, d *Device, rows, cols int) backend.Tensor {
	b.Helper()
	m, err := d.Alloc(backend.Cache, tensor.BF16, rows, cols)
	if err != nil {
		b.Fatal(err)
	}
	host, state := make([]uint16, 1<<20), uint32(1)
	for i := range host {
		state = state*1664525 + 1013904223
		host[i] = uint16(state>>16)&0x80ff | 0x3f00
	}
	bytes := driver.Bytes(host)
	for at := 0; at < m.Bytes(); at += len(bytes) {
		n := min(len(bytes), m.Bytes()-at)
		if err := d.drv.CopyHtoD(address(m)+driver.Ptr(at), bytes[:n]); err != nil {
			b.Fatal(err)
		}
	}
	return m
}

// timed captures launches in a graph and returns the microseconds of one in the
// fastest replay.
func timed(b *testing.B, d *Device, launches int, put func()) float64 {
	b.Helper()
	fatal := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	put() // a kernel is loaded at its first launch
	fatal(d.drv.CaptureBegin(d.stream))
	put()
	g, err := d.drv.CaptureEnd(d.stream)
	fatal(err)
	x, err := d.drv.GraphInstantiate(g)
	fatal(err)
	from, err := d.drv.EventCreate(true)
	fatal(err)
	to, err := d.drv.EventCreate(true)
	fatal(err)
	best := math.Inf(1)
	for range 10 {
		fatal(d.drv.EventRecord(from, d.stream))
		fatal(d.drv.GraphLaunch(x, d.stream))
		fatal(d.drv.EventRecord(to, d.stream))
		fatal(d.drv.EventSynchronize(to))
		ms, err := d.drv.EventElapsed(from, to)
		fatal(err)
		best = min(best, ms)
	}
	fatal(d.drv.ExecDestroy(x))
	fatal(d.drv.GraphDestroy(g))
	return best * 1000 / float64(launches)
}

// The page tables of all layers lie on the device at once, as a captured step needs
// them: fixed memory that each launch points to.
func fixed(b *testing.B, d *Device, batches []*backend.Batch) (p []batchParams, tiles []driver.Ptr) {
	b.Helper()
	for _, batch := range batches {
		l := layoutOf(batch)
		words := make([]int32, l.end)
		l.fill(words, batch)
		at, err := d.alloc(backend.Scratch, int64(4*l.end))
		if err == nil {
			err = d.drv.CopyHtoD(at, driver.Bytes(words))
		}
		if err != nil {
			b.Fatal(err)
		}
		word := func(i int) driver.Ptr { return at + driver.Ptr(4*i) }
		p = append(p, batchParams{positions: word(l.positions), tables: word(l.tables), pages: word(l.pages)})
		tiles = append(tiles, word(l.tiles))
	}
	return p, tiles
}

// BenchmarkAttendDecode prints the time of a launch and the rate at which it reads
// keys and values, launched in a row as layers are, with and without overlap: ranks=0 is attend_ring.cu, others
// are clusters of so many blocks.
func BenchmarkAttendDecode(b *testing.B) {
	for _, m := range attendModels {
		for _, context := range []int{300, 1024, 4096} {
			for _, rows := range []int{1, 8, 32} {
				for _, ranks := range []int{0, 2, 4, 8} {
					b.Run(fmt.Sprintf("%s/context=%d/rows=%d/ranks=%d", m.name, context, rows, ranks), func(b *testing.B) {
						s := decodeShapeOf(m.h)
						if rows*s.parts*ranks > mostAttendees || context > 2048 && s.most > clusterRanks && ranks > 0 {
							b.Skip("more blocks than a launch has, or more splits than clusters have room for")
						}
						benchmarkDecode(b, m.h, context, rows, ranks)
					})
				}
			}
		}
	}
}

func benchmarkDecode(b *testing.B, h backend.Heads, context, rows, ranks int) {
	d := openHardware(b)
	defer func() { _ = d.Close() }()
	d.kern.attention.ranks = func(int, int, reach) int { return ranks }
	h.Scale = float32(1 / math.Sqrt(float64(h.Dim)))
	const layers = 32
	batches, kv := layersOf(b, d, h, rows, context-1, context, layers, true)
	at, _ := fixed(b, d, batches)
	d.batch.reach = reachOf(batches[0])
	if err := d.roomForSplits(); err != nil {
		b.Fatal(err)
	}
	qkv, dst := noise(b, d, rows*(h.Q+2*h.KV), 2*h.Dim), noise(b, d, rows*h.Q, 2*h.Dim) // bf16 pairs are float32s around 1
	for _, programmatic := range []bool{false, true} {
		d.programmatic = programmatic
		us := timed(b, d, layers, func() {
			for _, p := range at {
				d.attendDecode(attendKind{tensor.BF16, h.Dim}, attendParams{dst: address(dst), qkv: address(qkv), batch: p, cache: cacheOf(kv), heads: headsOf(h)}, h, rows, 0, 0)
			}
		})
		name := ""
		if programmatic {
			name = "-pdl"
		}
		b.ReportMetric(us, "µs"+name)
		b.ReportMetric(float64(rows*context*h.KV*h.Dim*4)/us/1e6, "TB/s"+name)
	}
	b.ReportMetric(0, "ns/op")
	if err := d.Sync(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAttendPrefill prints the rate of a prompt, counting what causality leaves.
func BenchmarkAttendPrefill(b *testing.B) {
	for _, m := range attendModels {
		for _, n := range []int{2048, 8192} {
			b.Run(fmt.Sprintf("%s/rows=%d", m.name, n), func(b *testing.B) {
				d := openHardware(b)
				defer func() { _ = d.Close() }()
				h := m.h
				h.Scale = float32(1 / math.Sqrt(float64(h.Dim)))
				const layers = 4
				batches, kv := layersOf(b, d, h, 1, 0, n, 1, false)
				qkv, dst := noise(b, d, n*(h.Q+2*h.KV), 2*h.Dim), noise(b, d, n*h.Q, 2*h.Dim)
				d.use(batches[0])
				us := timed(b, d, layers, func() {
					for range layers {
						d.Attend(asFloat(dst, h.Q*h.Dim), asFloat(qkv, (h.Q+2*h.KV)*h.Dim), kv, h, batches[0])
					}
					d.flush()
				})
				b.ReportMetric(us, "µs")
				b.ReportMetric(float64(4*h.Q*h.Dim)*float64(n)*float64(n+1)/2/us/1e6, "TFLOP/s")
				b.ReportMetric(0, "ns/op")
				if err := d.Sync(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

func asFloat(m backend.Tensor, cols int) backend.Tensor {
	return backend.Tensor{Type: tensor.F32, Rows: m.Bytes() / 4 / cols, Cols: cols, Data: m.Data}
}
