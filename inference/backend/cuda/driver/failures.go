package driver

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// Failures is a plan for an Injector. Its calls may come from many goroutines.
type Failures []*Failure

// Failure is one entry of a plan: the call of a method that fails.
type Failure struct {
	method string
	at     int64
	code   int
	calls  atomic.Int64
}

// ParseFailures reads a plan, METHOD@N:CODE with commas between entries: the N-th
// call of a method of Driver returns CODE, a CUresult. "Launch@200:719" is a kernel
// that failed, "MemAlloc@3:2" the third allocation that does not fit. An error that is
// sticky is returned by every call after it, too, as a driver would. The empty plan
// does nothing.
func ParseFailures(plan string) (all Failures, err error) {
	if plan == "" {
		return nil, nil
	}
	for entry := range strings.SplitSeq(plan, ",") {
		f, err := parseFailure(entry)
		if err != nil {
			return nil, fmt.Errorf("driver: %q in the plan of failures: %w; give METHOD@N:CODE, as in Launch@200:719", entry, err)
		}
		all = append(all, f)
	}
	return all, nil
}

func parseFailure(entry string) (*Failure, error) {
	method, rest, _ := strings.Cut(entry, "@")
	at, code, _ := strings.Cut(rest, ":")
	f := &Failure{method: method}
	var err1, err2 error
	f.at, err1 = strconv.ParseInt(at, 10, 64)
	f.code, err2 = strconv.Atoi(code)
	switch {
	case method == "":
		return nil, errors.New("there is no method")
	case err1 != nil || f.at < 1:
		return nil, errors.New("the call is not a whole number from 1")
	case err2 != nil || f.code < 1:
		return nil, errors.New("the code is not a whole number from 1")
	}
	return f, nil
}

// Fail is an Injector's. What frees is never failed: a process that is to end in order
// must be able to.
func (all Failures) Fail(method string) error {
	frees := strings.HasSuffix(method, "Free") || strings.HasSuffix(method, "Destroy")
	for _, f := range all {
		n := f.calls.Load()
		if method == f.method {
			n = f.calls.Add(1)
		}
		err := NewError(method, f.code)
		if method == f.method && n == f.at || n >= f.at && err.Sticky() && !frees {
			return err
		}
	}
	return nil
}
