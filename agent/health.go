package agent

import (
	"mime"
	"net/http"

	"github.com/gin-gonic/gin"
)

// healthBody is the union of the bodies that managers read. Both memory
// figures are ours to define on a CPU, which has no VRAM: vram_bytes is what
// the callback said, vram_bytes_used what the device really holds.
type healthBody struct {
	Status        string           `json:"status"`
	VRAMBytes     int64            `json:"vram_bytes"`
	VRAMBytesUsed int64            `json:"vram_bytes_used"`
	Model         string           `json:"model"`
	Resident      bool             `json:"resident"`
	Missing       int64            `json:"missing_bytes,omitempty"`        // by the last residency check
	Held          map[string]int64 `json:"resident_bytes,omitempty"`       // by class, the same
	Process       int64            `json:"device_process_bytes,omitempty"` // of this process, by the device's management library
	QuantKind     string           `json:"quant_kind"`
	TokenizerKind string           `json:"tokenizer_kind"`
	VocabSize     int              `json:"vocab_size"`
	ContextLength int              `json:"context_length"`
	UptimeSeconds int64            `json:"uptime_seconds"`
	Capabilities  []string         `json:"capabilities"`
	Protocol      string           `json:"protocol"`
	Architecture  string           `json:"memory_architecture"`
	Digest        string           `json:"weights_digest,omitempty"`
	WorkerID      string           `json:"worker_id"`
	Epoch         string           `json:"epoch,omitempty"` // who looks for the worker it registered may find its successor on the port
	State         string           `json:"state"`
	Cause         string           `json:"cause,omitempty"`       // one word of the table of causes, when not ready
	FaultClass    string           `json:"fault_class,omitempty"` // one word for what the device has died of
	Since         string           `json:"since,omitempty"`       // of the cause, RFC 3339
	Reason        string           `json:"reason,omitempty"`      // the cause in words
	Progress      *Progress        `json:"progress,omitempty"`
}

var capabilities = []string{"text-gen"}

// health answers probes from atomics alone: it never waits for the device.
func (s *Server) health(c *gin.Context) {
	standing := s.machine.Standing()
	state, status := standing.State, standing.Cause.HealthStatus()
	if wantsText(c.GetHeader("Accept")) {
		text := "ok"
		if status != http.StatusOK {
			text = state.String()
		}
		c.Header("Content-Type", "text/plain; charset=utf-8")
		c.Status(status)
		writeBody(c, []byte(text))
		return
	}
	r := s.machine.Residency()
	b := healthBody{
		Status: "healthy", Resident: r.Resident, Held: r.Held, UptimeSeconds: int64(s.now().Sub(s.started).Seconds()),
		Capabilities: capabilities, Protocol: "sse", WorkerID: s.workerID, Epoch: s.epoch, State: state.String(),
		Model: s.model, Missing: r.Missing, Process: r.Process, FaultClass: s.machine.Fault(),
	}
	if s.guard.open { // /health needs no token, and a reason may name files
		b.Reason = standing.Reason
	}
	if status != http.StatusOK {
		b.Status = "unhealthy"
		b.Cause, b.Since = standing.words()
	}
	if state.loading() {
		p := s.machine.Progress()
		b.Progress = &p
	}
	if v := s.serving.Load(); v != nil {
		b.fill(v.info)
	}
	writeJSON(c, status, b)
}

func (b *healthBody) fill(i ModelInfo) {
	b.Model, b.QuantKind, b.TokenizerKind = i.Name, i.QuantKind, i.TokenizerKind
	b.VocabSize, b.ContextLength, b.Architecture = i.VocabSize, i.ContextLength, i.Architecture
	b.Digest = i.Digest
	b.VRAMBytes, b.VRAMBytesUsed = i.FileBytes, i.DeviceBytes
}

// wantsText holds for a caller that asks for plain text and nothing else.
func wantsText(accept string) bool {
	kind, _, err := mime.ParseMediaType(accept)
	return err == nil && kind == "text/plain"
}

// readyBody is what orchestrators poll while they wait for a worker.
type readyBody struct {
	Ready       bool   `json:"ready"`
	State       string `json:"state"`
	ProgressURL string `json:"progress_url,omitempty"`
	ModelLoaded bool   `json:"model_loaded"`
	WorkerState string `json:"worker_state"`
	Cause       string `json:"cause,omitempty"`
	Since       string `json:"since,omitempty"`
}

const progressPath = "/v1/loading/progress"

func (s *Server) ready(c *gin.Context) {
	standing := s.machine.Standing()
	state := standing.State
	b := readyBody{
		Ready: state.Accepts(), State: stateFacts[state].poll,
		ModelLoaded: s.serving.Load() != nil, WorkerState: state.String(),
	}
	if !b.Ready {
		b.Cause, b.Since = standing.words()
	}
	if state.loading() {
		b.ProgressURL = progressPath
	}
	writeJSON(c, http.StatusOK, b)
}
