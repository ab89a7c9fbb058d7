package callback

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// The profiles: which body a receiver expects.
const (
	ProfileAuto = "auto" // by the URL's path
	ProfileV1   = "v1"
	ProfileV1S  = "v1s"
	ProfileV2   = "v2"
	ProfileNone = "none" // no call at all
)

// Ready is what a worker says of itself; a profile sends the part its receiver knows.
type Ready struct {
	WorkerID     string
	Epoch        string // see NewEpoch
	URI          string // base address the worker is reached at, http://host:port
	ModelRef     string // required by v1s and v2
	Backend      string // cpu, cuda, metal; required by v2
	Architecture string // ram, vram-only, unified
	WorkerType   string // program and device, cpu, cuda …
	Device       int    // index within the backend
	VRAMBytes    int64  // size of the weight files on every backend, CPU included: what managers compare
	MemoryBytes  int64  // what the worker really holds: weights, cache and scratch
	Capabilities []string
	Evidence     Evidence
}

// Evidence is what the worker has seen of itself, for a receiver that wants to check rather than believe.
type Evidence struct {
	ResidentBytes map[string]int64 `json:"resident_bytes"`           // by class: weights, cache, scratch
	WeightsDigest string           `json:"weights_digest,omitempty"` // of the model's files, where they were read through
	LoadSeconds   float64          `json:"load_seconds"`
	DeviceName    string           `json:"device_name"`
	DeviceUUID    string           `json:"device_uuid,omitempty"` // a CPU has none
}

// The field order of these structs is the key order on the wire.

type readyV1 struct {
	WorkerID  string `json:"worker_id"`
	VRAMBytes int64  `json:"vram_bytes"`
	URI       string `json:"uri"`
}

type readyV1S struct {
	readyV1
	ModelRef string `json:"model_ref"`
	superset
}

type readyV2 struct {
	WorkerID  string `json:"worker_id"`
	URL       string `json:"url"`
	ModelRef  string `json:"model_ref"`
	Backend   string `json:"backend"`
	Device    int    `json:"device"`
	URI       string `json:"uri"` // the same as url, under the name of the other profiles
	VRAMBytes int64  `json:"vram_bytes"`
	superset
}

type superset struct {
	MemoryBytes  int64    `json:"memory_bytes"`
	Architecture string   `json:"memory_architecture"`
	WorkerType   string   `json:"worker_type"`
	Capabilities []string `json:"capabilities"`
	Epoch        string   `json:"epoch"`
	Evidence     Evidence `json:"evidence"`
}

// ProfileFor chooses the profile by the path of a callback URL.
func ProfileFor(callbackURL string) string {
	u, err := url.Parse(callbackURL)
	if err != nil {
		return ProfileV1
	}
	path := strings.TrimSuffix(u.Path, "/")
	switch {
	case strings.HasSuffix(path, "/v2/internal/workers/ready"):
		return ProfileV1S
	case strings.HasSuffix(path, "/v1/workers/ready"):
		return ProfileV2
	}
	return ProfileV1
}

// body returns the compact JSON of r for a profile other than none and auto. A field that the profile's receiver
// requires and r leaves empty is an error: the receiver would answer 4xx without naming it.
func (r Ready) body(profile string) ([]byte, error) {
	required := []struct{ name, value string }{{"worker id", r.WorkerID}, {"address", r.URI}}
	if profile != ProfileV1 {
		required = append(required, struct{ name, value string }{"model reference", r.ModelRef})
	}
	if profile == ProfileV2 {
		required = append(required, struct{ name, value string }{"backend", r.Backend})
	}
	for _, f := range required {
		if f.value == "" {
			return nil, fmt.Errorf("callback: profile %s needs a %s", profile, f.name)
		}
	}
	v1 := readyV1{WorkerID: r.WorkerID, VRAMBytes: r.VRAMBytes, URI: r.URI}
	s := superset{r.MemoryBytes, r.Architecture, r.WorkerType, r.Capabilities, r.Epoch, r.Evidence}
	if s.Capabilities == nil {
		s.Capabilities = []string{} // receivers decode a list, null fails there
	}
	if s.Evidence.ResidentBytes == nil {
		s.Evidence.ResidentBytes = map[string]int64{}
	}
	switch profile {
	case ProfileV1:
		return compact(v1)
	case ProfileV1S:
		return compact(readyV1S{v1, r.ModelRef, s})
	case ProfileV2:
		return compact(readyV2{r.WorkerID, r.URI, r.ModelRef, r.Backend, r.Device, r.URI, r.VRAMBytes, s})
	}
	return nil, fmt.Errorf("callback: unknown profile %q: give auto, v1, v1s, v2 or none", profile)
}

// compact is JSON without HTML escapes: &, < and > in a model reference stay as they are for every reader.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("callback: encode: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
