package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"llorch/deploy/demo/standin"
)

// leftovers: what a worker that was killed leaves behind.
var leftovers = []Drill{
	{"kill-9-leaves-nothing", "leftovers", []int{15}, 90 * time.Second, killLeavesNothing},
}

// places are where a process could leave files that outlive it.
func places(b *Bench) []string {
	home, _ := os.UserHomeDir() // "" is the folder we are in, which is as good
	return []string{b.Dir, b.Model, os.TempDir(), "/dev/shm", "/run/lock", "/var/lock", "/var/tmp", home}
}

// look lists the entries of the places. Other programs come and go there, so
// only names that could be ours count.
func look(b *Bench) (all []string) {
	for _, dir := range places(b) {
		names, _ := filepath.Glob(filepath.Join(dir, "*")) // the pattern is well-formed
		for _, n := range names {
			if dir == b.Dir || dir == b.Model || ours(filepath.Base(n)) {
				all = append(all, n)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func ours(name string) bool {
	return len(name) >= 6 && name[:6] == "llorch" && (len(name) < 12 || name[:12] != "llorch-drill")
}

// killLeavesNothing: twenty workers in a row on one port, each killed with a
// stream running. The next one starts at once, and finds nothing of the last.
func killLeavesNothing(ctx context.Context, b *Bench) (string, error) {
	const cycles = 20
	port, err := standin.FreePort()
	if err != nil {
		return "", err
	}
	before := look(b)
	var first, last standin.Memory
	var files [2]int // of the first worker and of the last
	var slowest time.Duration
	for i := range cycles {
		began := time.Now()
		w, err := b.ReadyAs(ctx, standin.Spawn{Port: port})
		if err != nil {
			return "", fmt.Errorf("cycle %d: %w", i, err)
		}
		slowest = max(slowest, time.Since(began))
		s, _, err := begin(ctx, w, endless("cut"))
		if err != nil {
			return "", err
		}
		if last, err = standin.ReadMemory(w.PID(), b.Model); err != nil {
			return "", err
		}
		if files[1], err = standin.Descriptors(w.PID()); err != nil {
			return "", err
		}
		if i == 0 {
			first, files[0] = last, files[1]
		}
		w.Kill()
		s.Close()
	}
	if after := look(b); !slices.Equal(before, after) {
		return "", fmt.Errorf("files before %v, after %v", before, after)
	}
	drift := last.RSS - first.RSS
	if max(drift, -drift) > 16<<20 {
		return "", errors.New("RSS of the last worker differs from the first's by " + mib(drift))
	}
	if files[1] > files[0]+2 { // a connection more or less
		return "", fmt.Errorf("%d descriptors in the first worker, %d in the last", files[0], files[1])
	}
	return fmt.Sprintf("%d workers killed on one port; no file left; slowest next start %.2f s; last and first: RSS %s and %s, %d and %d descriptors",
		cycles, slowest.Seconds(), mib(last.RSS), mib(first.RSS), files[1], files[0]), nil
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
