package agent

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"llorch/inference"
)

// The frames of the typed, data-only dialect: each is one `data: ` line and a
// blank line, keys in the wire's order. They are built by hand into a reused
// buffer: a token is the unit of work here, and encoding/json would allocate
// for each, escape < > & and sort nothing the way the wire has it.

func openFrame(b []byte, kind string) []byte {
	b = append(b, `data: {"type":"`...)
	b = append(b, kind...)
	return append(b, '"')
}

func closeFrame(b []byte) []byte { return append(b, "}\n\n"...) }

func appendStarted(b []byte, jobID, model string, at time.Time) []byte {
	b = openFrame(b, "started")
	b = appendText(append(b, `,"job_id":`...), jobID)
	b = appendText(append(b, `,"model":`...), model)
	b = append(b, `,"started_at":"`...)
	b = at.UTC().AppendFormat(b, time.RFC3339)
	return closeFrame(append(b, '"'))
}

func appendToken(b []byte, text string, index int) []byte {
	b = openFrame(b, "token")
	b = appendText(append(b, `,"t":`...), text)
	b = strconv.AppendInt(append(b, `,"i":`...), int64(index), 10)
	return closeFrame(b)
}

// streamMeter is what a metrics frame reports of its stream.
type streamMeter struct {
	tokens  int
	elapsed time.Duration // since the stream started
	bytes   int64         // held on the device
}

// appendMetrics writes the union of the two shapes clients know.
func appendMetrics(b []byte, jobID string, m streamMeter) []byte {
	var rate float64
	if m.elapsed > 0 {
		rate = float64(m.tokens) / m.elapsed.Seconds()
	}
	b = openFrame(b, "metrics")
	b = appendFloat32(append(b, `,"tokens_per_sec":`...), float32(rate))
	b = strconv.AppendInt(append(b, `,"vram_bytes":`...), m.bytes, 10)
	b = appendText(append(b, `,"job_id":`...), jobID)
	b = strconv.AppendInt(append(b, `,"tokens_out":`...), int64(m.tokens), 10)
	b = strconv.AppendInt(append(b, `,"decode_time_ms":`...), m.elapsed.Milliseconds(), 10)
	return closeFrame(b)
}

func appendEnd(b []byte, end *inference.End) []byte {
	b = openFrame(b, "end")
	b = strconv.AppendInt(append(b, `,"tokens_out":`...), int64(end.TokensOut), 10)
	b = strconv.AppendInt(append(b, `,"decode_time_ms":`...), end.Decode.Milliseconds(), 10)
	b = append(b, `,"stop_reason":"`...)
	b = append(append(b, end.Reason...), '"')
	if end.Reason == inference.StopSequence {
		b = appendText(append(b, `,"stop_sequence_matched":`...), end.Matched)
	}
	return closeFrame(b)
}

func appendError(b []byte, code inference.Code, message string, retriable bool) []byte {
	b = openFrame(b, "error")
	b = appendText(append(b, `,"code":`...), string(code))
	b = appendText(append(b, `,"message":`...), message)
	b = strconv.AppendBool(append(b, `,"retriable":`...), retriable)
	return closeFrame(b)
}

const doneFrame = "data: [DONE]\n\n"

// appendFloat32 writes f shortest, always with a point: readers of the old
// wire saw "12.0", never "12".
func appendFloat32(b []byte, f float32) []byte {
	if math.IsInf(float64(f), 0) || f != f {
		return append(b, "0.0"...)
	}
	n := len(b)
	b = strconv.AppendFloat(b, float64(f), 'f', -1, 32)
	for _, c := range b[n:] {
		if c == '.' {
			return b
		}
	}
	return append(b, ".0"...)
}

const hexDigits = "0123456789abcdef"

// appendText writes s as a JSON string. Besides what JSON asks for only `[` is
// escaped: there are clients that stop reading at any line with the letters
// [DONE] in it, wherever they come from.
func appendText(b []byte, s string) []byte { return appendString(b, s, true) }

// appendString writes s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD, so that one bad string cannot make a whole line unreadable.
func appendString(b []byte, s string, bracket bool) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' && !(bracket && c == '[') {
			i++
			continue
		}
		b = appendEscaped(append(b, s[from:i]...), c)
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
