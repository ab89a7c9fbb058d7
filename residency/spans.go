package residency

import (
	"cmp"
	"slices"
)

// span is a range of whole pages.
type span struct{ start, end uintptr }

func (s span) bytes() int64 { return int64(s.end - s.start) }

// pageSpans returns the pages that claims lie on, each once, in order: tensors share pages at their edges, and one
// range costs one system call.
func pageSpans(claims []Claim, pageSize int) []span {
	size := uintptr(pageSize)
	spans := make([]span, 0, len(claims))
	for _, c := range claims {
		if c.Bytes > 0 {
			spans = append(spans, span{c.Addr &^ (size - 1), (c.Addr + uintptr(c.Bytes) + size - 1) &^ (size - 1)})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged); n > 0 && s.start <= merged[n-1].end {
			merged[n-1].end = max(merged[n-1].end, s.end)
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

// LockError says that memory could not be locked. It is a warning to whoever only wants to lock: the worker runs
// without, and residency is still verified.
type LockError struct {
	Need  int64 // bytes of the pages to be locked
	Limit int64 // bytes the process may lock; -1: not known
	Err   error
}

func (e *LockError) Error() string {
	msg := "residency: memory is not locked: " + e.Err.Error()
	if e.Limit >= 0 && e.Limit < e.Need {
		msg += ": " + lockAdvice(e.Need, e.Limit)
	}
	return msg
}

func (e *LockError) Unwrap() error { return e.Err }
