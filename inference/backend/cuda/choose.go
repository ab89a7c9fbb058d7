package cuda

import (
	"errors"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/sample"
)

// Tokens are chosen by all rules of package sample (kernels/choose.cu).
const (
	chooseRows = 64 // of a launch
	chooseRoom = 33648
	chooseIDs  = 4096 // that a block takes at a time
	mostVocab  = 1 << 19
	mostSeen   = mostVocab // ids that the rows of a launch are penalized for
)

// chooseShared is the shared memory of a block that has a bit for each id.
func chooseShared(vocab int) int { return chooseRoom + ceilDiv(vocab, 32)*4 }

// choose launches the choice of every row, the first of which is number `to` of the step. host is where the step's go on the host.
func (d *Device) choose(s *drawing, to int, host driver.Ptr) {
	for from := 0; from < len(s.params) && !d.broken(); {
		n, ids := together(s.params[from:])
		p := chooseParams{
			dst: d.ids + driver.Ptr(4*(to+from)), host: host + driver.Ptr(4*(to+from)), logits: rowOf(s.logits, from), vocab: int64(s.logits.Cols),
			seen: d.seen.upload(d, s.params[from:from+n], ids), tokens: d.batch.word(d.batch.at.tokens),
		}
		shared, at := chooseRoom, 0
		for i := range n {
			q := &s.params[from+i]
			p.row[i] = rowToChoose(q)
			if q.Penalizes() {
				p.row[i].seen, p.row[i].count, p.row[i].fed = int32(at), int32(len(q.Seen)), d.fed(s, from+i)
				at += len(q.Seen)
				shared = chooseShared(s.logits.Cols)
			}
		}
		p.blocks = int32(d.chooseBlocks(n, s.logits.Cols, leads(s.params[from:from+n])))
		c := driver.Blocks(n*int(p.blocks), 1024)
		if c.Shared = uint32(shared); p.blocks > 1 {
			c.Cluster = uint32(p.blocks)
		}
		if !d.broken() {
			d.check(d.drv.Launch(d.kern.choose, d.stream, c, driver.Params(&p)))
		}
		from += n
	}
}

// chooseBlocks is how many blocks share out the ids of a row: the largest clusters of which the device
// runs one for each row at once, where every block has ids to take.
//
// Where rows only look for the largest logit, all of them have as many blocks as the ids of one are enough for, unless a block
// would have to look too often: a step behind a choice by more takes longer in itself. What a choice adds to the time of a
// graph, in us, Llama-2-7B, 8 rows by 1, 2, 4 and 8 blocks each: 15.7, 18.0, 22.3, 33.4, of which the choice takes 8 to 10
// whatever the number; 16 rows 19.7, 22.4, 29.5, 42.5; Llama-3-8B, 8 rows 31.7, 26.8, 28.3, 38.7, 16 rows 36.5, 44.3, 49.8, 67.8;
// its Q8_0 and TinyLlama do not mind: 26.8, 19.4, 15.0, 13.9 and 12.1, 11.7, 10.8, 12.0 for 8 rows. Why was not
// found: kernels of the same shape that do nothing add 2.
func (d *Device) chooseBlocks(rows, vocab int, leads bool) int {
	const looks = 16
	n := 1
	for d.kern.clusters != nil && n < clusterBlocks && rows <= d.kern.clusters.resident[2*n] && n*chooseIDs < vocab {
		if leads && 2*n*rows > ceilDiv(vocab, chooseIDs) && vocab <= looks*n*chooseIDs {
			break
		}
		n *= 2
	}
	return n
}

// leads tells whether every row takes the id of its largest logit.
func leads(params []sample.Params) bool {
	for i := range params {
		if !params[i].Greedy() || params[i].Penalizes() {
			return false
		}
	}
	return true
}

// together is how many of the rows go into the next launch, and the ids that they are penalized for.
func together(params []sample.Params) (n, ids int) {
	for ; n < min(len(params), chooseRows); n++ {
		more := 0
		if params[n].Penalizes() {
			more = len(params[n].Seen)
		}
		if n > 0 && ids+more > mostSeen {
			break
		}
		ids += more
	}
	return n, ids
}

func rowToChoose(p *sample.Params) chooseRow {
	r := chooseRow{
		temperature: p.Temperature, penalty: 1, topP: p.TopP, minP: p.MinP, topK: int32(max(min(p.TopK, mostVocab), 0)),
		seed:     [2]uint32{uint32(p.Seed), uint32(p.Seed >> 32)},
		position: [2]uint32{uint32(p.Position), uint32(p.Position >> 32)}, fed: -1,
	}
	if p.Penalizes() {
		r.penalty = p.RepetitionPenalty
	}
	return r
}

// fed is the row of the step whose token the step before has chosen, and nobody has seen, for a row of
// logits; -1 where it is known.
func (d *Device) fed(s *drawing, i int) int32 {
	b := d.batch.of
	if b == nil || len(b.Logits) != len(s.params) || b.Tokens[b.Logits[i]] >= 0 {
		return -1
	}
	return b.Logits[i]
}

// seenRoom is where the ids lie that rows are penalized for: on the host twice, for a step may begin before
// those of the one before have been copied.
type seenRoom struct {
	device driver.Ptr
	host   []byte // pinned
	passed [2]driver.Event
	turn   int
}

// upload copies the n ids of all rows, one after the other, and returns where they are.
func (r *seenRoom) upload(d *Device, params []sample.Params, n int) driver.Ptr {
	if n == 0 {
		return r.device
	}
	half := r.host[4*mostSeen*r.turn:][:4*n]
	d.check(d.drv.EventSynchronize(r.passed[r.turn]))
	at := 0
	for i := range params {
		if params[i].Penalizes() {
			at += copy(words32(half)[at:], params[i].Seen)
		}
	}
	if !d.broken() {
		d.check(d.drv.CopyHtoDAsync(r.device, half, d.stream))
		d.check(d.drv.EventRecord(r.passed[r.turn], d.stream))
	}
	r.turn ^= 1
	return r.device
}

func (r *seenRoom) start(d *Device, host []byte) (err error) {
	r.host = host
	if r.device, err = d.alloc(backend.Scratch, 4*mostSeen); err != nil {
		return err
	}
	for i := range r.passed {
		if r.passed[i], err = d.drv.EventCreate(false); err != nil {
			return err
		}
	}
	return nil
}

func (r *seenRoom) free(drv driver.Driver) error {
	var errs []error
	for _, e := range r.passed {
		if e != 0 {
			errs = append(errs, drv.EventDestroy(e))
		}
	}
	return errors.Join(errs...)
}
