package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What README.md names exists: a drill of the table, or a test of this module.
func TestReadmeNamesWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, d := range table() {
		known[d.Name] = true
	}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err = filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(code, -1) {
			known[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// In tables the last column names what shows it.
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+|[a-z0-9]+(?:-[a-z0-9]+)+)`")
	count := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		cells := strings.Split(strings.TrimSpace(line), "|")
		for _, m := range named.FindAllStringSubmatch(cells[len(cells)-2], -1) {
			count++
			if !known[m[1]] {
				t.Errorf("%s is neither a drill nor a test", m[1])
			}
		}
	}
	if count < 50 {
		t.Errorf("only %d names were found", count)
	}
}

// The project's README promises fifteen things, and names for each a drill that is about it.
func TestReadmePromisesAreDrilled(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	drills := map[string]Drill{}
	for _, d := range table() {
		drills[d.Name] = d
	}
	promise := regexp.MustCompile(`(?m)^\| (\d+) \| .* \| ([^|]+) \|$`)
	rows := promise.FindAllStringSubmatch(string(text), -1)
	if len(rows) != numPromises {
		t.Fatalf("%d promises, want %d", len(rows), numPromises)
	}
	for i, row := range rows {
		if row[1] != strconv.Itoa(i+1) {
			t.Errorf("row %d is numbered %s", i+1, row[1])
		}
		for name := range strings.SplitSeq(row[2], ", ") {
			if d := drills[strings.Trim(name, "`")]; !slices.Contains(d.Promises, i+1) {
				t.Errorf("promise %d: %s is no drill of it", i+1, name)
			}
		}
	}
}
