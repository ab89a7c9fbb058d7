package systemd

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Instances are the units as a host would run them.
var Instances = []string{"llorch-cpu@test.service", "llorch-cpu@test.socket", "llorch-cuda@0.service", "llorch-cuda.target"}

// ErrNoTool is a host without a systemd-analyze that can look at files.
var ErrNoTool = errors.New("systemd-analyze of version 250 or newer was not found, so the units are NOT checked: install systemd (on Debian: apt install systemd)")

//go:embed llorch-*
var files embed.FS

var (
	template = regexp.MustCompile(`@[^.]*\.`)
	program  = regexp.MustCompile(`/usr/local/bin/llorch-\w+`)
	exposure = regexp.MustCompile(`Overall exposure level[^:]*: ([0-9.]+)`)
)

// unit is the text of the file that an instance is made from.
func unit(instance string) (file string, text []byte, err error) {
	file = template.ReplaceAllString(instance, "@.")
	text, err = files.ReadFile(file)
	return file, text, err
}

// Stage writes the units into a folder, where worker, a program that exists,
// stands for ours. It returns the paths of the instances.
func Stage(dir, worker string) (paths []string, err error) {
	for _, name := range Instances {
		file, text, err := unit(name)
		if err != nil {
			return nil, fmt.Errorf("systemd: %w", err)
		}
		text = program.ReplaceAll(text, []byte(worker))
		for _, to := range []string{file, name} {
			if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
				return nil, fmt.Errorf("systemd: %w", err)
			}
		}
		paths = append(paths, filepath.Join(dir, name))
	}
	return paths, nil
}

// Verify returns what systemd complains of in unit files, "" for nothing.
func Verify(ctx context.Context, paths ...string) (complaints string, err error) {
	out, err := analyze(ctx, append([]string{"verify", "--man=no"}, paths...)...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && out != "" { // it has said why
		err = nil
	}
	return out, err
}

// Exposure is the score of a service's hardening, 0 to 10, less is better. The
// report says where it comes from.
func Exposure(ctx context.Context, path string) (score float64, report string, err error) {
	report, err = analyze(ctx, "security", "--offline=true", "--no-pager", path)
	if strings.Contains(report, "unrecognized option") || strings.Contains(report, "Unknown command") {
		return 0, report, ErrNoTool
	}
	if err != nil {
		return 0, report, err
	}
	m := exposure.FindStringSubmatch(report)
	if m == nil {
		return 0, report, fmt.Errorf("systemd: no score in what systemd-analyze says: %.200s", report)
	}
	score, err = strconv.ParseFloat(m[1], 64)
	return score, report, err
}

func analyze(ctx context.Context, args ...string) (string, error) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return "", ErrNoTool
	}
	out, err := exec.CommandContext(ctx, tool, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("systemd: %s: %w", tool, err)
	}
	return strings.TrimSpace(string(out)), err
}
