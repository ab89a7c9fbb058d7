//go:build cgo

package cpu

import (
	"testing"
	"time"

	"llorch/inference/tensor"
)

// BenchmarkOps runs single ops of a prefill of 512 rows and of a decode step
// against the limits of the same minute, by format: fma/… and read/… are shares
// of the limits. Attention's share counts the products below the diagonal only.
func BenchmarkOps(b *testing.B) {
	meter := newBenchMeter(b)
	for _, t := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32, tensor.Q8_0, tensor.Q4_0, tensor.Q4_K, tensor.Q6_K} {
		m := newBenchModel(b, t, 3, 512, 64)
		b.Run(t.String(), func(b *testing.B) {
			l, prompt := m.layers[0], prefillBatch(512)
			gateUp := 512 * 2 * 2 * ffn * hidden / 1e9
			attend := float64(heads.Q*heads.Dim) * 4 * 512 * 513 / 2 / 1e9
			for b.Loop() {
				p := race(5, meter.fma,
					m.timed(func() { m.d.Linear(m.gate, m.h, l.gateUp, prompt) }),
					m.timed(func() { m.d.LinearAdd(m.x, m.half, l.down, prompt) }),
					m.timed(func() { m.d.Attend(m.att, m.wide, l.kv, heads, prompt) }),
					m.timed(func() { m.d.SwiGLU(m.half, m.gate); m.d.RMSNorm(m.h, m.x, m.norm, 1e-5) }))
				b.ReportMetric(gateUp/p[1]/p[0], "fma/gate-up")
				b.ReportMetric(gateUp/2/p[2]/p[0], "fma/down")
				b.ReportMetric(attend/p[3]/p[0], "fma/attend")
				b.ReportMetric(p[4]/p[1], "rest/gate-up")
				bytes := 3 * float64(l.gateUp[0].W.Bytes()) * 2
				r := race(9, meter.read, m.timed(m.gateUps(1)), m.timed(m.gateUps(2)), m.timed(m.gateUps(4)), m.timed(m.gateUps(8)), m.timed(m.gateUps(16)))
				b.ReportMetric(bytes/r[1]/1e9/r[0], "read/1")
				b.ReportMetric(r[2]/r[1], "time2/time1")
				b.ReportMetric(r[3]/r[1], "time4/time1")
				b.ReportMetric(r[4]/r[1], "time8/time1")
				b.ReportMetric(r[5]/r[1], "time16/time1")
			}
		})
	}
}

// gateUps runs the largest projection of each layer on n decode rows.
func (m *benchModel) gateUps(n int) func() {
	return func() {
		for _, l := range m.layers {
			m.d.Linear(m.gate.Slice(0, n), m.h.Slice(0, n), l.gateUp, nil)
		}
	}
}

func (m *benchModel) timed(f func()) func() float64 {
	return func() float64 {
		start := time.Now()
		f()
		if err := m.d.Sync(); err != nil {
			m.Fatal(err)
		}
		return time.Since(start).Seconds()
	}
}
