package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTableIsWhole(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	var total time.Duration
	seen := map[string]bool{}
	for _, d := range table() {
		if !name.MatchString(d.Name) || !name.MatchString(d.Section) {
			t.Errorf("%s/%s: names are lower-case words joined by hyphens", d.Section, d.Name)
		}
		if seen[d.Name] {
			t.Errorf("%s stands there twice", d.Name)
		}
		seen[d.Name] = true
		if d.Run == nil || d.Limit <= 0 || d.Limit > 3*time.Minute || len(d.Promises) == 0 {
			t.Errorf("%s: limit %v, promises %v", d.Name, d.Limit, d.Promises)
		}
		for _, p := range d.Promises {
			if p < 1 || p > numPromises {
				t.Errorf("%s: there is no promise %d", d.Name, p)
			}
		}
		total += d.Limit
	}
	if len(seen) < 5 {
		t.Errorf("only %d drills", len(seen))
	}
	t.Logf("%d drills, %v at the very most", len(seen), total)
}

// Every promise has a drill, or says why it has none.
func TestEveryPromiseIsDrilled(t *testing.T) {
	for p := 1; p <= numPromises; p++ {
		drilled := slices.ContainsFunc(table(), func(d Drill) bool { return slices.Contains(d.Promises, p) })
		if _, gpu := notOnCPU[p]; drilled == gpu {
			t.Errorf("promise %d: has a drill %v, needs a GPU %v; one of them must hold", p, drilled, gpu)
		}
	}
}

func TestChoose(t *testing.T) {
	all := []Drill{{Name: "a", Section: "x", Promises: []int{1}}, {Name: "b", Section: "x", Promises: []int{2, 3}}, {Name: "c", Section: "y", Promises: []int{3}}}
	for only, want := range map[string]string{"": "abc", "a": "a", "x": "ab", "3": "bc", "c,a": "ac", "y,1": "ac"} {
		got, err := choose(all, only)
		var names []string
		for _, d := range got {
			names = append(names, d.Name)
		}
		if s := strings.Join(names, ""); s != want || err != nil {
			t.Errorf("%q: %s %v, want %s", only, s, err, want)
		}
	}
	for _, only := range []string{"z", "a,z", "a,", "15"} {
		if _, err := choose(all, only); err == nil {
			t.Errorf("%q was taken", only)
		}
	}
}
