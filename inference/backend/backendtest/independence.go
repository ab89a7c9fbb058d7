package backendtest

import (
	"fmt"

	"llorch/inference/backend"
)

// fillThenDecode is one sequence alone: a prompt at once, then `steps` tokens
// one by one.
func fillThenDecode(prompt, steps int) [][]share { return oneByOne(0, prompt, steps) }

func oneByOne(seq, prompt, steps int) [][]share {
	script := [][]share{{{seq, span{0, prompt, false}}}}
	for p := prompt; p < prompt+steps; p++ {
		script = append(script, []share{{seq, span{p, p + 1, true}}})
	}
	return script
}

// The prompt of sequence i of a crowd, and the tokens that the first decodes.
func crowdPrompt(i int) int { return max(1, []int{200, 5, 33, 70, 1, 64, 12}[i%7]-i/7) }

const crowdSteps = 8

// crowd is sequence 0 prefilled between others, then decoded while more prompts
// arrive, until 16 run in one step.
func crowd() [][]share {
	next := map[int]int{} // where each sequence that runs goes on
	script := [][]share{nil}
	for _, i := range []int{3, 0, 1} {
		script[0] = append(script[0], share{i, span{0, crowdPrompt(i), false}})
		next[i] = crowdPrompt(i)
	}
	for range crowdSteps {
		var step []share
		for i := range maxSeqs {
			if p, ok := next[i]; ok {
				step = append(step, share{i, span{p, p + 1, true}})
				next[i] = p + 1
			}
		}
		for i, arrived := 0, 0; i < maxSeqs && arrived < 2; i++ {
			if _, ok := next[i]; !ok {
				step = append(step, share{i, span{0, crowdPrompt(i), false}})
				next[i] = crowdPrompt(i)
				arrived++
			}
		}
		script = append(script, step)
	}
	return script
}

// neighbours: every row of a crowd has the bits it has when its sequence runs
// alone.
func neighbours(r *rig) {
	for _, v := range variants[:modelsPlayed] {
		together := r.play(v, crowd())
		for _, i := range []int{0, 2, 4, 9} {
			alone := r.play(v, oneByOne(i, crowdPrompt(i), crowdSteps))
			together.mustEqual(r, fmt.Sprintf("%s: sequence %d in a crowd", v.name, i), alone)
		}
	}
}

// cuts: a prefill cut at multiples of ChunkQuantum, beside other sequences, has
// the bits of one that was not cut.
func cuts(r *rig) {
	const q, prompt = backend.ChunkQuantum, 3*backend.ChunkQuantum + 9
	for _, v := range variants[:modelsPlayed] {
		whole := r.play(v, oneByOne(0, prompt, 3))
		for _, at := range [][]int{{q}, {2 * q}, {q, 2 * q, 3 * q}} {
			var script [][]share
			from := 0
			for i, to := range append(at, prompt) {
				step := []share{{5, span{i, i + 1, true}}, {6, span{i * q, i*q + q, false}}, {0, span{from, to, false}}}
				script, from = append(script, step), to
			}
			script = append(script, oneByOne(0, prompt, 3)[1:]...)
			r.play(v, script).mustEqual(r, fmt.Sprintf("%s: cut at %v", v.name, at), whole)
		}
	}
}

// replay: decode rows that are computed again after a preemption, many in one
// step and beside others, have the bits they had one by one.
func replay(r *rig) {
	for _, v := range variants[:modelsPlayed] {
		for _, prompt := range []int{1, 100} {
			const steps = 70
			once := r.play(v, oneByOne(0, prompt, steps))
			fill := []share{{0, span{0, prompt, false}}}
			for name, script := range map[string][][]share{
				"in one step": {fill, {{0, span{prompt, prompt + steps, true}}}},
				"in three steps beside others": {
					append([]share{{1, span{0, 40, false}}}, fill...),
					{{1, span{40, 41, true}}, {0, span{prompt, prompt + 13, true}}, {2, span{0, 64, false}}},
					{{0, span{prompt + 13, prompt + 14, true}}, {1, span{41, 42, true}}, {2, span{64, 90, false}}},
					{{2, span{90, 95, true}}, {0, span{prompt + 14, prompt + steps, true}}},
				},
			} {
				r.play(v, script).mustEqual(r, fmt.Sprintf("%s: %d decode rows %s", v.name, steps, name), once)
			}
		}
	}
}
