package standin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Request is the body of /execute. Pointers are left out when nil.
type Request struct {
	JobID             string   `json:"job_id"`
	Prompt            string   `json:"prompt"`
	MaxTokens         int      `json:"max_tokens"`
	Temperature       float64  `json:"temperature"`
	Seed              *uint64  `json:"seed,omitempty"`
	TopP              *float64 `json:"top_p,omitempty"`
	TopK              *int     `json:"top_k,omitempty"`
	MinP              *float64 `json:"min_p,omitempty"`
	RepetitionPenalty *float64 `json:"repetition_penalty,omitempty"`
	Stop              []string `json:"stop,omitempty"`
}

// Frame is one SSE frame of any type, and when it came.
type Frame struct {
	Type        string  `json:"type"`
	JobID       string  `json:"job_id"`
	Model       string  `json:"model"`
	StartedAt   string  `json:"started_at"`
	T           string  `json:"t"`
	I           int     `json:"i"`
	TokensOut   int     `json:"tokens_out"`
	DecodeMS    *int64  `json:"decode_time_ms"`
	StopReason  string  `json:"stop_reason"`
	StopMatched *string `json:"stop_sequence_matched"`
	Code        string  `json:"code"`
	Message     string  `json:"message"`
	Retriable   *bool   `json:"retriable"`

	Raw string    `json:"-"` // the block without its blank line
	At  time.Time `json:"-"`
}

// Terminal reports whether the frame ends a stream.
func (f Frame) Terminal() bool { return f.Type == "end" || f.Type == "error" }

// Stream is an answer being read.
type Stream struct {
	Status int
	Header http.Header
	body   io.ReadCloser
	lines  *bufio.Reader
	cancel context.CancelFunc
}

// Execute sends a request to /execute, or to path where it is not "".
func (w *Worker) Execute(ctx context.Context, path string, r Request, headers ...string) (*Stream, error) {
	if path == "" {
		path = "/execute"
	}
	ctx, cancel := context.WithCancel(ctx)
	resp, err := w.send(ctx, "POST", path, r, headers)
	if err != nil {
		cancel()
		return nil, err
	}
	return &Stream{resp.StatusCode, resp.Header, resp.Body, bufio.NewReader(resp.Body), cancel}, nil
}

// Next returns the next frame, io.EOF after the last. The [DONE] line comes as
// a frame of type "[DONE]".
func (s *Stream) Next() (Frame, error) {
	var block strings.Builder
	for {
		line, err := s.lines.ReadString('\n')
		if err == io.EOF && line == "" && block.Len() == 0 {
			return Frame{}, io.EOF
		}
		if err != nil {
			return Frame{}, fmt.Errorf("standin: stream ended inside a frame: %w", err)
		}
		if line == "\n" {
			return parse(block.String())
		}
		block.WriteString(line)
	}
}

func parse(block string) (Frame, error) {
	f := Frame{Raw: strings.TrimSuffix(block, "\n"), At: time.Now()}
	data, ok := strings.CutPrefix(f.Raw, "data: ")
	if !ok || strings.Contains(data, "\n") {
		return f, fmt.Errorf("standin: %q is not one data line", f.Raw)
	}
	if data == "[DONE]" {
		f.Type = data
		return f, nil
	}
	if err := json.Unmarshal([]byte(data), &f); err != nil {
		return f, fmt.Errorf("standin: frame %q: %w", f.Raw, err)
	}
	return f, nil
}

// All reads to the end and checks the order that every stream keeps: started,
// then tokens counted from 0, then exactly one terminal frame. read are the
// frames that the caller has taken already.
func (s *Stream) All(read ...Frame) ([]Frame, error) {
	defer s.Close()
	all := read
	for {
		f, err := s.Next()
		if err == io.EOF {
			return all, CheckOrder(all)
		}
		if err != nil {
			return all, err
		}
		all = append(all, f)
	}
}

// CheckOrder checks the frames of a whole stream.
func CheckOrder(all []Frame) error {
	tokens, terminal := 0, -1
	for i, f := range all {
		switch {
		case i == 0 && f.Type != "started":
			return fmt.Errorf("standin: the first frame is %q", f.Raw)
		case terminal >= 0 && f.Type != "[DONE]":
			return fmt.Errorf("standin: %q after the terminal frame", f.Raw)
		case f.Type == "token" && f.I != tokens:
			return fmt.Errorf("standin: token %d where %d was due", f.I, tokens)
		case f.Type == "token":
			tokens++
		case f.Terminal():
			terminal = i
		}
	}
	if terminal < 0 {
		return fmt.Errorf("standin: no terminal frame among %d", len(all))
	}
	if end := all[terminal]; end.Type == "end" && end.TokensOut != tokens {
		return fmt.Errorf("standin: %d token frames, tokens_out %d", tokens, end.TokensOut)
	}
	return nil
}

// Text joins the tokens.
func Text(all []Frame) string {
	var b strings.Builder
	for _, f := range all {
		if f.Type == "token" {
			b.WriteString(f.T)
		}
	}
	return b.String()
}

// Last is the terminal frame, or the zero frame without one.
func Last(all []Frame) Frame {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Terminal() {
			return all[i]
		}
	}
	return Frame{}
}

// Close drops the connection.
func (s *Stream) Close() {
	s.cancel()
	s.body.Close()
}
