package agent

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

const (
	progressEvery  = 200 * time.Millisecond
	keepAliveEvery = 10 * time.Second
)

// loadingProgress streams how far loading has come until it is over. Each
// change is one frame; a comment keeps the line open when nothing changes.
func (s *Server) loadingProgress(c *gin.Context) {
	if state, _ := s.machine.State(); !state.loading() {
		c.Header("Content-Type", "text/plain; charset=utf-8")
		c.Status(http.StatusServiceUnavailable)
		writeBody(c, []byte("not loading: the worker is "+state.String()))
		return
	}
	st := s.openStream(c)
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	var last Progress
	quiet := time.Duration(0)
	for {
		state, _ := s.machine.State()
		p := s.machine.Progress()
		switch {
		case !state.loading():
			st.buf = appendStage(st.buf, state)
			st.buf = append(st.buf, doneFrame...)
			st.flush()
			return
		case p != last:
			last, quiet = p, 0
			st.buf = appendLoading(st.buf, p)
		case quiet >= keepAliveEvery:
			quiet = 0
			st.buf = append(st.buf, ": loading\n\n"...)
		}
		if len(st.buf) > 0 && st.flush() != nil {
			return
		}
		select {
		case <-tick.C:
			quiet += progressEvery
		case <-c.Request.Context().Done():
			return
		}
	}
}

func appendLoading(b []byte, p Progress) []byte {
	b = append(b, `data: {"stage":"loading_to_vram","layers_loaded":`...)
	b = strconv.AppendInt(b, int64(p.Layers), 10)
	b = strconv.AppendInt(append(b, `,"layers_total":`...), int64(p.LayersTotal), 10)
	b = strconv.AppendInt(append(b, `,"vram_mb":`...), p.BytesDone>>20, 10)
	b = strconv.AppendInt(append(b, `,"percent":`...), int64(p.Percent), 10)
	return closeFrame(b)
}

// appendStage writes the last frame: ready, or error where loading ended otherwise.
func appendStage(b []byte, s State) []byte {
	stage := "error"
	if s.Accepts() {
		stage = "ready"
	}
	return closeFrame(append(append(append(b, `data: {"stage":"`...), stage...), '"'))
}
