package cuda

import (
	"slices"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
)

// How the teams of decode attention share the splits of all rows is found once in a step for all layers
// (kernels/attend_share.cu), before anything else, for each kind of attention that the model has.
const (
	mostShares    = 8   // kinds of a plan; layers of more find theirs themselves
	mostAttendees = 768 // teams of a launch
	decodeShare   = 48  // bytes
	shareBytes    = mostShares * mostAttendees * decodeShare
)

// attendance is what a block's share follows from, beside the batch.
type attendance struct {
	heads                    backend.Heads
	page, teams, ranks, rows int
}

// attendanceOf is that of an op, of no rows where each block finds its own.
func (d *Device) attendanceOf(o *op) attendance {
	a, s := d.kern.attention, decodeShapeOf(o.heads)
	rows := d.batch.of.Decode
	if rows == 0 || rows > s.rows(o.heads) || !a.takes(o.kv, o.heads) {
		return attendance{}
	}
	call := d.decodeCallFor(attendKind{o.kv.K.Type, o.heads.Dim}, o.heads, o.kv.PageSize, rows)
	if call.teams() > mostAttendees {
		return attendance{}
	}
	return attendance{heads: o.heads, page: o.kv.PageSize, teams: call.teams(), ranks: call.ranks, rows: rows}
}

// shareOut launches the kernel for every kind of attention of a plan.
func (d *Device) shareOut(plan []op) {
	d.shares = d.shares[:0]
	for i := range plan {
		o := &plan[i]
		if o.kind != opAttend || d.broken() {
			continue
		}
		of := d.attendanceOf(o)
		if of.rows == 0 || len(d.shares) == mostShares || slices.Contains(d.shares, of) {
			continue
		}
		if err := d.roomForSplits(); err != nil {
			d.fail(err)
			return
		}
		d.shares = append(d.shares, of)
		p := attendParams{batch: d.batch.params(), cache: cacheOf(o.kv), heads: headsOf(o.heads)}
		share := shareParams{decodeParams: d.splits.params(p, decodeShapeOf(o.heads), o.heads, of.rows), dst: d.shareAt(of), blocks: int32(of.teams)}
		share.around, share.ranks = int32(d.blocks), int32(of.ranks)
		launch(d, d.kern.attendShare, grid(ceilDiv(of.teams, attendThreads/32), 1), attendThreads, &share)
	}
}

// shareAt is where the shares of a kind of attention lie, 0 where each block finds its own.
func (d *Device) shareAt(of attendance) driver.Ptr {
	i := slices.Index(d.shares, of)
	if i < 0 {
		return 0
	}
	return d.splits.at + ticketBytes + splitBytes + driver.Ptr(i*mostAttendees*decodeShare)
}
