package sample

// Params say how one row's next token is chosen. The zero value is greedy.
type Params struct {
	Temperature       float32 // 0 = greedy
	RepetitionPenalty float32 // divides positive and multiplies negative logits of seen ids; 0 or 1 = off
	TopK              int     // keep the k most likely; 0 = all
	TopP              float32 // keep the fewest that together have this probability; 0 keeps one, 1 = all
	MinP              float32 // keep those with at least this share of the most likely; 0 = all
	Seed              uint64
	Position          uint64  // of the token to be chosen in its sequence: the counter of the draw
	Seen              []int32 // distinct ids of the prompt and the text so far; read only with a penalty
}

// Greedy reports whether the most likely id is chosen: no draw would choose another.
func (p *Params) Greedy() bool { return p.Temperature < coldest }

// Penalizes reports whether Seen is read.
func (p *Params) Penalizes() bool { return p.RepetitionPenalty != 0 && p.RepetitionPenalty != 1 }
