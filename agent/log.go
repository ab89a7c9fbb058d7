package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// NewLogger returns a logger that writes one line per record to w: JSON in the
// wire's shape, {"timestamp","level","fields":{"message",…}}, or text for
// people where pretty is set. Nothing a caller sends can break a line.
func NewLogger(w io.Writer, level slog.Level, pretty bool) *slog.Logger {
	return slog.New(&logHandler{out: &logOutput{w: w}, level: level, pretty: pretty})
}

// logOutput is shared by a handler and those derived from it.
type logOutput struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
}

type logHandler struct {
	out    *logOutput
	level  slog.Level
	pretty bool
	prefix string // of group names, each with its dot
	attrs  []byte // of With, encoded
}

func (h *logHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *logHandler) WithGroup(name string) slog.Handler {
	g := *h
	if name != "" {
		g.prefix += name + "."
	}
	return &g
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	g := *h
	g.attrs = append([]byte(nil), h.attrs...)
	for _, a := range attrs {
		g.attrs = h.appendAttr(g.attrs, h.prefix, a)
	}
	return &g
}

func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	b := h.out.buf[:0]
	if h.pretty {
		b = append(r.Time.AppendFormat(b, "15:04:05.000 "), fmt.Sprintf("%-5s ", r.Level)...)
		b = appendPlain(b, r.Message)
	} else {
		b = append(r.Time.UTC().AppendFormat(append(b, `{"timestamp":"`...), "2006-01-02T15:04:05.000000Z"), `","level":"`...)
		b = appendString(append(append(b, r.Level.String()...), `","fields":{"message":`...), r.Message, false)
	}
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = h.appendAttr(b, h.prefix, a)
		return true
	})
	if !h.pretty {
		b = append(b, "}}"...)
	}
	b = append(b, '\n')
	h.out.buf = b
	_, err := h.out.w.Write(b)
	return err
}

// appendAttr writes a field; groups become dotted names, empty fields vanish.
func (h *logHandler) appendAttr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return b
	}
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			b = h.appendAttr(b, prefix, member)
		}
		return b
	}
	if h.pretty {
		b = append(append(append(append(b, ' '), prefix...), a.Key...), '=')
		if v.Kind() == slog.KindString || v.Kind() == slog.KindAny {
			return appendPlain(b, plainText(v))
		}
		return appendValue(b, v)
	}
	b = append(appendString(append(b, ','), prefix+a.Key, false), ':')
	return appendValue(b, v)
}

// appendValue writes v as JSON.
func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendString(b, v.String(), false)
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindFloat64:
		if f := v.Float64(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return strconv.AppendFloat(b, f, 'g', 6, 64)
		}
		return append(b, "null"...) // JSON has no word for it
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return appendString(b, v.Duration().String(), false)
	case slog.KindTime:
		return appendString(b, v.Time().UTC().Format(time.RFC3339Nano), false)
	}
	switch v.Any().(type) {
	case error, fmt.Stringer:
		return appendString(b, plainText(v), false)
	}
	if j, err := json.Marshal(v.Any()); err == nil {
		return append(b, j...)
	}
	return appendString(b, plainText(v), false)
}

func plainText(v slog.Value) string {
	if err, ok := v.Any().(error); ok {
		return err.Error()
	}
	return v.String()
}

// appendPlain writes text for a terminal: quoted wherever it holds anything
// that could move the cursor or pass for another line or field.
func appendPlain(b []byte, s string) []byte {
	odd := strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == '"' })
	if odd || s == "" {
		return strconv.AppendQuote(b, s)
	}
	return append(b, s...)
}
