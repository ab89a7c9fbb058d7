package bench

import (
	"fmt"
	"strings"
	"time"

	"llorch/inference"
)

// Phase is a part of a load, by the names of inference.Progress. What comes before the
// first of them is "open": headers, tokenizer, the device.
type Phase struct {
	Name string        `json:"name"`
	Took time.Duration `json:"ns"`
}

// phaseMeter takes the times of a load from its progress. step is called on one
// goroutine at a time.
type phaseMeter struct {
	began time.Time // of the load
	since time.Time // of the last phase, zero before the first
	all   []Phase
}

func (m *phaseMeter) step(p inference.Progress) {
	if len(m.all) > 0 && m.all[len(m.all)-1].Name == p.Phase {
		return
	}
	now := time.Now()
	m.close(now)
	m.all, m.since = append(m.all, Phase{Name: p.Phase}), now
}

// close ends the phase under way.
func (m *phaseMeter) close(now time.Time) {
	if len(m.all) == 0 {
		m.all = append(m.all, Phase{Name: "open", Took: now.Sub(m.began)})
		return
	}
	if !m.since.IsZero() {
		m.all[len(m.all)-1].Took = now.Sub(m.since)
	}
}

// end returns the time of the whole load and its parts.
func (m *phaseMeter) end() (time.Duration, []Phase) {
	now := time.Now()
	m.close(now)
	return now.Sub(m.began), m.all
}

// phasesText names what took a hundredth of a second at least.
func phasesText(all []Phase) string {
	var parts []string
	for _, p := range all {
		if p.Took >= 10*time.Millisecond {
			parts = append(parts, fmt.Sprintf("%s %.2f", p.Name, p.Took.Seconds()))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
