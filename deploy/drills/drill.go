package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Drill is one promise put to the test on a running worker.
type Drill struct {
	Name     string
	Section  string
	Promises []int         // of the README's table, 1 to 15
	Limit    time.Duration // the longest it may take
	// Run returns the figure it measured, in words. Its context ends with the
	// limit. An error of Skip says that this machine cannot show it.
	Run func(ctx context.Context, b *Bench) (figure string, err error)
}

// numPromises is the length of the README's table of promises.
const numPromises = 15

// selected reports whether a list from the command line means the drill: by
// name, by section, or by the number of a promise.
func (d Drill) selected(only string) bool {
	if only == "" {
		return true
	}
	for want := range strings.SplitSeq(only, ",") {
		n, err := strconv.Atoi(want)
		if want == d.Name || want == d.Section || err == nil && slices.Contains(d.Promises, n) {
			return true
		}
	}
	return false
}

// choose returns the drills that the list means. A word of it that means none
// is an error: it would pass for a success.
func choose(all []Drill, only string) ([]Drill, error) {
	var chosen []Drill
	for _, d := range all {
		if d.selected(only) {
			chosen = append(chosen, d)
		}
	}
	if only == "" {
		return chosen, nil
	}
	for want := range strings.SplitSeq(only, ",") {
		if want == "" || !slices.ContainsFunc(chosen, func(d Drill) bool { return d.selected(want) }) {
			return nil, fmt.Errorf("drills: no drill, section or promise is called %q", want)
		}
	}
	return chosen, nil
}

// errSkip is a drill that this machine cannot run.
type errSkip string

func (e errSkip) Error() string { return string(e) }

// Skip makes the error of a drill that cannot be shown here, with the reason.
func Skip(format string, args ...any) error { return errSkip(fmt.Sprintf(format, args...)) }

func skipped(err error) bool {
	var e errSkip
	return errors.As(err, &e)
}
