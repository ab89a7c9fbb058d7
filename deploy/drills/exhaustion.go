package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"llorch/deploy/demo/standin"
)

// exhaustion: descriptors, disk, memory and threads that are used up.
var exhaustion = []Drill{
	{"descriptors-used-up", "exhaustion", []int{4}, 60 * time.Second, descriptorsUsedUp},
	{"log-on-a-full-disk", "exhaustion", []int{4}, 60 * time.Second, logOnFullDisk},
	{"read-only-disk", "exhaustion", []int{15}, 60 * time.Second, readOnlyDisk},
	{"memory-that-is-not-there", "exhaustion", []int{6}, 60 * time.Second, memoryNotThere},
	{"address-space-used-up", "exhaustion", []int{6}, 60 * time.Second, addressSpaceUsedUp},
}

// limited writes a script that sets limits and becomes the worker.
func (b *Bench) limited(commands string) (string, error) {
	path := filepath.Join(b.Dir, "limited")
	text := fmt.Sprintf("#!/bin/sh\n%s\nexec '%s' \"$@\"\n", commands, b.Bin)
	return path, os.WriteFile(path, []byte(text), 0o700)
}

// descriptorsUsedUp: more connections than the worker may have. What runs goes
// on, and health is answered as soon as there is room.
func descriptorsUsedUp(ctx context.Context, b *Bench) (string, error) {
	const limit, connections = 96, 300
	bin, err := b.limited(fmt.Sprintf("ulimit -n %d", limit))
	if err != nil {
		return "", err
	}
	w, err := b.ReadyAs(ctx, standin.Spawn{Bin: bin})
	if err != nil {
		return "", err
	}
	s, read, err := begin(ctx, w, long("running", 300))
	if err != nil {
		return "", err
	}
	defer s.Close()
	holding, leave := context.WithCancel(ctx)
	defer leave()
	for i := range connections {
		c, err := dial(w)
		if err != nil {
			return "", fmt.Errorf("connection %d: %w", i, err)
		}
		context.AfterFunc(holding, func() { c.Close() })
	}
	if err := until(ctx, "the descriptors are used up", func() error {
		if n, err := standin.Descriptors(w.PID()); err != nil || n < limit-2 {
			return fmt.Errorf("%d of %d: %w", n, limit, err)
		}
		return nil
	}); err != nil {
		return "", err
	}
	all, err := s.All(read...)
	if err != nil || standin.Last(all).Type != "end" {
		return "", fmt.Errorf("the running stream ended with %s: %w", standin.Last(all).Raw, err)
	}
	began := time.Now()
	leave()
	if err := until(ctx, "health after the flood", func() error { return expect(ctx, w, "GET", "/health", nil, 200) }); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d connections on %d descriptors: the running stream ended whole, health again %.1f s after they left",
		connections, limit, time.Since(began).Seconds()), nil
}

// logOnFullDisk: no line of the log can be written. Serving does not depend on it.
func logOnFullDisk(ctx context.Context, b *Bench) (string, error) {
	if _, err := os.Stat("/dev/full"); err != nil {
		return "", Skip("no /dev/full: %v", err)
	}
	bin, err := b.limited("exec >/dev/full 2>&1")
	if err != nil {
		return "", err
	}
	w, err := b.ReadyAs(ctx, standin.Spawn{Bin: bin})
	if err != nil {
		return "", err
	}
	for i := range 20 {
		if _, err := whole(ctx, w, short(fmt.Sprint("full-", i))); err != nil {
			return "", err
		}
	}
	return "20 requests served with a log that takes nothing", expect(ctx, w, "GET", "/health", nil, 200)
}

// readOnlyDisk: a worker needs no place to write. Here it has none but its model.
func readOnlyDisk(ctx context.Context, b *Bench) (string, error) {
	if status, text, err := b.Output(ctx, "unshare", "--mount", "true"); err != nil || status != 0 {
		return "", Skip("no mount namespaces here: %.100s %v", text, err)
	}
	bin, err := b.limited("")
	if err != nil {
		return "", err
	}
	script := "#!/bin/sh\nexec unshare --mount sh -c 'mount -o remount,bind,ro / 2>/dev/null || { mount --bind / / && mount -o remount,bind,ro /; }; exec " +
		bin + " \"$@\"' sh \"$@\"\n"
	locked := filepath.Join(b.Dir, "locked")
	if err := os.WriteFile(locked, []byte(script), 0o700); err != nil {
		return "", err
	}
	if status, text, err := b.Output(ctx, "unshare", "--mount", "sh", "-c",
		"mount -o remount,bind,ro / 2>/dev/null || { mount --bind / / && mount -o remount,bind,ro /; }; ! touch /llorch-probe"); err != nil || status != 0 {
		return "", Skip("the root cannot be made read-only here: %.100s %v", text, err)
	}
	w, err := b.ReadyAs(ctx, standin.Spawn{Bin: locked})
	if err != nil {
		return "", err
	}
	if _, err := whole(ctx, w, short("read-only")); err != nil {
		return "", err
	}
	return "started and served with a read-only root", nil
}

// memoryNotThere: a cache larger than the machine. The plan refuses it before
// anything is touched, with the bytes that it would need and those there are.
func memoryNotThere(ctx context.Context, b *Bench) (string, error) {
	w, err := b.Spawn(standin.Spawn{Args: []string{"--local-mode", "--kv-cache-mb", "10000000"}})
	if err != nil {
		return "", err
	}
	began := time.Now()
	if err := exits(ctx, w, 1); err != nil {
		return "", err
	}
	line, err := logged(ctx, w, "error")
	if err != nil {
		return "", err
	}
	text := fmt.Sprint(line.Fields["error"])
	if !strings.Contains(text, "required") || !strings.Contains(text, "available") {
		return "", fmt.Errorf("the refusal is %q", text)
	}
	return fmt.Sprintf("refused after %.2f s: %.120s", time.Since(began).Seconds(), text), nil
}

// addressSpaceUsedUp starts workers with less and less address space. Each
// either serves or ends by itself and says why; none is left hanging.
func addressSpaceUsedUp(ctx context.Context, b *Bench) (string, error) {
	served, refused := 0, 0
	for _, mb := range []int{4000, 1500, 800, 500, 350, 250, 150} {
		bin, err := b.limited(fmt.Sprintf("ulimit -v %d", mb<<10))
		if err != nil {
			return "", err
		}
		w, err := b.Spawn(standin.Spawn{Bin: bin, Args: []string{"--local-mode"}})
		if err != nil {
			return "", err
		}
		if err := w.WaitHealthy(ctx); err != nil {
			status, waited := w.Wait(time.Second)
			if waited != nil || status == 0 || w.LogText() == "" {
				return "", errors.Join(fmt.Errorf("with %d MB: exit status %d", mb, status), err)
			}
			refused++
			continue
		}
		if _, err := whole(ctx, w, short("space")); err != nil {
			return "", fmt.Errorf("with %d MB: %w", mb, err)
		}
		served++
		w.Kill()
	}
	return fmt.Sprintf("from 4000 to 150 MB: %d served, %d ended and said why", served, refused), nil
}
