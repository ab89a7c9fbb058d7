package residency

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// hierarchy names the files of one cgroup version, documented in the kernel's admin-guide/cgroup-v1/memory.rst and
// admin-guide/cgroup-v2.rst.
type hierarchy struct {
	limits []string // the lowest counts
	used   string
	file   []string // keys of memory.stat whose sum is the page cache, children included
}

var (
	v1 = hierarchy{
		limits: []string{"memory.limit_in_bytes"},
		used:   "memory.usage_in_bytes",
		file:   []string{"total_active_file", "total_inactive_file"},
	}
	v2 = hierarchy{
		limits: []string{"memory.max", "memory.high"},
		used:   "memory.current",
		file:   []string{"active_file", "inactive_file"},
	}
)

// unlimited: version 1 writes no limit as the largest multiple of a page, version 2 as "max".
const unlimited = 1 << 62

// mount is where a hierarchy is mounted and which of its groups is seen there.
type mount struct{ at, group string }

// readGroups returns the groups with a limit from this process's own up to the visible root. A host has the memory
// controller in one version only; the other version's tree then lacks the files and adds nothing.
func readGroups(root string) ([]Group, error) {
	own, err := ownGroups(root)
	if err != nil {
		return nil, err
	}
	mounts, err := groupMounts(root)
	if err != nil {
		return nil, err
	}
	var groups []Group
	for _, version := range []struct {
		name string
		h    hierarchy
	}{{"v1", v1}, {"v2", v2}} {
		group, ok := own[version.name]
		if !ok {
			continue
		}
		for _, dir := range foldersUp(group, mounts[version.name]) {
			g, limited, err := version.h.read(root, dir)
			if err != nil {
				return nil, err
			}
			if limited {
				groups = append(groups, g)
			}
		}
	}
	return groups, nil
}

// ownGroups reads /proc/self/cgroup, lines of "id:controllers:path"; version 2 has id 0 and no controllers.
func ownGroups(root string) (map[string]string, error) {
	own := map[string]string{}
	err := eachLine(filepath.Join(root, "proc/self/cgroup"), func(line string) {
		f := strings.SplitN(line, ":", 3)
		switch {
		case len(f) != 3:
		case f[0] == "0" && f[1] == "":
			own["v2"] = f[2]
		case hasWord(f[1], "memory"):
			own["v1"] = f[2]
		}
	})
	return own, err
}

// groupMounts reads /proc/self/mountinfo: "id parent major:minor group folder options… - type source options".
func groupMounts(root string) (map[string][]mount, error) {
	mounts := map[string][]mount{}
	err := eachLine(filepath.Join(root, "proc/self/mountinfo"), func(line string) {
		before, after, _ := strings.Cut(line, " - ")
		f, kind := strings.Fields(before), strings.Fields(after)
		if len(f) < 5 || len(kind) < 3 {
			return
		}
		m := mount{at: unescape(f[4]), group: unescape(f[3])}
		switch {
		case kind[0] == "cgroup2":
			mounts["v2"] = append(mounts["v2"], m)
		case kind[0] == "cgroup" && hasWord(kind[2], "memory"):
			mounts["v1"] = append(mounts["v1"], m)
		}
	})
	return mounts, err
}

// foldersUp lists the folders of a group and its ancestors. The mount may show only a part of the tree (a container):
// a group above or beside that part is represented by the top of what is shown.
func foldersUp(group string, mounts []mount) []string {
	if len(mounts) == 0 {
		return nil
	}
	m, below := mounts[0], ""
	for _, candidate := range mounts {
		if rest, ok := strings.CutPrefix(group, strings.TrimSuffix(candidate.group, "/")); ok && (rest == "" || rest[0] == '/') {
			m, below = candidate, rest
			break
		}
	}
	if strings.Contains(below+"/", "/../") {
		below = ""
	}
	top := path.Clean(m.at)
	dirs := []string{path.Join(top, below)}
	for dir := dirs[0]; dir != top; dirs = append(dirs, dir) {
		dir = path.Dir(dir)
	}
	return dirs
}

// read returns one group; limited is false where it has no limit or no memory controller.
func (h hierarchy) read(root, dir string) (g Group, limited bool, err error) {
	g = Group{Path: dir, Limit: unlimited}
	for _, name := range h.limits {
		n, ok, err := readSize(filepath.Join(root, dir, name))
		if err != nil {
			return g, false, err
		}
		if ok {
			g.Limit = min(g.Limit, n)
		}
	}
	if g.Limit >= unlimited {
		return g, false, nil
	}
	used, ok, err := readSize(filepath.Join(root, dir, h.used))
	if err == nil && !ok {
		err = fmt.Errorf("residency: control group %s has a limit and no %s", dir, h.used)
	}
	if err != nil {
		return g, false, err
	}
	g.Used = used
	// Without its statistics a group simply has nothing that is known to be reclaimable.
	err = eachLine(filepath.Join(root, dir, "memory.stat"), func(line string) {
		key, value, _ := strings.Cut(line, " ")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && (key == h.file[0] || key == h.file[1]) {
			g.Reclaimable += n
		}
	})
	return g, true, err
}

// readSize reads a file of one number or "max"; ok is false if there is no such file.
func readSize(name string) (n int64, ok bool, err error) {
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("residency: %w", err)
	}
	text := strings.TrimSpace(string(raw))
	if text == "max" {
		return unlimited, true, nil
	}
	u, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("residency: %s: %q is not a size", name, text)
	}
	return int64(min(u, unlimited)), true, nil
}

// eachLine calls f for every line of a file; a file that does not exist has none.
func eachLine(name string, f func(line string)) error {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("residency: %w", err)
	}
	defer file.Close()
	s := bufio.NewScanner(file)
	for s.Scan() {
		f(s.Text())
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("residency: %s: %w", name, err)
	}
	return nil
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// unescape undoes the octal escapes of mountinfo for space, tab, newline and backslash.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
