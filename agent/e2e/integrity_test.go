package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"llorch/deploy/demo/standin"
)

// verify --write, one flipped bit, refused before anybody is told of a worker.
func TestFlippedBitIsRefused(t *testing.T) {
	dir := copyModel(t)
	if status, _, _ := command(t, "", "verify", dir); status != 1 {
		t.Errorf("verify without a manifest: exit status %d, want 1", status)
	}
	status, out, errs := command(t, "", "verify", dir, "--write", "--json")
	var report struct{ Digest string }
	if err := json.Unmarshal([]byte(out), &report); status != 0 || err != nil || report.Digest == "" {
		t.Fatalf("verify --write: %d %v\n%s%s", status, err, out, errs)
	}
	if status, out, _ := command(t, "", "verify", dir); status != 0 || !strings.Contains(out, report.Digest) {
		t.Errorf("verify: %d\n%s", status, out)
	}
	f := spawn(t, standin.Spawn{Model: dir})
	f.healthy()
	if _, body := f.get("GET", "/health", nil); !strings.Contains(body, `"weights_digest":"`+report.Digest+`"`) {
		t.Errorf("no %s in %s", report.Digest, body)
	}

	const at = 1 << 20 // inside the embedding table, the first tensor
	shard, err := os.OpenFile(firstShard(t, dir), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer shard.Close()
	var b [1]byte
	if _, err := shard.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := shard.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	o := orchestrate(t, nil)
	f = spawn(t, standin.Spawn{Model: dir, CallbackURL: o.URL("/ready")})
	f.exits(1, time.Minute)
	line, ok := f.Find("error")
	if text, _ := line.Fields["error"].(string); !ok || !strings.Contains(text, firstShard(t, dir)) || !strings.Contains(text, `tensor "model.embed_tokens.weight"`) {
		t.Errorf("%+v", line)
	}
	if calls := o.Calls(); len(calls) > 0 {
		t.Errorf("the orchestrator was told: %+v", calls)
	}
	status, out, _ = command(t, "", "verify", dir)
	if status != 1 || !strings.Contains(out, "model.embed_tokens.weight") {
		t.Errorf("verify: %d\n%s", status, out)
	}
	if status, _, errs := command(t, "", "verify", dir, "--write"); status != 1 || !strings.Contains(errs, "--force") {
		t.Errorf("verify --write over a manifest that differs: %d\n%s", status, errs)
	}
	if status, _, _ := command(t, "", "verify", dir, "--force"); status != 2 {
		t.Errorf("--force alone: exit status %d, want 2", status)
	}
}
