package backend

// ChunkQuantum is the granularity at which a prefill may be cut without any
// effect on its numbers: cuts lie at multiples of it, counted in the sequence.
//
// It is small because a known beginning of a prompt ends at a multiple of it,
// too: what is left to compute of a prompt of 500 tokens is 20, not 52.
const ChunkQuantum = 32

// Batch is the flattened input of one step: the rows of all scheduled
// sequences, so that decode, prefill and chunked prefill are one call. The
// engine owns it and reuses it; a device copies what it needs before Sync, or
// Begin, returns.
//
// Rows of the decode phase come first, in [0, Decode), then rows of the prefill
// phase. The rows of one sequence are contiguous and ascending in position. A
// sequence whose earlier tokens are recomputed after a preemption replays them
// as rows of the phase that made them, which may be many decode rows at once.
type Batch struct {
	Tokens    []int32 // [n] token id, or Chosen of a row of the step before, if that was begun and not awaited
	Positions []int32 // [n] absolute position in its sequence
	Decode    int     // rows of the decode phase
	Seqs      []Seq   // in row order
	Logits    []int32 // rows whose logits are wanted, ascending
}

// Seq is one sequence's share of a step.
type Seq struct {
	First, Rows int     // its rows are [First, First+Rows)
	Pages       []int32 // its page table: position p lies in Pages[p/PageSize]
}

// Rows returns the number of rows of the step.
func (b *Batch) Rows() int { return len(b.Tokens) }

// Wanted makes of w the batch of the rows alone whose logits are wanted, all of them in their order: for projections,
// since it has no sequences.
func (b *Batch) Wanted(w *Batch) {
	w.Tokens, w.Positions, w.Logits, w.Decode = w.Tokens[:0], w.Positions[:0], w.Logits[:0], 0
	for i, row := range b.Logits {
		w.Tokens, w.Positions, w.Logits = append(w.Tokens, b.Tokens[row]), append(w.Positions, b.Positions[row]), append(w.Logits, int32(i))
		if int(row) < b.Decode {
			w.Decode++
		}
	}
}
