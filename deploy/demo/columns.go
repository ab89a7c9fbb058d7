package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"llorch/deploy/demo/standin"
)

// columnWidth fits two columns into 100 characters.
const columnWidth = 48

// columns prints two texts side by side as they grow, the same on a terminal
// and in a plain log: a full line waits for a line of the other text to share
// its row, and no longer than for the next line of its own.
type columns struct {
	mu      sync.Mutex
	out     io.Writer
	waiting [2]string
}

func (c *columns) line(column int, text string) {
	if text == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[column] != "" {
		c.row()
	}
	c.waiting[column] = text
	if c.waiting[1-column] != "" {
		c.row()
	}
}

// row prints what waits.
func (c *columns) row() {
	pad := strings.Repeat(" ", max(0, columnWidth-utf8.RuneCountInString(c.waiting[0])))
	fmt.Fprintf(c.out, "   %s%s │ %s\n", c.waiting[0], pad, c.waiting[1])
	c.waiting = [2]string{}
}

// end prints what has waited in vain.
func (c *columns) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting != [2]string{} {
		c.row()
	}
}

// wrap collects the text of one stream into lines.
type wrap struct {
	columns *columns
	column  int
	line    string
}

func (w *wrap) add(text string) {
	w.line += text
	for {
		at := strings.IndexByte(w.line, '\n')
		if at < 0 || at > columnWidth {
			if utf8.RuneCountInString(w.line) <= columnWidth {
				return
			}
			at = breakAt(w.line)
		}
		w.columns.line(w.column, strings.TrimSpace(w.line[:at]))
		w.line = strings.TrimPrefix(strings.TrimLeft(w.line[at:], " "), "\n")
	}
}

// breakAt finds the last space that keeps a line within the column, else cuts.
func breakAt(line string) int {
	end := 0
	for range columnWidth {
		_, size := utf8.DecodeRuneInString(line[end:])
		end += size
	}
	if space := strings.LastIndexByte(line[:end], ' '); space > 0 {
		return space
	}
	return end
}

func (w *wrap) flush() {
	if w.line != "" {
		w.columns.line(w.column, w.line)
		w.line = ""
	}
}

// told is one finished stream.
type told struct {
	frames      []standin.Frame
	first, last time.Time
	err         error
}

// stream sends two requests at once and checks that they were served together.
func (d *demo) stream(ctx context.Context) error {
	c := &columns{out: os.Stdout}
	prompts := [2]string{"Once upon a time there was a", "One day a little girl"}
	var results [2]told
	var both sync.WaitGroup
	for i, prompt := range prompts {
		both.Go(func() { results[i] = d.tell(ctx, c, i, prompt) })
	}
	both.Wait()
	if err := errors.Join(results[0].err, results[1].err); err != nil {
		return err
	}
	for i, r := range results {
		end := standin.Last(r.frames)
		if end.Type != "end" || end.TokensOut == 0 {
			return fmt.Errorf("stream %d: %s", i, end.Raw)
		}
		took := r.last.Sub(r.first)
		c.line(i, fmt.Sprintf("[%d tokens, %s, %.0f tokens/s]", end.TokensOut, end.StopReason, float64(end.TokensOut)/max(took.Seconds(), 1e-6)))
	}
	c.end()
	if results[0].first.After(results[1].last) || results[1].first.After(results[0].last) {
		return errors.New("the streams ran one after the other")
	}
	return nil
}

// tell runs one request, printing its text while it comes.
func (d *demo) tell(ctx context.Context, c *columns, column int, prompt string) (r told) {
	w := &wrap{columns: c, column: column}
	c.line(column, fmt.Sprintf("POST /execute job story-%d", column+1))
	seed := uint64(11 + column)
	s, err := d.worker.Execute(ctx, "", standin.Request{
		JobID: fmt.Sprintf("story-%d", column+1), Prompt: prompt, MaxTokens: 160, Temperature: 0.7, Seed: &seed,
	})
	if err != nil {
		return told{err: err}
	}
	defer s.Close()
	w.add(prompt)
	for {
		f, err := s.Next()
		if err == io.EOF {
			w.flush()
			r.err = standin.CheckOrder(r.frames)
			return r
		}
		if err != nil {
			return told{err: err}
		}
		r.frames = append(r.frames, f)
		if f.Type == "token" {
			if r.first.IsZero() {
				r.first = f.At
			}
			r.last = f.At
			w.add(f.T)
		}
	}
}
