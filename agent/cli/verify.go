package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"llorch/config"
	"llorch/inference"
)

// verifyFlags are those of `verify` itself.
type verifyFlags struct {
	write, force, sha256, asJSON bool
}

// verifyReport is what `verify` tells.
type verifyReport struct {
	Folder     string       `json:"folder"`
	Manifest   string       `json:"manifest"` // where it lies, or would
	Digest     string       `json:"digest"`
	Verdict    string       `json:"verdict"` // "same", "different", "no manifest", "written"
	Difference string       `json:"difference,omitempty"`
	Files      []fileDigest `json:"files"`
}

type fileDigest struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	XXH3   string `json:"xxh3"`
	SHA256 string `json:"sha256,omitempty"`
}

func verifyCommand(p *Program) *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use: "verify [model]", Short: "compare a model's files with their manifest, or write it", Args: atMostOne,
		Long: "Reads every file of the model, looks for weights that are no numbers, and compares the digests with llorch.manifest.json in the\n" +
			"model's folder. Exit status 1 if a file differs or there is no manifest; a damaged tensor is named.",
		Example: "  llorch-cpu verify ./model --write",
	}
	config.Register(c.Flags(), config.Common)
	c.Flags().String("model", "", "model folder, or a weight file in it")
	c.Flags().BoolVar(&f.write, "write", false, "write the manifest from the files as they are")
	c.Flags().BoolVar(&f.force, "force", false, "with --write: replace a manifest that says otherwise")
	c.Flags().BoolVar(&f.sha256, "sha256", false, "compute or compare SHA-256, too: slower, and safe against tampering")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			if c.Flags().Changed("model") {
				return usagef("two models: give --model or an argument")
			}
			if err := c.Flags().Set("model", args[0]); err != nil {
				return usage(err)
			}
		}
		cfg, err := p.engineConfig(c)
		if err != nil {
			return err
		}
		if f.force && !f.write {
			return usagef("--force goes with --write")
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return p.verify(ctx, cfg.Model, f)
	}
	return c
}

func (p *Program) verify(ctx context.Context, model string, f verifyFlags) error {
	found, err := inference.VerifyFiles(ctx, model, f.sha256, f.write, p.percentLine())
	if err != nil {
		return err
	}
	r := verifyReport{Folder: found.Dir, Manifest: found.Manifest, Digest: found.Digest, Verdict: "same"}
	for _, file := range found.Found.Files {
		r.Files = append(r.Files, fileDigest{file.Name, file.Bytes, file.XXH3, file.SHA256})
	}
	switch {
	case f.write:
		if err := found.Found.Write(found.Manifest, f.force); err != nil {
			return err
		}
		r.Verdict = "written"
	case found.Difference != nil:
		r.Verdict, r.Difference = "different", found.Difference.Error()
		err = fmt.Errorf("%w: the model differs", errReported)
	case found.Stored == nil:
		r.Verdict = "no manifest"
		err = fmt.Errorf("%w: no manifest", errReported)
	}
	if f.asJSON {
		if e := writeIndented(p.Stdout, r); e != nil {
			return e
		}
		return err
	}
	if e := r.print(p); e != nil {
		return e
	}
	return err
}

// percentLine draws progress on a terminal; elsewhere it is nil.
func (p *Program) percentLine() func(done, total int64) {
	if !isTerminal(p.Stderr) {
		return nil
	}
	return func(done, total int64) {
		fmt.Fprintf(p.Stderr, "\r\x1b[K%d of %d MB", done>>20, total>>20)
		if done == total {
			fmt.Fprint(p.Stderr, "\r\x1b[K")
		}
	}
}

func (r verifyReport) print(p *Program) error {
	for _, f := range r.Files {
		if _, err := fmt.Fprintf(p.Stdout, "%s  %12d  %s\n", f.XXH3, f.Bytes, f.Name); err != nil {
			return err
		}
	}
	text := map[string]string{
		"same": "as the manifest says", "different": "DIFFERENT: " + r.Difference,
		"no manifest": "no " + r.Manifest + ": write it with --write once the files are known to be good",
		"written":     "written: " + r.Manifest,
	}[r.Verdict]
	_, err := fmt.Fprintf(p.Stdout, "%s\n%s\n", r.Digest, text)
	return err
}
