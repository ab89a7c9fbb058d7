// Package tracetest is an OpenTelemetry collector for tests: it takes spans over
// HTTP as real ones do and keeps them.
package tracetest

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector listens until the test ends.
type Collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []Span
	raw   []byte
}

// Span is one that was received, with what its resource says.
type Span struct {
	*otlp.Span
	Resource map[string]string
}

// Start listens on a free port.
func Start(t *testing.T) *Collector {
	c := &Collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(c.Server.Close)
	return c
}

func (c *Collector) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var batch collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &batch)
	}
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, fmt.Sprint(r.URL, err), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = append(c.raw, body...)
	for _, rs := range batch.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				c.spans = append(c.spans, Span{s, texts(rs.Resource.GetAttributes())})
			}
		}
	}
}

// Spans are all so far, by name.
func (c *Collector) Spans() map[string][]Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string][]Span{}
	for _, s := range c.spans {
		all[s.Name] = append(all[s.Name], s)
	}
	return all
}

// Raw is everything that was sent.
func (c *Collector) Raw() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.raw)
}

// Trace, ID and Parent are in hexadecimal.
func (s Span) Trace() string  { return hex.EncodeToString(s.TraceId) }
func (s Span) ID() string     { return hex.EncodeToString(s.SpanId) }
func (s Span) Parent() string { return hex.EncodeToString(s.ParentSpanId) }

// Attribute is the text form of one; "" if it is not there.
func (s Span) Attribute(name string) string { return texts(s.Attributes)[name] }

func texts(attrs []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attrs {
		all[a.Key] = text(a.Value)
	}
	return all
}

func text(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	case *common.AnyValue_DoubleValue:
		return fmt.Sprint(v.DoubleValue)
	case *common.AnyValue_BoolValue:
		return fmt.Sprint(v.BoolValue)
	case *common.AnyValue_ArrayValue:
		list := ""
		for _, e := range v.ArrayValue.GetValues() {
			list += "[" + text(e) + "]"
		}
		return list
	}
	return ""
}
