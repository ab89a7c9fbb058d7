package agent

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"llorch/inference"
)

// The expected bytes are written out by hand from the wire's description.
func TestFrames(t *testing.T) {
	at := time.Date(2025, 11, 2, 9, 0, 0, 5, time.FixedZone("", 3600))
	cases := []struct{ name, got, want string }{
		{"started", string(appendStarted(nil, "j1", "mini", at)),
			`data: {"type":"started","job_id":"j1","model":"mini","started_at":"2025-11-02T08:00:00Z"}`},
		{"token", string(appendToken(nil, " sky", 0)), `data: {"type":"token","t":" sky","i":0}`},
		{"end", string(appendEnd(nil, &inference.End{TokensOut: 1, Decode: 9 * time.Millisecond, Reason: inference.StopMaxTokens})),
			`data: {"type":"end","tokens_out":1,"decode_time_ms":9,"stop_reason":"MAX_TOKENS"}`},
		{"end by stop", string(appendEnd(nil, &inference.End{Reason: inference.StopSequence, Matched: "\n\n"})),
			`data: {"type":"end","tokens_out":0,"decode_time_ms":0,"stop_reason":"STOP_SEQUENCE","stop_sequence_matched":"\n\n"}`},
		{"error", string(appendError(nil, inference.CodeTimeout, "late", true)),
			`data: {"type":"error","code":"TIMEOUT","message":"late","retriable":true}`},
		{"metrics", string(appendMetrics(nil, "j", streamMeter{6, 500 * time.Millisecond, 1500})),
			`data: {"type":"metrics","tokens_per_sec":12.0,"vram_bytes":1500,"job_id":"j","tokens_out":6,"decode_time_ms":500}`},
	}
	for _, c := range cases {
		if c.got != c.want+"\n\n" {
			t.Errorf("%s:\n got %s\nwant %s", c.name, c.got, c.want)
		}
	}
}

func TestTextIsEscapedAsOldClientsNeed(t *testing.T) {
	got := string(appendText(nil, "[DONE] <a&b> \"q\" \\ \x00\x1f\b\f\n\r\t\u2028é\x7f]\xff"))
	want := `"\u005bDONE] <a&b> \"q\" \\ \u0000\u001f\b\f\n\r\t` + "\u2028é\x7f]\ufffd" + `"`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTextReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		b := appendText(nil, s)
		var back string
		if err := json.Unmarshal(b, &back); err != nil || back != s || !utf8.Valid(b) || strings.ContainsAny(string(b), "[\n") {
			t.Fatalf("%q → %s → %q, %v", s, b, back, err)
		}
	})
}

func TestFloat32OnTheWire(t *testing.T) {
	for f, want := range map[float32]string{0: "0.0", 12.5: "12.5", 1e10: "10000000000.0", 0.1: "0.1", float32(math.Inf(1)): "0.0"} {
		if got := string(appendFloat32(nil, f)); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

func TestTokenFrameDoesNotAllocate(t *testing.T) {
	b := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { b = appendToken(b[:0], " naïve [x]\n", 12345) }); n != 0 {
		t.Errorf("%v allocations for a token frame", n)
	}
}

func BenchmarkTokenFrame(b *testing.B) {
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for i := range b.N {
		buf = appendToken(buf[:0], " house", i)
	}
}
