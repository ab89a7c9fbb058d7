package cuda

import (
	"slices"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
)

// opKind is which of backend.Ops was asked for.
type opKind uint8

const (
	opEmbed opKind = iota + 1
	opRows
	opNorm
	opHeadNorm
	opSwiGLU
	opLinear
	opRopeStore
	opAttend
)

// op is one op that was recorded. Fields that a kind does not have are zero.
type op struct {
	kind   opKind
	add    bool
	decode int // Linear: rows of the decode phase
	eps    float32
	dst, x backend.Tensor
	w, w2  backend.Tensor // table, norm's weights
	linear backend.Linear
	kv     backend.KV
	rope   backend.Rope
	heads  backend.Heads
}

// same tells whether two ops ask for the same. Only what a kind has is compared: this
// runs for every op of every step.
func (o *op) same(p *op) bool {
	if o.kind != p.kind || o.dst != p.dst || o.x != p.x {
		return false
	}
	switch o.kind {
	case opLinear:
		return o.add == p.add && o.decode == p.decode && slices.Equal(o.linear, p.linear)
	case opRopeStore:
		return o.kv == p.kv && o.rope == p.rope && o.heads == p.heads
	case opAttend:
		return o.kv == p.kv && o.heads == p.heads
	}
	return o.w == p.w && o.w2 == p.w2 && o.eps == p.eps && o.heads == p.heads
}

// record notes an op. A batch that is not the one of the ops before ends their plan.
//
// While the ops are those of a step that was recorded before, they are only counted.
func (d *Device) record(b *backend.Batch, o *op) {
	if d.dead() || o.dst.Rows == 0 && o.dst.Data != nil {
		return
	}
	if b != nil && d.batch.of != b {
		d.flush()
		d.use(b)
		d.again = d.graphs[d.graphKey()]
	}
	if r := d.again; r != nil {
		if d.matched < len(r.plan) && r.plan[d.matched].same(o) {
			d.matched++
			return
		}
		d.spill()
	}
	d.plan = append(d.plan, *o)
}

// spill turns the ops that were only counted into a plan: it goes on differently.
func (d *Device) spill() {
	if d.again != nil {
		d.plan = append(d.plan, d.again.plan[:d.matched]...)
		d.again, d.matched = nil, 0
	}
}

// flush launches what is recorded.
func (d *Device) flush() {
	r := d.again
	if r != nil && d.matched == len(r.plan) && r.fits(d) && d.replay(r) {
		d.again, d.matched = nil, 0
		return
	}
	d.spill()
	if len(d.plan) == 0 {
		return
	}
	if !d.broken() {
		d.prepare(d.plan)
	}
	if !d.broken() {
		d.run(d.plan, false)
		d.keep()
	}
	d.plan = d.plan[:0]
}

// run launches the kernels of a plan, fused where there is one for several ops. Steps do not overlap, on which kernels
// rely, so the first waits for what is under way, unless it begins a graph.
func (d *Device) run(plan []op, captured bool) {
	d.shareOut(plan)
	d.operands.packed, d.operands.left, d.normed = false, nil, op{}
	d.resetTickets()
	for i := 0; i < len(plan); {
		d.programmatic = d.hopper && !d.apart && (captured || i > 0)
		n := d.fused(plan[i:])
		if n == 0 {
			d.normed = op{}
			d.plain(&plan[i])
			n = 1
		}
		i += n
	}
	d.programmatic = false
}

// recorded is a plan that may be asked for again, step after step, and its graph.
type recorded struct {
	plan   []op
	at     layout
	device driver.Ptr // of the batch
	exec   driver.Exec
	bytes  int64 // of device memory, 0 where it was not measurable
	plain  bool  // there was no memory for a graph
	over   bool  // tokens were to be drawn behind it
}

// graphRows bounds the rows of steps that are recorded.
const graphRows = 64

// graphKey is what graphs are kept by: the rows of a step, all of the decode phase, and how far they look back.
type graphKey struct {
	rows  int
	reach reach
}

// graphKey is that of the step at hand, of no rows where it is not to be recorded.
func (d *Device) graphKey() graphKey {
	b := d.batch.of
	if b == nil || b.Decode != b.Rows() || b.Decode > graphRows {
		return graphKey{}
	}
	return graphKey{b.Decode, d.batch.reach}
}

// keep remembers the plan that has run, for the next step like it.
func (d *Device) keep() {
	key := d.graphKey()
	if len(d.plan) < 8 || key.rows == 0 {
		return
	}
	d.forget(d.graphs[key])
	d.graphs[key] = &recorded{plan: slices.Clone(d.plan), at: d.batch.at.fixed(), device: d.batch.device, over: d.over()}
}

// fixed is what a graph has of a layout: the number of pages may change.
func (l layout) fixed() layout {
	l.end = 0
	return l
}

// fits tells whether the batch lies where the graph's kernels look for it, and all that is wanted of the
// step is what they leave.
func (r *recorded) fits(d *Device) bool {
	return r.over == d.over() && r.at == d.batch.at.fixed() && r.device == d.batch.device && len(r.plan) > 0
}

// replay launches a step that has run before as a graph. Its launches are captured the
// first time.
func (d *Device) replay(r *recorded) bool {
	if d.broken() || r.plain || r.exec == 0 && !d.capture(r) {
		return false
	}
	d.check(d.drv.GraphLaunch(r.exec, d.stream))
	return true
}

// capture records the launches of a plan as a graph. It returns false where there is
// none; the step has failed then, or goes on without.
func (d *Device) capture(r *recorded) bool {
	if err := d.drv.CaptureBegin(d.stream); err != nil {
		d.check(err)
		return false
	}
	d.run(r.plan, true)
	g, err := d.drv.CaptureEnd(d.stream)
	if err != nil {
		d.check(err)
		return false
	}
	if !d.broken() { // else launches are missing in it
		r.bytes, err = d.measured(func() error { return d.instantiate(r, g) })
		d.graphBytes += r.bytes
		if r.plain = driver.IsOOM(err); !r.plain {
			d.check(err)
		}
	}
	d.check(d.drv.GraphDestroy(g))
	if r.plain || d.broken() {
		d.forget(r)
		return false
	}
	return true
}

func (d *Device) instantiate(r *recorded, g driver.Graph) (err error) {
	if r.exec, err = d.drv.GraphInstantiate(g); err != nil {
		return err
	}
	return d.drv.GraphUpload(r.exec, d.stream)
}

// forgetAll drops all graphs: what they point to has moved.
func (d *Device) forgetAll() {
	for key, r := range d.graphs {
		d.forget(r)
		delete(d.graphs, key)
	}
}

func (d *Device) forget(r *recorded) {
	if r != nil && r.exec != 0 {
		d.check(d.drv.StreamSynchronize(d.stream))
		freed, err := d.measured(func() error { return d.drv.ExecDestroy(r.exec) })
		d.check(err)
		r.exec = 0
		d.graphBytes += freed // below zero
	}
}
