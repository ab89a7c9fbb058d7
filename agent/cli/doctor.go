package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"llorch/config"
	"llorch/inference"
	"llorch/residency"
)

// finding is one thing that doctor looked at.
type finding struct {
	Subject string `json:"subject"`
	Grade   grade  `json:"grade"`
	Text    string `json:"text"`
	Advice  string `json:"advice,omitempty"` // what to do about it
}

// grade says how bad it is.
type grade string

const (
	good grade = "ok"
	weak grade = "weak" // serves, but slower or with less safety
	bad  grade = "bad"  // cannot serve
)

func doctorCommand(p *Program) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "doctor", Short: "look at this host: devices, memory, limits, what is missing and how to get it", Args: noArgs,
		Long: "Looks at this host and, where --model is given, at the model. Exit status 1 if something is in the way of serving.",
	}
	config.Register(c.Flags(), config.Common|config.Engine)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := config.Load(c.Flags(), p.Environ)
		if err != nil {
			return err
		}
		findings := examine(context.Background(), cfg)
		if asJSON {
			err = writeIndented(p.Stdout, findings)
		} else {
			var page bytes.Buffer
			printFindings(&page, findings)
			_, err = page.WriteTo(p.Stdout)
		}
		for _, f := range findings {
			if f.Grade == bad && err == nil {
				err = fmt.Errorf("%w: %s", errReported, f.Subject)
			}
		}
		return err
	}
	return c
}

func examine(ctx context.Context, cfg config.Config) []finding {
	all := []finding{{"host", good, fmt.Sprintf("%s/%s, %d logical CPUs, %d usable by this process", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.GOMAXPROCS(0)), ""}}
	all = append(all, examineDevices(cfg.Device)...)
	all = append(all, examineMemory(ctx), examineProbe())
	all = append(all, examineLimits()...)
	if cfg.Model != "" {
		all = append(all, examineModel(ctx, cfg))
	}
	return all
}

// examineDevices looks at each kind of device in this binary. A kind that is not
// the one asked for is in nobody's way.
func examineDevices(asked config.Device) []finding {
	var all []finding
	kinds := strings.Join(inference.Devices(), ", ")
	for _, kind := range inference.Devices() {
		found, ok := inference.Examine(kind, asked.Index)
		if !ok {
			all = append(all, probeDevice(kind))
			continue
		}
		for _, f := range found {
			if _, err := asked.Resolve(kind); err != nil && f.Grade == inference.Bad {
				f.Grade = inference.Weak
			}
			all = append(all, finding{f.Subject, grade(f.Grade), f.Text, f.Advice})
		}
	}
	if cards, _ := filepath.Glob("/dev/nvidia[0-9]*"); len(cards) > 0 && !strings.Contains(kinds, "cuda") {
		all = append(all, finding{"gpu", weak, fmt.Sprintf("%d NVIDIA devices are here; this binary has %s", len(cards), kinds),
			"llorch-cuda computes on them: make build-cuda"})
	}
	return all
}

// probeDevice opens the first device of a kind.
func probeDevice(kind string) finding {
	i, err := inference.Probe(kind, 0)
	if err != nil {
		return finding{"device " + kind, bad, err.Error(), ""}
	}
	f := finding{"device " + kind, good, fmt.Sprintf("%s, %d threads, weights in %s", i.Name, i.Threads, i.Architecture), ""}
	switch i.ISA {
	case "":
	case "portable":
		f.Grade = weak
		f.Text += ", instruction set " + i.ISA
		f.Advice = "this CPU has neither AVX2 nor AVX-512, or a virtual machine hides them: expose the host's CPU to it"
	default:
		f.Text += ", instruction set " + i.ISA
	}
	return f
}

func examineMemory(ctx context.Context) finding {
	host, err := residency.ReadHost(ctx, "/")
	if err != nil {
		return finding{"memory", bad, err.Error(), "memory must be readable: mount /proc"}
	}
	free, bound := host.Free()
	return finding{"memory", good, fmt.Sprintf("%s for a worker, bound by %s; the machine has %s, %s of it available", size(free), bound, size(host.Total), size(host.Available)), ""}
}

// examineProbe asks whether residency can be proved here at all.
func examineProbe() finding {
	pages, err := residency.OpenPages()
	if err == nil {
		page := make([]byte, os.Getpagesize())
		page[0] = 1
		_, err = pages.Resident(addressOf(page), int64(len(page)))
		runtime.KeepAlive(page)
		err = errors.Join(err, pages.Close())
	}
	if err != nil {
		return finding{"residency", bad, err.Error(), "mount /proc without restrictions for the worker's user"}
	}
	return finding{"residency", good, "can be observed page by page", ""}
}

func examineModel(ctx context.Context, cfg config.Config) finding {
	r, err := inspect(ctx, cfg, false)
	if err != nil {
		return finding{"model", bad, err.Error(), ""}
	}
	f := finding{"model", good, fmt.Sprintf("%s: %s, %d parameters, needs %s of %s", r.Path, r.Architecture, r.Parameters, size(r.Memory.Required), size(r.Memory.Available)), ""}
	if !r.Memory.Fits {
		f.Grade, f.Advice = bad, "free memory, give a smaller --max-context or --kv-cache-mb, or use a smaller model"
	}
	return f
}

func printFindings(w io.Writer, all []finding) {
	for _, f := range all {
		println(w, "%-5s %-13s %s", f.Grade, f.Subject, f.Text)
		if f.Advice != "" {
			println(w, "      %-13s → %s", "", f.Advice)
		}
	}
}
