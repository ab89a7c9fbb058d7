package callback

import (
	"net/url"
	"strings"
	"time"
)

// Beat is how the worker is at the moment of a heartbeat.
type Beat struct {
	Healthy bool   // it takes work
	Status  string // starting, ready, busy, stopping, stopped
}

// Card is what heartbeats say of a worker and never changes.
type Card struct {
	WorkerID       string
	ModelRef       string
	Device         string // cpu:0, cuda:1 …
	Port           int
	Implementation string
	Version        string
}

// The paths of heartbeats below the address of their receiver.
const (
	hivePath  = "/v1/heartbeat"
	queenPath = "/v1/worker-heartbeat"
)

// below appends a path to an address that may end in a slash.
func below(base *url.URL, path string) *url.URL {
	u := *base
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/")+path, ""
	return &u
}

type hiveBeat struct {
	WorkerID  string `json:"worker_id"`
	Timestamp string `json:"timestamp"` // RFC 3339 in UTC
	Health    string `json:"health_status"`
}

type queenBeat struct {
	Worker    queenWorker `json:"worker"`
	Timestamp string      `json:"timestamp"`
}

type queenWorker struct {
	ID             string `json:"id"`
	ModelID        string `json:"model_id"`
	Device         string `json:"device"`
	Port           int    `json:"port"`
	Status         string `json:"status"`
	Implementation string `json:"implementation"`
	Version        string `json:"version"`
}

func (c Card) hiveBody(b Beat, now time.Time) ([]byte, error) {
	health := "degraded"
	if b.Healthy {
		health = "healthy"
	}
	return compact(hiveBeat{c.WorkerID, now.UTC().Format(time.RFC3339), health})
}

func (c Card) queenBody(b Beat, now time.Time) ([]byte, error) {
	return compact(queenBeat{
		queenWorker{c.WorkerID, c.ModelRef, c.Device, c.Port, b.Status, c.Implementation, c.Version},
		now.UTC().Format(time.RFC3339),
	})
}

// DrainReport is what became of the requests of a worker that drained.
type DrainReport struct {
	Completed int
	Cut       int
	Refused   int     // since the drain began
	Seconds   float64 // from its beginning to its end
}

type farewell struct {
	WorkerID string `json:"worker_id"`
	Epoch    string `json:"epoch"`
	State    string `json:"state"` // draining, then drained
}

type report struct {
	farewell
	Completed int     `json:"completed"`
	Cut       int     `json:"cut"`
	Refused   int     `json:"refused"`
	Seconds   float64 `json:"seconds"`
}

func (c Card) drainingBody(epoch string) ([]byte, error) {
	return compact(farewell{c.WorkerID, epoch, "draining"})
}

func (c Card) drainedBody(epoch string, r DrainReport) ([]byte, error) {
	return compact(report{farewell{c.WorkerID, epoch, "drained"}, r.Completed, r.Cut, r.Refused, r.Seconds})
}
