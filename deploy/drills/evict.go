package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"llorch/deploy/demo/standin"
)

// mapping is one mapped weight file of a worker.
type mapping struct {
	from, to uintptr
	resident int64 // bytes in its page table
}

// weightMappings reads where a worker has its weight files, and how much of them.
func weightMappings(pid int) ([]mapping, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []mapping
	weights := false
	for s := bufio.NewScanner(f); s.Scan(); {
		key, rest, _ := strings.Cut(s.Text(), " ")
		var m mapping
		if n, err := fmt.Sscanf(key, "%x-%x", &m.from, &m.to); n == 2 && err == nil {
			if weights = strings.HasSuffix(rest, ".safetensors"); weights {
				all = append(all, m)
			}
		} else if key == "Rss:" && weights {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return nil, err
			}
			all[len(all)-1].resident = kb << 10
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the worker maps no weight file")
	}
	return all, nil
}

// evict has the kernel take a worker's weights from memory, as it does by itself
// when memory is short.
func evict(w *standin.Worker) (bytes int64, err error) {
	all, err := weightMappings(w.PID())
	if err != nil {
		return 0, err
	}
	for _, m := range all {
		if err := pageOut(w.PID(), m.from, m.to); err != nil {
			return 0, Skip("pages cannot be taken from another process here: %v", err)
		}
		bytes += m.resident
	}
	left, err := weightMappings(w.PID())
	for _, m := range left {
		bytes -= m.resident
	}
	if err == nil && bytes == 0 {
		err = Skip("the kernel kept the pages it was asked to drop")
	}
	return bytes, err
}

// cleanModel is a copy of the model whose pages are on the disk: the kernel
// drops no others.
func cleanModel(b *Bench) (string, error) {
	dir, err := b.CopyModel()
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	for _, name := range files {
		f, e := os.Open(name)
		if e == nil {
			e = errors.Join(f.Sync(), f.Close())
		}
		err = errors.Join(err, e)
	}
	return dir, err
}
