package backend

import "llorch/inference/sample"

// Pipeliner is the optional ability of a device to begin a step while the one before
// is under way, whose tokens nobody knows yet: the device feeds on its own choices, and
// the host's work for a step costs no time of the device.
//
// Begin ends what is asked of a step as Sync does, and does not wait. At most two
// steps are under way. Between Begin and Await nothing but the next step may be asked.
type Pipeliner interface {
	// Chooses tells whether the device chooses tokens of so many by all of these rules
	// itself. Only steps of which that holds may begin. What a row is fed with is not in
	// Seen of its rules yet; the device takes it for seen.
	Chooses(vocab int, p []sample.Params) bool
	// Begin has the step run. Its tokens are in the dst of Sample after Await. On an error,
	// which is that of the launch, it is not under way.
	Begin() error
	// Await waits for the oldest step that is under way, and returns its first failure as
	// Sync does.
	Await() error
}

// Pipelining returns d's ability, nil if it has none.
func Pipelining(d Device) Pipeliner {
	p, _ := ability[Pipeliner](d)
	return p
}

// Chosen is what Batch.Tokens has for a row that goes on with the token that the step
// before chooses for its logits row i.
func Chosen(i int) int32 { return int32(-1 - i) }
