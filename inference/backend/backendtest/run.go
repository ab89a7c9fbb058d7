package backendtest

import (
	"math/rand/v2"
	"testing"

	"llorch/inference/backend"
)

// cases are the parts of the suite; each gets a device of its own.
var cases = []struct {
	name string
	run  func(r *rig)
}{
	{"memory", memory},
	{"held", held},
	{"sync", syncs},
	{"embed", embed},
	{"rows", rows},
	{"rmsnorm", rmsNorm},
	{"headnorm", headNorm},
	{"swiglu", swiGLU},
	{"linear", linear},
	{"linear-range", linearRange},
	{"linear-parts", linearParts},
	{"linear-alignment", linearAlignment},
	{"linear-exact", linearExact},
	{"linear-rows", linearRows},
	{"linear-codes", linearCodes},
	{"linear-loss", linearLoss},
	{"linear-spoiled", linearSpoiled},
	{"linear-extremes", linearExtremes},
	{"rope-store", ropeStore},
	{"attend", attend},
	{"attend-long", attendLong},
	{"attend-loss", attendLoss},
	{"sample", samples},
	{"sample-not-finite", sampleNotFinite},
	{"not-finite", notFinite},
	{"neighbours", neighbours},
	{"cuts", cuts},
	{"replay", replay},
}

// Run runs the suite. open returns a fresh device, which Run closes.
func Run(t *testing.T, open func(t *testing.T) backend.Device) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := backend.Checked(open(t))
			r := newRig(t, d)
			t.Cleanup(func() {
				if err := d.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				r.unmap()
			})
			c.run(r)
		})
	}
}

// SameBits runs a small model on two devices and requires the same bits of
// every logit: for thread counts, or instruction sets that promise it.
func SameBits(t *testing.T, openA, openB func(t *testing.T) backend.Device) {
	var got [2]logitBits
	for i, open := range [2]func(t *testing.T) backend.Device{openA, openB} {
		d := backend.Checked(open(t))
		r := newRig(t, d)
		got[i] = r.play(variants[0], crowd())
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		r.unmap()
	}
	got[1].mustEqual(t, "second device", got[0])
}

// newRig returns a rig whose random numbers are the same in every run.
func newRig(t testing.TB, d backend.Device) *rig {
	return &rig{TB: t, d: d, rnd: rand.New(rand.NewPCG(1, 2))}
}
