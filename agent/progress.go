package agent

import (
	"fmt"
	"time"
)

// Progress is how far loading has come. Bytes and layers are of the model's
// weights; percent is of the whole load, what follows the last byte included, and
// is 100 only when all is done. They stay at their last values then.
type Progress struct {
	Phase       string `json:"phase"`
	Percent     int    `json:"percent"`
	BytesDone   int64  `json:"bytes_done"`
	BytesTotal  int64  `json:"bytes_total"`
	Layers      int    `json:"layers_loaded"`
	LayersTotal int    `json:"layers_total"`
	Rate        int64  `json:"bytes_per_second,omitempty"` // of late; 0: not known
	ETA         int64  `json:"eta_ms,omitempty"`           // until the worker can register; 0: not known
}

// Progress returns the last recorded progress.
func (m *Machine) Progress() Progress { return *m.progress.Load() }

// SetProgress records progress. A percentage that is not given is that of the
// bytes. It never goes back: a bar that jumps backwards reads as a restart.
func (m *Machine) SetProgress(p Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.progress.Load()
	if p.Percent == 0 && p.BytesTotal > 0 {
		p.Percent = int(p.BytesDone * 100 / p.BytesTotal)
	}
	p.Percent = min(max(p.Percent, last.Percent), 100)
	m.progress.Store(&p)
}

// left says for people how long it will take yet, "" where that is not known.
func (p Progress) left() string {
	if p.ETA == 0 {
		return ""
	}
	left := (time.Duration(p.ETA) * time.Millisecond).Round(time.Second)
	return fmt.Sprintf(", %d MiB/s, %v left", p.Rate>>20, left)
}
