package inference

import (
	"context"
	"time"
)

// Progress is where loading stands.
type Progress struct {
	Phase               string  // "populate", "verify", "place", "quantize", "cache", "warmup"
	Done, Total         int64   // bytes of the files that are in memory and, where they are checked, checked
	Layers, LayersTotal int     // the same as layers
	Share               float64 // of the whole load, 0 to 1; never falls, and is 1 only after the last step
}

// The shares of a load's steps. The bytes dominate wherever a load takes long
// enough to be watched; the rest is kept so that no bar stands at its end while
// memory is still being cleared.
const (
	shareBytes  = 0.90
	sharePlace  = 0.01
	shareCache  = 0.04
	shareWarmUp = 0.05

	// ShareTail is what is left when all bytes are loaded.
	ShareTail = 1 - shareBytes
)

// loadMeter turns the steps of a load into progress. It belongs to the loading
// goroutine.
type loadMeter struct {
	tell   func(Progress) // nil: nobody listens
	loaded func() int64   // bytes; nil: none yet
	now    Progress
	placed float64 // the three are 0 to 1
	cache  float64
	warm   float64
}

func newLoadMeter(tell func(Progress), total int64, layers int) *loadMeter {
	return &loadMeter{tell: tell, now: Progress{Total: total, LayersTotal: layers}}
}

// converting returns what model.Limits.Placed is: it counts bytes of total that
// get another format, and ends the load when ctx ends. A byte then counts as
// loaded half when it is in memory and half when it has its format.
func (m *loadMeter) converting(ctx context.Context, total int64) func(int64) error {
	if total == 0 {
		return nil
	}
	done, told, read := int64(0), time.Now(), m.loaded
	m.loaded = func() int64 { return (read() + int64(float64(done)/float64(total)*float64(m.now.Total))) / 2 }
	return func(n int64) error {
		done += n
		if now := time.Now(); now.Sub(told) >= tellEvery {
			told = now
			m.step("quantize")
		}
		return ctx.Err()
	}
}

// step tells where the load stands.
func (m *loadMeter) step(phase string) {
	if m.loaded != nil {
		m.now.Done = max(m.loaded(), m.now.Done)
		m.now.Layers = int(int64(m.now.LayersTotal) * m.now.Done / max(m.now.Total, 1))
	}
	m.now.Phase = phase
	m.now.Share = shareBytes*float64(m.now.Done)/float64(max(m.now.Total, 1)) +
		sharePlace*m.placed + shareCache*m.cache + shareWarmUp*m.warm
	if m.tell != nil {
		m.tell(m.now)
	}
}

// tellEvery is how often a wait says that it goes on.
const tellEvery = 250 * time.Millisecond
