package residency

import (
	"errors"
	"fmt"
)

// Classes of memory.
const (
	Weights = "weights"
	Cache   = "cache"
	Scratch = "scratch"
)

// ErrNotObservable: this system does not tell whether memory is resident.
var ErrNotObservable = errors.New("residency: not observable")

// Claim is a range of memory that must be resident: a tensor, a cache, a buffer. It is comparable.
type Claim struct {
	Class string
	Name  string
	Addr  uintptr
	Bytes int64
}

// Observation is what a probe found about a claim.
type Observation struct {
	Claim
	Resident int64 // bytes of the claim on resident pages, 0 to Claim.Bytes
	Err      error // why it could not be observed; nil otherwise
}

// Probe observes memory. The CPU's is Pages.
type Probe interface {
	// Resident returns how many of the n bytes from addr are in memory.
	Resident(addr uintptr, n int64) (int64, error)
}

// Observe asks a probe about every claim. It touches none of the memory.
func Observe(p Probe, claims []Claim) []Observation {
	obs := make([]Observation, len(claims))
	for i, c := range claims {
		n, err := p.Resident(c.Addr, c.Bytes)
		obs[i] = Observation{Claim: c, Resident: n, Err: err}
	}
	return obs
}

// Report is the verdict over all claims.
type Report struct {
	Resident bool             // every byte of every claim was seen in memory
	Claimed  map[string]int64 // bytes by class
	Held     map[string]int64 // bytes of them seen in memory, by class
	Missing  int64            // bytes claimed and not seen
	Losses   []Loss           // the claims that are not whole, in the order of the claims
	Doubt    error            // why the whole is not believed, whatever the claims say; of devices with memory of their own
	Process  int64            // bytes of this process on such a device, by its management library
}

// Loss is one claim that is not whole.
type Loss struct {
	Claim
	Missing int64
	Cause   error // why it could not be judged; nil: the bytes were seen to be missing
}

// Verify judges claims by observations. A claim without an observation, or with one that failed or is impossible, is
// missing whole; no claims at all is not resident, so that an empty list cannot make a worker ready.
func Verify(claims []Claim, obs []Observation) Report {
	seen := make(map[Claim]Observation, len(obs))
	for _, o := range obs {
		seen[o.Claim] = o
	}
	r := Report{Claimed: map[string]int64{}, Held: map[string]int64{}}
	for _, c := range claims {
		held, cause := judge(c, seen)
		r.Claimed[c.Class] += max(0, c.Bytes)
		r.Held[c.Class] += held
		if missing := c.Bytes - held; missing > 0 || cause != nil {
			r.Missing += max(0, missing)
			r.Losses = append(r.Losses, Loss{Claim: c, Missing: max(0, missing), Cause: cause})
		}
	}
	r.Resident = len(claims) > 0 && len(r.Losses) == 0
	return r
}

func judge(c Claim, seen map[Claim]Observation) (held int64, cause error) {
	o, ok := seen[c]
	switch {
	case c.Bytes < 0:
		return 0, fmt.Errorf("a claim of %d bytes", c.Bytes)
	case !ok:
		return 0, errors.New("not observed")
	case o.Err != nil:
		return 0, o.Err
	case o.Resident < 0 || o.Resident > c.Bytes:
		return 0, fmt.Errorf("the probe saw %d of %d bytes", o.Resident, c.Bytes)
	}
	return o.Resident, nil
}

// Err is nil if all is resident, else an error that names the missing bytes and the first claim they belong to.
func (r Report) Err() error {
	switch {
	case r.Resident:
		return nil
	case len(r.Losses) == 0 && r.Doubt != nil:
		return fmt.Errorf("residency: %w", r.Doubt)
	case len(r.Losses) == 0:
		return errors.New("residency: nothing was claimed, so nothing is known to be resident")
	}
	l := r.Losses[0]
	err := fmt.Errorf("residency: %d bytes in %d places are not in memory, first %s %s: %d of its %d bytes",
		r.Missing, len(r.Losses), l.Class, l.Name, l.Missing, l.Bytes)
	if l.Cause != nil {
		err = fmt.Errorf("%w: %w", err, l.Cause)
	}
	return err
}
