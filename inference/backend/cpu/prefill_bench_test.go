//go:build cgo && linux

package cpu

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"llorch/inference/backend"
	"llorch/inference/tensor"
)

// BenchmarkPrefill runs a step of 512 prompt rows of the 1.1B shape, by format,
// and says where its time goes: of the whole step the shares of projections,
// attention and the rest, and for the projections the share of what the registers
// alone do (peak/linears), of the unit that the format's kernel uses.
//
// Times are those of the processor, a thread, so that what else the host does
// disturbs no more than the caches; with one thread (taskset -c 0) they hold on a
// busy host too. tok/s is of the 22 layers of that model.
func BenchmarkPrefill(b *testing.B) {
	const rows = 512
	meter := newBenchMeter(b)
	batch := prefillBatch(rows)
	for _, t := range []tensor.DType{tensor.F32, tensor.F16, tensor.BF16, tensor.Q8_0, tensor.Q4_0, tensor.Q4_K, tensor.Q6_K, tensor.Q2_K} {
		m := newBenchModel(b, t, 2, rows, 8)
		n := float64(m.d.threads)
		rounds := m.d.Rounds(t, true)
		b.Run(t.String(), func(b *testing.B) {
			flops := rows * (m.flops - 2*hidden*vocab) / 1e9
			for b.Loop() {
				r := race(5, func() float64 { return meter.processorPeak(rounds, n) }, m.processor(func() { m.stepOf(batch) }),
					m.processor(func() { m.linears(batch) }),
					m.processor(func() {
						for _, l := range m.layers {
							m.d.Attend(m.att, m.wide, l.kv, heads, batch)
						}
					}))
				step, linear, attend := r[1]/n, r[2]/n, r[3]/n
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(r[0], "peak-Gop/s")
				b.ReportMetric(flops/linear, "linears-Gop/s")
				b.ReportMetric(flops/linear/r[0], "peak/linears")
				b.ReportMetric(linear/step, "step/linears")
				b.ReportMetric(attend/step, "step/attend")
				b.ReportMetric((step-linear-attend)/step, "step/rest")
				b.ReportMetric(rows/(step*22/float64(len(m.layers))), "tok/s")
			}
		})
	}
}

// processorPeak is 10⁹ operations a second of the processor, all threads, by the
// unit that multiplies what is rounded to t.
func (m *meter) processorPeak(t tensor.DType, threads float64) float64 {
	start, rate := time.Now(), 0.0
	busy := cpuOf(func() { rate = m.peak(m.unit(t)) })
	return rate * time.Since(start).Seconds() / busy * threads
}

// linears is the projections of a step alone.
func (m *benchModel) linears(b *backend.Batch) {
	for _, l := range m.layers {
		m.d.Linear(m.wide, m.h, l.qkv, b)
		m.d.LinearAdd(m.x, m.att, l.o, b)
		m.d.Linear(m.gate, m.h, l.gateUp, b)
		m.d.LinearAdd(m.x, m.half, l.down, b)
	}
}

// stepOf is the layers of a step.
func (m *benchModel) stepOf(b *backend.Batch) {
	d := m.d
	for _, l := range m.layers {
		d.RMSNorm(m.h, m.x, m.norm, 1e-5)
		d.Linear(m.wide, m.h, l.qkv, b)
		d.RopeStore(m.wide, l.kv, m.rope, heads, b)
		d.Attend(m.att, m.wide, l.kv, heads, b)
		d.LinearAdd(m.x, m.att, l.o, b)
		d.RMSNorm(m.h, m.x, m.norm, 1e-5)
		d.Linear(m.gate, m.h, l.gateUp, b)
		d.SwiGLU(m.half, m.gate)
		d.LinearAdd(m.x, m.half, l.down, b)
	}
}

// processor is the processor's seconds of recorded ops, all threads together.
func (m *benchModel) processor(f func()) func() float64 {
	return func() float64 {
		return cpuOf(func() {
			f()
			if err := m.d.Sync(); err != nil {
				m.Fatal(err)
			}
		})
	}
}

func cpuOf(f func()) float64 {
	from := cpuSeconds()
	f()
	return cpuSeconds() - from
}

func cpuSeconds() float64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return float64(t.Nano()) * 1e-9
}

// BenchmarkPrefillShort runs the prompt of 16 tokens that a first answer waits for,
// against the memory's read bandwidth of the same minute: such a step is the reading of
// the weights, and making what the kernel multiplies of them.
func BenchmarkPrefillShort(b *testing.B) {
	meter := newBenchMeter(b)
	batch := prefillBatch(16)
	for _, t := range []tensor.DType{tensor.BF16, tensor.Q8_0, tensor.Q4_0, tensor.Q4_K, tensor.Q5_K, tensor.Q6_K} {
		b.Run(t.String(), func(b *testing.B) {
			m := newBenchModel(b, t, 8, 16, 8)
			for b.Loop() {
				r := race(9, meter.read, m.seconds(batch))
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(m.bytes/r[1]/1e9, "GB/s")
				b.ReportMetric(m.bytes/r[1]/1e9/r[0], "read/prefill16")
				b.ReportMetric(r[1]*1e3, "ms")
			}
		})
	}
}
