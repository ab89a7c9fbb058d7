package cuda

import (
	"slices"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// A chain is a stretch of projections of one decode row in one launch (kernels/chain.cuh): from
// what attention leaves to the queries, keys and values of the layer behind.
const (
	chainPhases  = 4
	chainThreads = 32 * (warps + 4)
	chainRecords = 32        // of 512 k: of the longest row
	chainStages  = 13        // of a ring: RING of kernels/chain.cuh
	chainShared  = 220 << 10 // of a block, beside its static variables
	quantSlot    = 18 << 10  // the largest stage of a format: SLOT of kernels/chain_quant.cu
)

// told is how a projection's results are told to the blocks that multiply next.
const (
	toldNothing = iota
	toldInPairs // two in bf16 a word
	toldSingly  // one in float32
)

// exchange is device memory in which the blocks of a chain hand each other results: the name of the
// last launch, then two sides of words of four bytes, which launches take in turns, with stretches for each projection but the last.
type exchange struct {
	at driver.Ptr
	k  int // results of a projection, at most; their squares follow
}

const (
	exchangeHead = 16
	pairSpan     = 8 * recordK // of k, whose pairs lie together: pair_at of kernels/chain.cuh
	squareSpan   = 128         // of sums of squares: square_at
)

// results is how many words a projection's results take, singly or in pairs.
func (e exchange) results() int { return max(ceilDiv(e.k, 4)*4, ceilDiv(e.k, pairSpan)*pairSpan/2) }

func (e exchange) stretch() int {
	return e.results() + ceilDiv(ceilDiv(e.k, 16), squareSpan)*squareSpan
}

// side is how many words there are of each.
func (e exchange) side() int { return (chainPhases - 1) * e.stretch() }

func (e exchange) first() driver.Ptr { return e.at + exchangeHead }

func (e exchange) bytes() int { return exchangeHead + 2*4*e.side() }

// words is where projection i tells its results, and where the sums of their squares, on the first side.
func (e exchange) words(i int) (results, squares driver.Ptr) {
	results = e.first() + driver.Ptr(4*i*e.stretch())
	return results, results + driver.Ptr(4*e.results())
}

// growExchange makes room for rows of k. All words in it are silent.
func (d *Device) growExchange(k int) error {
	if k <= d.exchange.k {
		return nil
	}
	if d.exchange.at != 0 {
		d.forgetAll() // graphs have its address
		if err := d.drv.StreamSynchronize(d.stream); err != nil {
			return err
		}
		if err := d.release(d.exchange.at); err != nil {
			return err
		}
	}
	e := exchange{k: k}
	d.exchange = exchange{}
	at, err := d.alloc(backend.Scratch, int64(e.bytes()))
	if err != nil {
		return err
	}
	e.at = at
	d.exchange = e
	if err := d.drv.Memset8Async(at, 0, exchangeHead, d.stream); err != nil {
		return err
	}
	return d.drv.Memset8Async(e.first(), 0xff, int64(2*4*e.side()), d.stream)
}

// chained launches the projections that ops begin with as one kernel and returns how many ops
// they are, 0 where there are not two of them that follow each other so.
func (d *Device) chained(ops []op) (n int) {
	if d.exchange.at == 0 || d.unchained || ops[0].kind != opLinear || !ops[0].add || ops[0].x.Rows != 1 {
		return 0
	}
	links := d.linksOf(ops)
	if len(links) == 0 {
		return 0
	}
	for i := range links {
		n += links[i].ops
	}
	d.launchChain(links)
	d.packed, d.operands.left = nil, nil
	return n
}

// linksOf are the projections of a chain that ops begin with, none or at least two.
func (d *Device) linksOf(ops []op) (links []fusion) {
	for n := 0; len(links) < chainPhases && n < len(ops); n += links[len(links)-1].ops {
		f := d.fusionOf(ops[n:])
		if f.ops == 0 && n > 0 {
			f = d.headOf(ops[n:])
		}
		if !d.chains(links, &f) {
			break
		}
		links = append(links, f)
	}
	if n := len(links); n > 0 && links[n-1].gates() { // its result is nowhere but told
		links = links[:n-1]
	}
	if len(links) < 2 {
		return nil
	}
	return links
}

// headOf is the projection behind a norm of the rows that were chosen, where these are the one that there
// is and nobody else reads them.
func (d *Device) headOf(ops []op) fusion {
	if ops[0].kind != opRows || len(ops) < 3 {
		return fusion{}
	}
	rows, f := &ops[0], d.fusionOf(ops[1:])
	if f.ops == 0 || f.norm == nil || f.norm.x != rows.dst || rows.x.Rows != 1 || rows.dst.Rows != 1 || d.read(ops[1+f.ops:], rows.dst) {
		return fusion{}
	}
	norm := *f.norm
	norm.x = rows.x
	f.norm, f.ops = &norm, f.ops+1
	return f
}

// gates tells whether SwiGLU is part of it.
func (f *fusion) gates() bool { return f.after != nil && f.after.kind == opSwiGLU }

// chains tells whether f can follow these in a chain, or begin one.
func (d *Device) chains(links []fusion, f *fusion) bool {
	if f.ops == 0 || f.linear.x.Rows != 1 || f.linear.decode != 1 || f.normRead || f.pairsRead || recordsFor(f.p.k) > chainRecords {
		return false
	}
	quantised := len(f.p.formats) > 0
	if len(links) == 0 {
		x := f.linear.x.Data
		return f.norm == nil && x != d.packed && x != d.operands.left
	}
	last := &links[len(links)-1]
	switch {
	case quantised != (len(last.p.formats) > 0):
		return false
	case last.linear.add:
		return f.norm != nil && f.norm.x == last.linear.dst && len(last.p.parts) == 1
	case last.gates():
		return last.packed && f.norm == nil && f.linear.x == last.after.dst
	}
	return false
}

func (d *Device) launchChain(links []fusion) {
	params := chainParams{name: d.exchange.at, words: d.exchange.first(), side: int32(d.exchange.side()), phases: int32(len(links))}
	slot, kernel := chunkBytes, d.kern.chainBF16
	if len(links[0].p.formats) > 0 {
		slot, kernel = quantSlot, d.kern.chainQuant
	}
	blocks := d.chainBlocks(links)
	for i := range links {
		p, q := links[i].p, &params.phase[i]
		q.projectParams = d.projectParams(p, &links[i], 0, 1)
		q.chunks = int32(recordsFor(p.k))
		runs := []run{{}, {block: int32(min(blocks, p.strips)), strip: int32(p.strips)}}
		if len(p.formats) > 0 {
			runs = quantRuns(p.parts, recordsFor(p.k), blocks)
		} else {
			q.chunks = int32(p.tiles / chunkTiles)
		}
		q.runs = int32(copy(q.run[:], runs) - 1)
		params.xBytes = max(params.xBytes, int32(chainRow(p)))
		if i > 0 {
			d.tell(&params.phase[i-1], q, i-1, &links[i-1])
		}
	}
	params.slots = int32(min(chainStages, (chainShared-int(params.xBytes))/slot))
	pace := paceOf(links[0].p, blocks, int(params.slots))
	params.flight = pace.flight
	for i := range min(pace.front, len(links)) {
		params.phase[i].front = 1
	}
	c := driver.Blocks(blocks, chainThreads)
	c.Programmatic, c.Shared = d.programmatic, uint32(int(params.xBytes)+int(params.slots)*slot)
	d.check(d.drv.Launch(kernel, d.stream, c, driver.Params(&params)))
}

// chainPace is how the blocks of a chain take their strips.
type chainPace struct {
	flight [3]int32 // stages of weights under way at once: by Turn of kernels/chain.cuh
	front  int      // so many projections, from the first on, have the strips that are left over in the first blocks, others in blocks between
}

// paceOf is that of a chain which begins with this projection, with rings of so many slots: what was fastest on an H200.
// What others tell waits in line with the weights that are under way. The last blocks begin last, for they get the
// multiprocessors that attention has taken (attend_teams.go): 4 for TinyLlama, whose first strips fit into the rings, 8 for
// Llama-3-8B, which has 8 strips less than two for every block, but 32 for Llama-2-7B, which became 1 % slower with front in
// its later projections.
func paceOf(first *projection, blocks, slots int) chainPace {
	switch {
	case slices.Contains(first.formats, tensor.Q8_0):
		return chainPace{[3]int32{2, 4, 2}, chainPhases}
	case len(first.formats) > 0:
		return chainPace{[3]int32{1, 5, 1}, chainPhases}
	case first.strips*first.tiles/chunkTiles <= blocks*slots:
		return chainPace{[3]int32{2, 6, 4}, chainPhases}
	}
	return chainPace{[3]int32{2, 6, 4}, 1}
}

// chainBlocks is how many blocks have strips of a projection that the last one needs: all of them
// must be heard before the first may end.
func (d *Device) chainBlocks(links []fusion) int {
	most := 0
	for i := range links[:len(links)-1] {
		most = max(most, links[i].p.strips)
	}
	return min(d.blocks, most)
}

// chainRow is the shared memory that a row of activations takes.
func chainRow(p *projection) (bytes int) {
	for _, t := range p.formats {
		bytes = max(bytes, quantLaunchFor(t, recordsFor(p.k), 1).xBytes)
	}
	if len(p.formats) == 0 {
		bytes = 32 * p.tiles
	}
	return bytes
}

// tell has projection i, from, tell its results to the one behind it.
func (d *Device) tell(from, to *phaseParams, i int, f *fusion) {
	results, squares := d.exchange.words(i)
	from.told, from.out = toldInPairs, results
	to.heard, to.in = from.told, results
	switch {
	case f.gates():
	case len(f.p.formats) > 0:
		from.told, to.heard = toldSingly, toldSingly
	default: // times the norm's weights, with the squares from which its factor follows
		from.squaresOut, to.squaresIn, to.squaresOf = squares, squares, int32(ceilDiv(int(to.k), 16))
		from.left.gamma, from.left.gammaFormat = to.gamma, to.gammaFormat
		to.gamma = 0
	}
}

// findChains finds the kernels.
func (f *functions) findChains(drv driver.Driver, k *Kernels) (err error) {
	for name, fn := range map[string]*driver.Function{"chain_bf16": &f.chainBF16, "chain_quant": &f.chainQuant} {
		if *fn, err = k.Function(name); err != nil {
			return err
		}
		if err = drv.SetFunctionAttribute(*fn, driver.FunctionMaxShared, chainShared); err != nil {
			return err
		}
	}
	return nil
}
