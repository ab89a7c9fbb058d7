package inference

import (
	"context"
	"errors"
	"strings"
	"testing"

	"llorch/inference/sample"
)

// TestDamageIsFoundBeforeReady makes a weight of the last layer NaN, beyond those that
// stand for all in a warm-up of checked weights: the check finds it, and the warm-up
// where nothing is checked.
func TestDamageIsFoundBeforeReady(t *testing.T) {
	dir := copyModel(t, demoModel)
	damage(t, dir, "model.layers.5.mlp.down_proj.weight", 3)
	for verify, wanted := range map[Verify]string{VerifyAuto: "model.layers.5.mlp.down_proj.weight", VerifyOff: "warm-up"} {
		for _, device := range []string{"cpu", "ref"} {
			ins, err := Inspect(dir)
			if err != nil {
				t.Fatal(err)
			}
			if ins.Spec.Layers != 6 {
				t.Fatalf("%d layers: not the last one is damaged", ins.Spec.Layers)
			}
			e, err := Load(context.Background(), ins, Options{Device: device, Verify: verify})
			if err == nil {
				closing(t, e)
			}
			if err == nil || !strings.Contains(err.Error(), wanted) || errors.Is(err, sample.ErrNotFinite) != (verify == VerifyOff) {
				t.Errorf("%s, weights checked: %s: %v", device, verify, err)
			}
		}
	}
}

// TestWarmUpMeasures: the decode step is timed however many layers stand for it, and
// page 0 is everybody's again.
func TestWarmUpMeasures(t *testing.T) {
	answers := map[Verify]string{}
	for _, verify := range []Verify{VerifyAuto, VerifyOff} {
		e := openEngine(t, demoModel, Options{Verify: verify})
		if step := e.admission.pace.step; !(step > 0 && step < 1) {
			t.Errorf("weights checked: %s: a decode step is taken to last %v s", verify, step)
		}
		answers[verify] = ask(t, e, Request{ID: "a", Prompt: "Once upon a time", MaxTokens: 20}).text
	}
	if a := answers[VerifyAuto]; a == "" || a != answers[VerifyOff] {
		t.Errorf("after a short warm-up %q, after a whole one %q", a, answers[VerifyOff])
	}
}
