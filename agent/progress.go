package agent

// Progress is how far loading has come. Bytes and layers are of the model's
// weights; they stay at their last values once loading is over.
type Progress struct {
	Phase       string `json:"phase"`
	Percent     int    `json:"percent"`
	BytesDone   int64  `json:"bytes_done"`
	BytesTotal  int64  `json:"bytes_total"`
	Layers      int    `json:"layers_loaded"`
	LayersTotal int    `json:"layers_total"`
}

// Progress returns the last recorded progress.
func (m *Machine) Progress() Progress { return *m.progress.Load() }

// SetProgress records progress. Percent is taken from the bytes and never goes
// back: phases overlap, and a bar that jumps backwards reads as a restart.
func (m *Machine) SetProgress(p Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.progress.Load()
	if p.BytesTotal > 0 {
		p.Percent = int(p.BytesDone * 100 / p.BytesTotal)
	}
	p.Percent = min(max(p.Percent, last.Percent), 100)
	m.progress.Store(&p)
}
