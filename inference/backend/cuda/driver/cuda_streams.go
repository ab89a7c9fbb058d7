//go:build cuda

package driver

import "gorgonia.org/cu"

func (*CUDA) StreamCreate(priority int) (Stream, error) {
	s, err := cu.MakeStreamWithPriority(priority, cu.NonBlocking)
	return as[Stream](s), wrap("cuStreamCreateWithPriority", err)
}

func (*CUDA) StreamDestroy(s Stream) error {
	h := as[cu.Stream](s)
	return wrap("cuStreamDestroy", h.Destroy())
}

func (*CUDA) StreamSynchronize(s Stream) error {
	return wrap("cuStreamSynchronize", as[cu.Stream](s).Synchronize())
}

func (*CUDA) StreamDone(s Stream) (bool, error) {
	return done("cuStreamQuery", as[cu.Stream](s).Query())
}

// done reads the answer of a query: not ready is no failure.
func done(call string, err error) (bool, error) {
	if err == cu.NotReady {
		return false, nil
	}
	return err == nil, wrap(call, err)
}

func (*CUDA) StreamWait(s Stream, e Event) error {
	return wrap("cuStreamWaitEvent", as[cu.Stream](s).Wait(as[cu.Event](e), 0))
}

func (*CUDA) EventCreate(timing bool) (Event, error) {
	flags := cu.DisableTiming
	if timing {
		flags = 0
	}
	e, err := cu.MakeEvent(flags)
	return as[Event](e), wrap("cuEventCreate", err)
}

func (*CUDA) EventDestroy(e Event) error {
	h := as[cu.Event](e)
	return wrap("cuEventDestroy", cu.DestroyEvent(&h))
}

func (*CUDA) EventRecord(e Event, s Stream) error {
	return wrap("cuEventRecord", as[cu.Event](e).Record(as[cu.Stream](s)))
}

func (*CUDA) EventSynchronize(e Event) error {
	return wrap("cuEventSynchronize", as[cu.Event](e).Synchronize())
}

func (*CUDA) EventDone(e Event) (bool, error) {
	return done("cuEventQuery", as[cu.Event](e).Query())
}

func (*CUDA) EventElapsed(from, to Event) (float64, error) {
	ms, err := as[cu.Event](from).Elapsed(as[cu.Event](to))
	return ms, wrap("cuEventElapsedTime", err)
}
