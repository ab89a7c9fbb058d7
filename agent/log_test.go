package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"
)

func TestLogLineHasTheWiresShape(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, slog.LevelInfo, false).With("worker_id", "w-1").WithGroup("plan").With("bytes", 5)
	log.Debug("not shown")
	log.Warn("a \"b\"\n<c>", "err", errors.New("x\ny"), "f", 0.25, "nan", math.NaN(), "d", 2*time.Second, "ok", true,
		"list", []string{"a"}, slog.Group("g", "n", uint64(math.MaxUint64)))
	var line struct {
		Timestamp time.Time      `json:"timestamp"`
		Level     string         `json:"level"`
		Fields    map[string]any `json:"fields"`
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || strings.Count(out.String(), "\n") != 1 {
		t.Fatalf("%v: %s", err, out.String())
	}
	if line.Level != "WARN" || time.Since(line.Timestamp).Abs() > time.Minute {
		t.Errorf("%+v", line)
	}
	for k, want := range map[string]any{
		"message": "a \"b\"\n<c>", "worker_id": "w-1", "plan.bytes": 5.0, "plan.err": "x\ny", "plan.f": 0.25, "plan.nan": nil,
		"plan.d": "2s", "plan.ok": true, "plan.g.n": float64(math.MaxUint64),
	} {
		if line.Fields[k] != want {
			t.Errorf("%s: %v, want %v", k, line.Fields[k], want)
		}
	}
	if !strings.Contains(out.String(), `"level":"WARN","fields":{"message":`) {
		t.Error(out.String())
	}
}

// What a caller sends cannot forge a line or move a terminal's cursor.
func TestPrettyLogIsOneSafeLine(t *testing.T) {
	var out bytes.Buffer
	NewLogger(&out, slog.LevelInfo, true).Info("cancel", "job_id", "a\n12:00 ERROR fake \x1b[2J", "n", 3, "cause", "")
	if s := out.String(); strings.Count(s, "\n") != 1 || strings.Contains(s, "\x1b") || !strings.Contains(s, `job_id="a\n12:00`) || !strings.Contains(s, " n=3") {
		t.Errorf("%q", s)
	}
}
