package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// unitNames are the units in words.
var unitNames = map[Unit]string{
	Read: "the read limit", Where: "what reading the weights gives", FMA: "the f32 FMA limit", Int8: "the int8 dot limit", Pair: "the bf16 pair limit", Tile: "the bf16 tile limit",
}

// Print writes the report as a table: bytes or operations, the limit measured
// around the timing, what was reached of it.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%s %s on %s", r.Model, r.Format, r.Device)
	if r.Threads > 0 {
		fmt.Fprintf(w, ", %s, %d threads", r.ISA, r.Threads)
	}
	fmt.Fprintf(w, "\nlimits in this run   %s\n", r.limitsText())
	fmt.Fprintf(w, "load                 %.2f s%s, first token of a 16-token prompt after %.1f ms\n", r.Load.Seconds(), phasesText(r.Phases), ms(r.TTFT))
	if len(r.Decode) > 0 {
		head := "decode"
		if r.Temperature > 0 {
			head += fmt.Sprintf(", temperature %.2g", r.Temperature)
		}
		fmt.Fprintf(w, "\n%-22s %9s %12s %12s %12s %9s\n", head, "tok/s", "a step", "limit now", "reached", "fraction")
	}
	for _, d := range r.Decode {
		fmt.Fprintf(w, "%-22s %9.2f %9.0f MB %7.1f GB/s %7.1f GB/s %7.0f %%  of %s\n",
			fmt.Sprintf("%d at once, context %d", d.Batch, d.Prompt), d.TokensSec, d.StepBytes/1e6, d.Limits.ReadGBs, d.GBs, 100*d.Fraction(), unitNames[Read])
		if f, u := d.FractionWhere(); u == Where {
			fmt.Fprintf(w, "%-45s %7.1f GB/s %12s %7.0f %%  of %s\n", "", d.Limits.WeightsGBs, "", 100*f, unitNames[u])
		}
	}
	if len(r.Prefill) > 0 {
		fmt.Fprintf(w, "\n%-22s %9s %12s %12s %12s %9s\n", "prefill", "tok/s", "a prompt", "limit now", "reached", "fraction")
	}
	for _, p := range r.Prefill {
		r.printPrefill(w, p)
	}
	r.printMemory(w)
}

// printPrefill has a line for each unit. On a GPU nobody would multiply but with the best.
func (r *Report) printPrefill(w io.Writer, p Prefill) {
	head, tok := fmt.Sprintf("%d tokens", p.Tokens), fmt.Sprintf("%9.1f %9.0f GF", p.TokensSec, p.GFlops*float64(p.Tokens)/p.TokensSec)
	for _, u := range computing {
		if p.Limits.of(u) <= 0 {
			continue
		}
		fmt.Fprintf(w, "%-22s %22s %s %s %7.1f %%  of %s\n", head, tok, speed(p.Limits.of(u), 8), speed(p.GFlops, 6), 100*p.Fraction(u), unitNames[u])
		if head, tok = "", ""; r.OwnMemory {
			return
		}
	}
}

// speed writes 10⁹ operations a second in so many columns, those of a GPU in thousands.
func speed(gops float64, width int) string {
	if gops >= 1e5 {
		return fmt.Sprintf("%*.1f Top/s", width, gops/1e3)
	}
	return fmt.Sprintf("%*.0f Gop/s", width, gops)
}

func (r *Report) printMemory(w io.Writer) {
	fmt.Fprintf(w, "\nmemory               weights %d MiB, %d of them read by a step; cache %d, %d bytes a token; scratch %d\n",
		r.WeightBytes>>20, r.StepBytes>>20, r.CacheBytes>>20, r.TokenBytes, r.ScratchBytes>>20)
	fmt.Fprintf(w, "HTTP and SSE         %.0f µs a token, from the engine's channel to a client on loopback\n", float64(r.HTTP)/1e3)
	p := r.Process
	if p == nil {
		return
	}
	fmt.Fprintf(w, "worker's process     ready after %.2f s, first token after %.2f s\n", p.Ready.Seconds(), p.FirstToken.Seconds())
	if r.OwnMemory {
		fmt.Fprintf(w, "                     peak of its private memory on the host %d MiB; peak RSS %d\n", p.Private>>20, p.Peak>>20)
		return
	}
	fmt.Fprintf(w, "                     peak private memory %d MiB = cache %d + %d; peak RSS %d, mapped files included\n",
		p.Private>>20, p.Cache>>20, p.Beyond>>20, p.Peak>>20)
}

// limitsText gives each limit's range over the run.
func (r *Report) limitsText() string {
	var parts []string
	for _, u := range []Unit{Read, Where, FMA, Int8, Pair, Tile} {
		var all []float64
		for _, l := range r.Limits {
			if v := l.of(u); v > 0 {
				all = append(all, v)
			}
		}
		if len(all) == 0 {
			continue
		}
		name, least, most := strings.TrimSuffix(strings.TrimPrefix(unitNames[u], "the "), " limit"), slices.Min(all), slices.Max(all)
		if u == Read || u == Where {
			parts = append(parts, fmt.Sprintf("%s %.1f to %.1f GB/s", strings.TrimPrefix(name, "what "), least, most))
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %s to %s", name, strings.Fields(speed(least, 0))[0], speed(most, 0)))
	}
	return strings.Join(parts, ", ")
}

// Print writes what the clients saw as a table.
func (s *Served) Print(w io.Writer) {
	arrivals := "Poisson"
	if s.Even {
		arrivals = "even"
	}
	fmt.Fprintf(w, "%s: %d streams, %.3g a second (%s), prompts of %d letters, %d tokens each, %.1f s\n",
		s.Model, s.Streams, s.Rate, arrivals, s.Prompt, s.Tokens, s.Wall.Seconds())
	fmt.Fprintf(w, "completed            %d of %d\n", s.Completed, s.Streams)
	causes := make([]string, 0, len(s.Errors))
	for cause := range s.Errors {
		causes = append(causes, cause)
	}
	slices.Sort(causes)
	for _, cause := range causes {
		fmt.Fprintf(w, "  %-18s %d\n", cause, s.Errors[cause])
	}
	fmt.Fprintf(w, "%-20s %9s %9s %9s\n", "", "p50", "p95", "p99")
	fmt.Fprintf(w, "%-20s %6.0f ms %6.0f ms %6.0f ms  from arrival\n", "first token", ms(s.TTFT.P50), ms(s.TTFT.P95), ms(s.TTFT.P99))
	fmt.Fprintf(w, "%-20s %6.0f ms %6.0f ms %6.0f ms\n", "between tokens", ms(s.Between.P50), ms(s.Between.P95), ms(s.Between.P99))
	fmt.Fprintf(w, "throughput           %.1f tok/s in all\n", s.TokensSec)
	fmt.Fprintf(w, "goodput              %d requests, %.2f a second, %.1f tok/s: first token within %v, %v between tokens in the mean\n",
		s.Good, s.GoodRequestsSec, s.GoodTokensSec, s.TTFTLimit, s.TPOTLimit)
	if s.Late > s.TTFTLimit/10 {
		fmt.Fprintf(w, "note                 a request was sent %.0f ms after its arrival: the machine is too busy for its clients\n", ms(s.Late))
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
