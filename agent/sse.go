package agent

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// flushAt bounds how many bytes of waiting frames go out in one write.
const flushAt = 16 << 10

// stream writes frames of one response. It belongs to one goroutine. A write
// that takes longer than timeout fails and closes the connection: a reader
// that stands still costs its own stream and nothing else.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buf     []byte // frames not yet written
	timeout time.Duration
	// rests says that the deadline is lifted between writes: HTTP/2 resets a stream
	// when it passes, also while nothing is written. HTTP/1 keeps it for its own last chunk.
	rests bool
	err   error // of the first write that failed; nothing is written after it
}

// openStream sends the headers of an event stream.
func (s *Server) openStream(c *gin.Context) *stream {
	h := c.Writer.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // a proxy that collects the stream defeats it
	c.Status(http.StatusOK)
	c.Writer.WriteHeaderNow()
	var w http.ResponseWriter = c.Writer
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		w = u.Unwrap() // gin's Flush drops the error that tells of a lost client
	}
	return &stream{w: w, control: http.NewResponseController(w), buf: make([]byte, 0, 4<<10), timeout: s.writeTimeout,
		rests: c.Request.ProtoMajor >= 2}
}

// flush sends what is in the buffer.
func (st *stream) flush() error {
	if st.err != nil {
		st.buf = st.buf[:0]
		return st.err
	}
	if st.timeout > 0 {
		// Not every writer has deadlines (a test's recorder has none); the server's has.
		_ = st.control.SetWriteDeadline(time.Now().Add(st.timeout))
	}
	_, st.err = st.w.Write(st.buf)
	st.buf = st.buf[:0]
	if st.err == nil {
		st.err = st.control.Flush()
	}
	if st.rests && st.err == nil {
		_ = st.control.SetWriteDeadline(time.Time{})
	}
	return st.err
}
