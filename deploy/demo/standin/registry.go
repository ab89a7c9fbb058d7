package standin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Registry is what an orchestrator remembers: which process has which identity.
// Its Answer may be that of a Listener. A heartbeat of a worker that it does not
// know is answered 404, any call of a second process with an identity whose
// lease has not ended 409, a call with a wrong signature 401.
type Registry struct {
	Lease  time.Duration // from the last call of a worker; 0: for ever
	Secret []byte        // nil: signatures are not asked for

	mu      sync.Mutex
	members map[string]Member
	refused []string
}

// Member is one registered worker.
type Member struct {
	Epoch  string
	Seen   time.Time
	Ready  int    // ready calls of this epoch
	Beats  int    // heartbeats of this epoch
	State  string // ready, draining, drained
	Report []byte // body of the call that told of the drain's end
}

// Forget is a restart with lost state.
func (r *Registry) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = nil
}

// Member looks a worker up.
func (r *Registry) Member(id string) (Member, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.members[id]
	return m, ok
}

// Refused lists why calls were answered other than 200.
func (r *Registry) Refused() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.refused...)
}

// Take gives an identity to another process.
func (r *Registry) Take(id, epoch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members == nil {
		r.members = map[string]Member{}
	}
	r.members[id] = Member{Epoch: epoch, Seen: time.Now(), State: "ready"}
}

// Answer takes one call: a heartbeat or a farewell by its path, else a ready call.
func (r *Registry) Answer(_ int, c Call) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	epoch := c.Header.Get("X-Llorch-Epoch")
	id := identity(c.Body)
	if r.Secret != nil {
		if err := checkSignature(r.Secret, c, epoch); err != nil {
			return r.refuse(http.StatusUnauthorized, "%s: %v", id, err)
		}
	}
	m, known := r.members[id]
	if known && r.Lease > 0 && c.At.Sub(m.Seen) > r.Lease {
		known = false
	}
	switch {
	case known && m.Epoch != epoch:
		return r.refuse(http.StatusConflict, "%s: epoch %s has it, %s wants it", id, m.Epoch, epoch)
	case strings.HasSuffix(c.Path, "heartbeat"):
		if !known {
			return r.refuse(http.StatusNotFound, "%s: heartbeat of a stranger", id)
		}
		m.Beats++
	case strings.HasSuffix(c.Path, "/deregister"):
		m.Epoch = epoch
		m.State = word(c.Body, "state")
		if m.State == "drained" {
			m.Report = c.Body
		}
	default:
		if !known {
			m = Member{Epoch: epoch, State: "ready"}
		}
		m.Ready++
	}
	m.Seen = c.At
	if r.members == nil {
		r.members = map[string]Member{}
	}
	r.members[id] = m
	return http.StatusOK
}

func (r *Registry) refuse(status int, format string, args ...any) int {
	r.refused = append(r.refused, fmt.Sprintf(format, args...))
	return status
}

// identity finds the worker's id in any of the bodies.
func identity(body []byte) string {
	var b struct {
		ID     string              `json:"worker_id"`
		Worker struct{ ID string } `json:"worker"`
	}
	_ = json.Unmarshal(body, &b) // what has no id is nobody's
	if b.ID == "" {
		return b.Worker.ID
	}
	return b.ID
}

func word(body []byte, name string) string {
	var b map[string]any
	_ = json.Unmarshal(body, &b)
	s, _ := b[name].(string)
	return s
}

// maxAge is for how long a signed call may be under way.
const maxAge = 5 * time.Minute

// checkSignature is written from the description in the worker's README, not
// from its code.
func checkSignature(secret []byte, c Call, epoch string) error {
	t, v1, ok := strings.Cut(strings.TrimPrefix(c.Header.Get("X-Llorch-Signature"), "t="), ",v1=")
	seconds, err := strconv.ParseInt(t, 10, 64)
	if !ok || err != nil {
		return fmt.Errorf("no signature in %q", c.Header.Get("X-Llorch-Signature"))
	}
	if age := c.At.Sub(time.Unix(seconds, 0)).Abs(); age > maxAge {
		return fmt.Errorf("a signature of another time, %v away", age)
	}
	got, err := hex.DecodeString(v1)
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", t, epoch, c.Body)
	if err != nil || !hmac.Equal(got, mac.Sum(nil)) {
		return fmt.Errorf("the signature does not fit the body")
	}
	return nil
}
