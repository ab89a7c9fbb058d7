package manifest

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"llorch/inference/weights"
)

// Difference is one thing that is not as the manifest says.
type Difference struct {
	File   string // its path
	Tensor string // "" where it is about a whole file, or its header
	From   int64  // bytes [From,To) of File hold the difference; both 0: not known
	To     int64
	Reason string
}

func (d *Difference) Error() string {
	var b strings.Builder
	b.WriteString("manifest: " + d.File)
	if d.Tensor != "" {
		b.WriteString(": tensor " + strconv.Quote(d.Tensor))
	}
	if d.To > 0 {
		fmt.Fprintf(&b, ": bytes [%d,%d)", d.From, d.To)
	}
	b.WriteString(": " + d.Reason)
	return b.String()
}

const changedSince = "the file was damaged or changed since the manifest was written: fetch it again, or, if it is as it should be, " +
	"write a new manifest with `verify --write --force`"

// Compare returns the first difference between what was computed and the stored
// manifest, nil where there is none. It names the tensor, for which the file is
// read once more. With sha256 both must have that digest.
func Compare(ctx context.Context, s *weights.Source, got, want *Manifest, sha256 bool) error {
	for _, w := range want.Files {
		g, ok := got.file(w.Name)
		path := s.Dir + "/" + w.Name
		switch {
		case !ok:
			return &Difference{File: path, Reason: "the manifest lists it, and it is not there or not of this model"}
		case sha256 && (w.SHA256 == "" || g.SHA256 == ""):
			return &Difference{File: path, Reason: "the manifest has no SHA-256 of it: write one with `verify --write --sha256 --force`"}
		case g.Bytes != w.Bytes:
			return &Difference{File: path, Reason: fmt.Sprintf("%d bytes long, and %d in the manifest; %s", g.Bytes, w.Bytes, changedSince)}
		case g.XXH3 != w.XXH3 || sha256 && g.SHA256 != w.SHA256:
			return locate(ctx, s, g, &w, path)
		}
	}
	for _, g := range got.Files {
		if _, ok := want.file(g.Name); !ok {
			return &Difference{File: s.Dir + "/" + g.Name, Reason: "it is not in the manifest; " +
				"remove it, or write a new manifest with `verify --write --force`"}
		}
	}
	return nil
}

// Precheck compares all but the content of the weight files, which takes long to
// read: what is wrong with the rest is told at once.
func Precheck(ctx context.Context, s *weights.Source, want *Manifest, sha256 bool) error {
	sums := make([]weights.Sums, len(s.Files))
	for i := range sums {
		if w, ok := want.file(nameOf(s, i)); ok {
			sums[i] = weights.Sums{XXH3: w.XXH3, SHA256: w.SHA256} // as if they were right
		}
	}
	got, err := Of(s, sums, sha256)
	if err != nil {
		return err
	}
	return Compare(ctx, s, got, want, sha256)
}

// locate finds the part of a file that differs.
func locate(ctx context.Context, s *weights.Source, got, want *File, path string) error {
	whole := &Difference{File: path, Reason: fmt.Sprintf("digest xxh3 %s, and %s in the manifest; %s", got.XXH3, want.XXH3, changedSince)}
	if got.XXH3 == want.XXH3 {
		whole.Reason = fmt.Sprintf("digest sha256 %s, and %s in the manifest; %s", got.SHA256, want.SHA256, changedSince)
	}
	for i := range s.Files {
		if nameOf(s, i) != want.Name {
			continue
		}
		parts, err := s.Parts(ctx, i)
		if err != nil {
			return fmt.Errorf("manifest: %w", err)
		}
		if d := firstDifference(parts, want.Parts); d != nil {
			d.File = path
			return d
		}
	}
	return whole
}

// firstDifference compares the parts of a file, which both have by offset.
func firstDifference(got []weights.Part, want []Part) *Difference {
	var first *Difference
	bad := 0
	for i, w := range want {
		if i >= len(got) {
			break
		}
		g := got[i]
		if g.Tensor != w.Tensor || g.Offset != w.Offset || g.Bytes != w.Bytes {
			return &Difference{To: max(got[0].Bytes, want[0].Bytes), Reason: "the header describes other tensors; " + changedSince}
		}
		if g.XXH3 != w.XXH3 {
			if bad++; first == nil {
				first = &Difference{Tensor: w.Tensor, From: w.Offset, To: w.Offset + w.Bytes,
					Reason: fmt.Sprintf("digest xxh3 %s, and %s in the manifest", g.XXH3, w.XXH3)}
			}
		}
	}
	if first == nil {
		return nil
	}
	if first.Tensor == "" {
		first.Reason = "the header: " + first.Reason
	}
	if bad > 1 {
		first.Reason += fmt.Sprintf(", the first of %d parts that differ", bad)
	}
	first.Reason += "; " + changedSince
	return first
}

// AddParts sums the tensors of every weight file into the manifest.
func (m *Manifest) AddParts(ctx context.Context, s *weights.Source) error {
	for i := range s.Files {
		parts, err := s.Parts(ctx, i)
		if err != nil {
			return fmt.Errorf("manifest: %w", err)
		}
		f, ok := m.file(nameOf(s, i))
		if !ok {
			return fmt.Errorf("manifest: %s is not in it", s.Files[i].Path)
		}
		for _, p := range parts {
			f.Parts = append(f.Parts, Part{p.Tensor, p.Offset, p.Bytes, p.XXH3})
		}
	}
	return nil
}
