package inference

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"llorch/inference/manifest"
	"llorch/inference/weights"
)

// Verify says what a load checks of the model's files.
type Verify string

const (
	VerifyOff     Verify = "off"     // nothing
	VerifyAuto    Verify = "auto"    // digests are computed, and compared with the manifest where there is one; no weight is NaN or Inf
	VerifyRequire Verify = "require" // the same, and there must be a manifest
	VerifySHA256  Verify = "sha256"  // the same with SHA-256, too
)

// fileCheck is the check of a model's files beside a load. Nil checks nothing.
type fileCheck struct {
	examined
	source *weights.Source
	stored *manifest.Manifest // nil: there is none
	sha256 bool
}

// examined is whoever reads the files and checks them: *weights.Examination, of a
// mapping, or *weights.Pass.
type examined interface {
	Result() ([]weights.Sums, error)
	Done() int64
}

// readyCheck reads the manifest and compares sizes, before anything large is read.
func readyCheck(ctx context.Context, s *weights.Source, v Verify) (*fileCheck, error) {
	if v == VerifyOff {
		return nil, nil
	}
	stored, err := manifest.Read(manifest.Path(s))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil && v != VerifyAuto && v != "" {
		return nil, fmt.Errorf("%w: --verify-weights %s asks for a manifest: write it with `verify --write`", err, v)
	}
	if stored != nil {
		if err := manifest.Precheck(ctx, s, stored, v == VerifySHA256); err != nil {
			return nil, err
		}
	}
	return &fileCheck{source: s, stored: stored, sha256: v == VerifySHA256}, nil
}

// wanted is what must be done with every byte, nil if nothing.
func (c *fileCheck) wanted() *weights.Checks {
	if c == nil {
		return nil
	}
	return &weights.Checks{SHA256: c.sha256, Finite: true}
}

// by says who does it.
func (c *fileCheck) by(x examined) {
	if c != nil {
		c.examined = x
	}
}

// digest waits for the end of the check and returns the digest of the model, ""
// where nothing is checked.
func (c *fileCheck) digest(ctx context.Context, m *loadMeter) (string, error) {
	if c == nil {
		return "", nil
	}
	sums, err := c.await(m)
	if err != nil {
		return "", err
	}
	got, err := manifest.Of(c.source, sums, c.sha256)
	if err == nil && c.stored != nil {
		err = manifest.Compare(ctx, c.source, got, c.stored, c.sha256)
	}
	if err != nil {
		return "", err
	}
	return got.Digest, nil
}

// await is Result with progress.
func (c *fileCheck) await(m *loadMeter) (sums []weights.Sums, err error) {
	over := make(chan struct{})
	go func() { sums, err = c.Result(); close(over) }()
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		m.step("verify")
		select {
		case <-over:
			m.step("verify")
			return sums, err
		case <-tick.C:
		}
	}
}

// StoredDigest is what the manifest of a model says of it, "" where there is no
// manifest. Nothing is compared.
func StoredDigest(s *weights.Source) (string, error) {
	m, err := manifest.Read(manifest.Path(s))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return m.Digest, nil
}

// Files is what VerifyFiles found.
type Files struct {
	Dir        string
	Manifest   string // where it lies, or would
	Digest     string
	Found      *manifest.Manifest // computed from the files
	Stored     *manifest.Manifest // nil: the folder has none
	Difference error              // between the two, the first one
}

// VerifyFiles computes the digests of the model at path, and compares them with
// its manifest. With parts those of the tensors, too, as a manifest to be
// written needs them. progress may be nil.
func VerifyFiles(ctx context.Context, path string, sha256, parts bool, progress func(done, total int64)) (_ *Files, err error) {
	s, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Map(); err != nil {
		return nil, err
	}
	r := &Files{Dir: s.Dir, Manifest: manifest.Path(s)}
	stored, broken := manifest.Read(r.Manifest)
	switch {
	case broken == nil:
		r.Stored = stored
	case !errors.Is(broken, fs.ErrNotExist):
		r.Difference = broken
	}
	x := s.Examine(ctx, weights.Checks{SHA256: sha256, Finite: true})
	defer x.Stop()
	if err := s.Populate(ctx, x, progress); err != nil {
		return nil, err
	}
	sums, err := x.Result()
	if err != nil {
		return nil, err
	}
	if r.Found, err = manifest.Of(s, sums, sha256); err != nil {
		return nil, err
	}
	r.Digest = r.Found.Digest
	if parts {
		if err := r.Found.AddParts(ctx, s); err != nil {
			return nil, err
		}
	}
	if r.Stored != nil {
		r.Difference = manifest.Compare(ctx, s, r.Found, r.Stored, sha256)
	}
	return r, nil
}
