package inference

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"llorch/inference/backend"
	"llorch/inference/sample"
)

// watched is a device that fails a test when a page is written to that others
// hold or may find, and keeps every row of logits.
type watched struct {
	backend.Device
	watch  *watch
	logits backend.Tensor
	params []sample.Params
}

// watch is what a watched device has seen. Its fields are the loop's while the
// engine runs.
type watch struct {
	engine *Engine // nil until it is loaded
	rows   int     // of all forward passes
	logits map[spot][]float32
	wrong  []string
	during func() // within every step; may be nil
}

// spot is a row of logits: the seed names the request.
type spot struct{ seed, position uint64 }

var watching = map[string]*watch{} // by kind, of the device that is opened next

func init() {
	for _, kind := range []string{"cpu", "ref"} {
		backend.Register("watched-"+kind, func(o backend.Options) (backend.Device, error) {
			d, err := backend.Open(kind, o)
			return &watched{Device: d, watch: watching[kind]}, err
		})
	}
}

func openWatched(t *testing.T, kind, model string, o Options) *watch {
	t.Helper()
	o.QueueTokens = 1 << 30
	w := &watch{logits: map[spot][]float32{}}
	watching[kind], o.Device = w, "watched-"+kind
	e := openEngine(t, model, o)
	clear(e.eos) // every answer has its full length
	e.books.Lock()
	w.engine, w.rows = e, 0 // the loop sleeps until there is a request
	e.books.Unlock()
	return w
}

func (d *watched) Embed(dst, table backend.Tensor, b *backend.Batch) {
	d.watch.rows += b.Rows()
	d.Device.Embed(dst, table, b)
}

func (d *watched) RopeStore(qkv backend.Tensor, kv backend.KV, r backend.Rope, h backend.Heads, b *backend.Batch) {
	for i, s := range b.Seqs {
		for row := s.First; row < s.First+s.Rows && d.watch.engine != nil; row++ {
			d.watch.written(i, s.Pages[int(b.Positions[row])/kv.PageSize])
		}
	}
	d.Device.RopeStore(qkv, kv, r, h, b)
}

// written checks that a page is its writer's own.
func (w *watch) written(by int, page int32) {
	holders := 0
	for _, q := range w.engine.sched.running {
		if slices.Contains(q.pages, page) {
			holders++
		}
	}
	if holders != 1 || w.engine.sched.pool.IsPublished(page) {
		w.wrong = append(w.wrong, fmt.Sprintf("sequence %d writes to page %d, which %d hold", by, page, holders))
	}
}

func (d *watched) Sample(dst []int32, logits backend.Tensor, p []sample.Params) {
	d.logits, d.params = logits, p
	d.Device.Sample(dst, logits, p)
}

func (d *watched) Sync() error {
	err := d.Device.Sync()
	for i, p := range d.params {
		cols := d.logits.Cols
		row := d.logits.Float32s()[i*cols : (i+1)*cols]
		at := spot{p.Seed, p.Position}
		if old, seen := d.watch.logits[at]; seen && !sameBits(old, row) {
			d.watch.wrong = append(d.watch.wrong, fmt.Sprintf("the logits of %v are not what they were", at))
		}
		d.watch.logits[at] = slices.Clone(row)
	}
	d.params = nil
	if d.watch.during != nil && d.watch.engine != nil {
		d.watch.during()
	}
	return err
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// prompted is a request whose prompt is given in tokens.
type prompted struct {
	ids     []int32
	request Request
}

// drawPrompted makes n requests of prompts that mostly begin alike.
func drawPrompted(random *rand.Rand, n int) []prompted {
	var all []prompted
	for i := range n {
		p := prompted{ids: make([]int32, 1+random.IntN(200))}
		family := random.IntN(3)
		for at := range p.ids {
			p.ids[at] = int32(3 + (at*7+family*at/100)%200)
		}
		if random.IntN(2) == 0 { // a turn of its own from somewhere on
			for at := random.IntN(len(p.ids)); at < len(p.ids); at++ {
				p.ids[at] = int32(3 + random.IntN(200))
			}
		}
		p.request = Request{MaxTokens: 1 + random.IntN(250), Sampling: drawn(uint64(i))}
		if i%3 == 0 {
			p.request.Sampling = sample.Params{Seed: uint64(i)}
		}
		if i%5 == 0 {
			p.request.CacheSalt = "another tenant's"
		}
		all = append(all, p)
	}
	return all
}

// ask sends one request and returns its stream.
func (w *watch) ask(t *testing.T, ctx context.Context, id string, p prompted) <-chan Event {
	t.Helper()
	p.request.ID = id
	events, err := w.engine.submit(w.engine.newSequence(ctx, p.request, p.ids))
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// TestSameBitsWithPrefixes serves requests whose prompts begin alike: each alone
// without a prefix cache, then all of them twice, in any order, with some
// cancelled in any phase, through caches that have room for all and for few. The
// tokens and every bit of the logits are the same, and no shared page is
// written to.
func TestSameBitsWithPrefixes(t *testing.T) {
	for kind, options := range map[string][]Options{
		"cpu": {{MaxBatch: 8}, {MaxBatch: 6, ChunkTokens: 64, CacheBytes: cacheOf(t, "testdata/llama-gqa", 9*64)}},
		"ref": {{MaxBatch: 5, ChunkTokens: 100, CacheBytes: cacheOf(t, "testdata/llama-gqa", 9*64), Threads: 1}},
	} {
		random := rand.New(rand.NewPCG(5, 6))
		requests := drawPrompted(random, 12)
		off := openWatched(t, kind, "testdata/llama-gqa", Options{MaxBatch: 1, PrefixCache: PrefixCacheOff, Threads: 1})
		var alone []answer
		for i, p := range requests {
			alone = append(alone, collect(t, off.ask(t, t.Context(), fmt.Sprint(i), p)))
		}
		for _, o := range options {
			o.MaxQueue = 100
			w := openWatched(t, kind, "testdata/llama-gqa", o)
			name := fmt.Sprintf("%s, batch %d", kind, o.MaxBatch)
			w.serveTwice(t, name, random, requests, alone)
			w.compare(t, name, off)
		}
	}
}

// serveTwice sends all requests, twice, and compares their tokens.
func (w *watch) serveTwice(t *testing.T, name string, random *rand.Rand, requests []prompted, alone []answer) {
	t.Helper()
	var readers sync.WaitGroup
	for n, i := range append(random.Perm(len(requests)), random.Perm(len(requests))...) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		events := w.ask(t, ctx, fmt.Sprint(n), requests[i])
		if random.IntN(5) == 0 {
			time.AfterFunc(time.Duration(random.IntN(40))*time.Millisecond, cancel)
		}
		readers.Go(func() {
			if got := collect(t, events); !slices.Equal(got.ids, alone[i].ids) && (got.err == nil || !slices.Equal(got.ids, alone[i].ids[:len(got.ids)])) {
				t.Errorf("%s: request %d: %v %v, alone %v", name, i, got.ids, got.err, alone[i].ids)
			}
		})
		if random.IntN(6) == 0 {
			time.Sleep(time.Duration(random.IntN(4)) * time.Millisecond)
		}
	}
	readers.Wait()
}

// compare looks for a difference between two devices' logits, and for writes.
func (w *watch) compare(t *testing.T, name string, alone *watch) {
	t.Helper()
	for at, row := range w.logits {
		if !sameBits(row, alone.logits[at]) {
			t.Errorf("%s: the logits of %v differ", name, at)
		}
	}
	for _, what := range w.wrong {
		t.Errorf("%s: %s", name, what)
	}
	s := w.engine.Stats()
	if s.PrefixHits == 0 || s.PagesFree != s.PagesTotal {
		t.Errorf("%s: %d of %d tokens were found, %d of %d pages are free", name, s.PrefixHits, s.PrefixQueries, s.PagesFree, s.PagesTotal)
	}
	if tight := w.engine.info.Plan.Pages*PageSize < 1000; tight && (s.Evictions == 0 || s.Preemptions == 0) {
		t.Errorf("%s: %d evictions, %d preemptions: the test does not test them", name, s.Evictions, s.Preemptions)
	}
	t.Logf("%s: %d of %d prompt tokens found, %d evictions, %d preemptions, %d rows", name, s.PrefixHits, s.PrefixQueries, s.Evictions, s.Preemptions, w.rows)
}

// Prompts of different salts find nothing of each other, and what a request was
// spared is in its account.
func TestSaltsAndAccount(t *testing.T) {
	e := openEngine(t, "testdata/llama-gqa", Options{})
	ids := make([]int32, 200)
	for i, c := range []struct {
		salt   string
		cached int
	}{{"", 0}, {"", 192}, {"a", 0}, {"b", 0}, {"a", 192}, {"", 192}} {
		r := Request{ID: fmt.Sprint(i), MaxTokens: 2, CacheSalt: c.salt}
		events, err := e.submit(e.newSequence(t.Context(), r, ids))
		if err != nil {
			t.Fatal(err)
		}
		if a := collect(t, events); a.end == nil || a.end.TokensCached != c.cached || a.end.TokensIn != 200 {
			t.Errorf("request %d, salt %q: %+v, want %d tokens cached", i, c.salt, a.end, c.cached)
		}
	}
	if s := e.Stats(); s.PrefixQueries != 1200 || s.PrefixHits != 3*192 || s.PagesCached != 3*192/PageSize || s.TokensIn != 1200 {
		t.Errorf("%+v", s)
	}
}
