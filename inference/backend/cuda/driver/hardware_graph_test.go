//go:build cuda

package driver_test

import (
	"testing"
	"time"

	. "llorch/inference/backend/cuda/driver"
	"llorch/inference/backend/cuda/driver/drivertest"
)

const links = 200 // launches of a chain

// launchChain puts links launches into s, each of which checks that the one before
// it is done.
func launchChain(t *testing.T, d Driver, f Function, s Stream, counter Ptr, programmatic bool) {
	t.Helper()
	c := Blocks(1, 32)
	c.Programmatic = programmatic
	p := chainParams{counter: counter}
	if programmatic {
		p.early = 1
	}
	for i := range uint32(links) {
		p.step = i
		ok(t, d.Launch(f, s, c, Params(&p)))
	}
}

// runs wants rounds runs of a chain in counter, and clears it.
func runs(t *testing.T, d Driver, s Stream, counter Ptr) {
	t.Helper()
	got := drivertest.Download[uint32](t, d, counter, 2)
	if got[0] != links || got[1] != links {
		t.Errorf("%d of %d launches ran, %d in order", got[0], links, got[1])
	}
	ok(t, d.Memset32Async(counter, 0, 2, s), d.StreamSynchronize(s))
}

// One chain, launched and as a graph, with and without programmatic launches.
func TestGraph(t *testing.T) {
	d := drivertest.Open(t)
	f, s := kernel(t, d, "chain"), drivertest.Stream(t, d)
	counter := drivertest.Upload(t, d, []uint32{0, 0})
	for _, programmatic := range []bool{false, true} {
		if programmatic && capability(t, d) < 90 {
			t.Log("programmatic launches need compute capability 9.0")
			continue
		}
		// The first launches of the kernel are captured ones: it is loaded already.
		ok(t, d.CaptureBegin(s))
		launchChain(t, d, f, s, counter, programmatic)
		g := must[Graph](t)(d.CaptureEnd(s))
		if n := must[int](t)(d.GraphNodes(g)); n != links {
			t.Errorf("%d nodes", n)
		}
		x := must[Exec](t)(d.GraphInstantiate(g))
		ok(t, d.GraphDestroy(g), d.GraphUpload(x, s), d.StreamSynchronize(s))
		for range 3 {
			ok(t, d.GraphLaunch(x, s))
			runs(t, d, s, counter)
		}
		timeGraph(t, d, x, s, programmatic)
		ok(t, d.Memset32Async(counter, 0, 2, s), d.StreamSynchronize(s), d.ExecDestroy(x))
		launchChain(t, d, f, s, counter, programmatic)
		runs(t, d, s, counter)
	}
}

func timeGraph(t *testing.T, d Driver, x Exec, s Stream, programmatic bool) {
	t.Helper()
	from, to := must[Event](t)(d.EventCreate(true)), must[Event](t)(d.EventCreate(true))
	const rounds = 50
	ok(t, d.EventRecord(from, s))
	began := time.Now()
	for range rounds {
		ok(t, d.GraphLaunch(x, s))
	}
	host := time.Since(began)
	ok(t, d.EventRecord(to, s), d.EventSynchronize(to))
	ms := must[float64](t)(d.EventElapsed(from, to))
	t.Logf("programmatic %v: %.2f µs a launch within a graph of %d, %.1f µs of the host a graph",
		programmatic, ms*1000/rounds/links, links, float64(host.Microseconds())/rounds)
	if done := must[bool](t)(d.EventDone(to)); !done {
		t.Error("an event that was waited for is not done")
	}
	ok(t, d.EventDestroy(from), d.EventDestroy(to))
}

// A capture that breaks is an error, and the stream serves again.
func TestCaptureBreaks(t *testing.T) {
	d := drivertest.Open(t)
	f, s := kernel(t, d, "chain"), drivertest.Stream(t, d)
	counter := drivertest.Upload(t, d, []uint32{0, 0})
	ok(t, d.CaptureBegin(s))
	if err := d.StreamSynchronize(s); err == nil {
		t.Error("a stream that is captured can be waited for")
	} else if IsSticky(err) {
		t.Errorf("a broken capture counts as sticky: %v", err)
	}
	if g, err := d.CaptureEnd(s); err == nil || g != 0 {
		t.Errorf("a broken capture gives graph %#x, %v", g, err)
	}
	launchChain(t, d, f, s, counter, false)
	runs(t, d, s, counter)
}

func TestStreamsWait(t *testing.T) {
	d := drivertest.Open(t)
	f, first, second := kernel(t, d, "chain"), drivertest.Stream(t, d), drivertest.Stream(t, d)
	counter := drivertest.Upload(t, d, []uint32{0, 0})
	e := must[Event](t)(d.EventCreate(false))
	launchChain(t, d, f, first, counter, false)
	p := chainParams{counter: counter, step: links}
	ok(t, d.EventRecord(e, first), d.StreamWait(second, e), d.Launch(f, second, Blocks(1, 32), Params(&p)), d.StreamSynchronize(second))
	if got := drivertest.Download[uint32](t, d, counter, 2); got[0] != links+1 || got[1] != links+1 {
		t.Errorf("the second stream did not wait: %d", got)
	}
	if done := must[bool](t)(d.StreamDone(second)); !done {
		t.Error("a stream that was waited for is not empty")
	}
	ok(t, d.EventDestroy(e))
}

// What a launch costs the host, Go and C and driver.
func BenchmarkLaunch(b *testing.B) {
	d := drivertest.Open(b)
	m, err := d.ModuleLoad(checks)
	if err != nil {
		b.Fatal(err)
	}
	f, err := d.ModuleFunction(m, "chain")
	if err != nil {
		b.Fatal(err)
	}
	s := drivertest.Stream(b, d)
	p := chainParams{counter: drivertest.Upload(b, d, []uint32{0, 0})}
	c := Blocks(1, 32)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := d.Launch(f, s, c, Params(&p)); err != nil {
			b.Fatal(err)
		}
		if i%512 == 0 { // the queue of launches is not to fill up
			if err := d.StreamSynchronize(s); err != nil {
				b.Fatal(err)
			}
		}
	}
}
