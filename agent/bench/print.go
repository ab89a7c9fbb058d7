package bench

import (
	"fmt"
	"io"
	"time"
)

// Print writes the report as a table.
func (r *Report) Print(w io.Writer) {
	read := max(r.Limits[0].ReadGBs, r.Limits[1].ReadGBs)
	fma := max(r.Limits[0].GFlops, r.Limits[1].GFlops)
	fmt.Fprintf(w, "%s %s on %s, %d threads\n", r.Model, r.Format, r.Device, r.Threads)
	fmt.Fprintf(w, "limits in this run   read %.1f and %.1f GB/s, f32 FMA %.0f and %.0f GFLOP/s (before, after; fractions are of the larger)\n",
		r.Limits[0].ReadGBs, r.Limits[1].ReadGBs, r.Limits[0].GFlops, r.Limits[1].GFlops)
	fmt.Fprintf(w, "load                 %.2f s, first token of a 16-token prompt after %.0f ms\n",
		r.Load.Seconds(), float64(r.TTFT)/float64(time.Millisecond))
	for _, d := range r.Decode {
		fmt.Fprintf(w, "decode, %d at once    %7.2f tok/s in all  %6.1f GB/s = %3.0f %% of the read limit  (context %d)\n",
			d.Batch, d.TokensSec, d.GBs, 100*d.GBs/read, d.Context)
	}
	for _, p := range r.Prefill {
		fmt.Fprintf(w, "prefill %-4d         %7.1f tok/s         %6.1f GFLOP/s = %3.0f %% of the f32 FMA limit\n",
			p.Tokens, p.TokensSec, p.GFlops, 100*p.GFlops/fma)
	}
	fmt.Fprintf(w, "HTTP and SSE         %.0f µs a token, from the engine's channel to a client on loopback\n", float64(r.HTTP)/1e3)
	held := r.WeightBytes + r.CacheBytes
	fmt.Fprintf(w, "memory               peak RSS %d MiB = weights %d + cache %d + %d\n",
		r.PeakRSS>>20, r.WeightBytes>>20, r.CacheBytes>>20, (r.PeakRSS-held)>>20)
}
