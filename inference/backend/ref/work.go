package ref

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"llorch/inference/sample"
)

// worker is the memory of one of the goroutines that share an op.
type worker struct {
	row     []float32 // one decoded row
	scores  []float64
	sums    []float64
	chooser sample.Chooser
}

// grow returns s with n elements, whatever they are.
func grow[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n)
	}
	return (*s)[:n]
}

// each calls f for every i of [0, n), each worker taking one stretch of them. A
// device that has faulted computes nothing any more.
func (d *Device) each(op string, n int, f func(w *worker, i int)) {
	if d.faulted() {
		return
	}
	workers := min(len(d.workers), n)
	if workers <= 1 {
		d.stretch(op, &d.workers[0], 0, n, f)
		return
	}
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() { d.stretch(op, &d.workers[k], k*n/workers, (k+1)*n/workers, f) })
	}
	wg.Wait()
}

func (d *Device) stretch(op string, w *worker, from, to int, f func(w *worker, i int)) {
	defer d.catch(op)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for i := from; i < to; i++ {
		f(w, i)
	}
}

// catch turns a fault of memory that the device was given into a latched
// backend.Fault. Any other panic is a bug and goes on.
func (d *Device) catch(op string) {
	r := recover()
	if r == nil {
		return
	}
	f, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	})
	if !ok {
		panic(r)
	}
	d.latch("sigbus", fmt.Sprintf("ref: %s: %s cannot be read at %#x: the file behind it was truncated, or its disk failed",
		op, d.owner(f.Addr()), f.Addr()))
}
