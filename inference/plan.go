package inference

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"

	"llorch/inference/backend"
	"llorch/inference/model"
	"llorch/inference/tensor"
	"llorch/inference/weights"
)

// Options say how a model is loaded. Zero values mean what the comment says.
type Options struct {
	Device      string // kind: "cpu" (also when empty), "ref" …
	Index       int
	Threads     int            // 0 = one a physical core, within the cgroup's quota
	ISA         string         // "" = the best there is
	MaxBatch    int            // sequences that run at once; 0 = 8
	MaxQueue    int            // requests that wait beyond those; <0 = none, 0 = 32
	QueueTokens int            // tokens of the requests that wait; 0 = see Info
	MaxPrompt   int            // tokens of a prompt; 0 = what the context holds
	MaxContext  int            // tokens of one sequence; 0 = the model's, at most 4096
	CacheBytes  int64          // keys and values of all sequences; 0 = from Available
	CacheType   tensor.DType   // 0 = F16
	ChunkTokens int            // prefill rows of one step; 0 = 512, with OwnMemory 2048
	MixedTokens int            // the same while others decode; 0 = 128
	PrefixCache PrefixCache    // "" = PrefixCacheOn
	Verify      Verify         // "" = VerifyAuto
	Quantize    string         // format that matrices get while they are loaded: "q8_0", "q4_0", "q4_k_m"; "" = as in the files
	Available   int64          // memory the process may take, for the automatic cache; 0 = not known
	OwnMemory   bool           // Available is of a device with memory of its own: nobody else has a use for what is left of it
	Progress    func(Progress) // called from the loading goroutine; may be nil
	Faulted     func(error)    // called from the engine's loop when a device fault is latched, before any stream hears of it; may be nil

	now func() time.Time // nil = time.Now
}

// Plan is what Load will take, to the byte, before anything is touched. The
// working memory of the device itself, at most deviceBytes, comes on top of
// Scratch.
type Plan struct {
	Weights, Cache, Scratch int64
	Beside                  int64      // taken for a while during the warm-up, by devices that lay weights out anew
	Widened                 []Widening // what of Weights takes more than in the file
	Quantized               int64      // bytes of the files that become others while loading
	Context                 int        // tokens of one sequence
	Pages                   int        // of PageSize positions
	limits                  model.Limits
}

// TensorBytes is what a tensor of the files takes once it is loaded: other bytes
// than in the file where it gets another format on the way.
func (p Plan) TensorBytes(t *weights.Tensor) int64 {
	d, ok := p.limits.Formats[t.Name]
	if !ok {
		return t.Bytes
	}
	return int64(t.Shape[0]) * int64(d.RowBytes(t.Shape[1]))
}

// Total is the sum of all classes at the worst moment, math.MaxInt64 where it does
// not fit.
func (p Plan) Total() int64 { return plus(plus(plus(p.Weights, p.Cache), p.Scratch), p.Beside) }

// possible refuses a plan that no load can carry out. Whether there is memory
// for it is the caller's question.
func (p Plan) possible() error {
	if p.Context < 2 {
		return fmt.Errorf("a context of %d token: a prompt and an answer need 2 at least; see max_position_embeddings and --max-context", p.Context)
	}
	if p.Total() == math.MaxInt64 {
		return fmt.Errorf("%w: %d pages of cache over all layers are more than can be addressed; give a smaller --max-context or --max-batch", backend.ErrMemory, p.Pages)
	}
	return nil
}

// times and plus are products and sums of sizes that stay at math.MaxInt64
// instead of wrapping round: no memory is that large, so the plan is refused.
func times(a, b int64) int64 {
	if hi, lo := bits.Mul64(uint64(a), uint64(b)); hi == 0 && lo < math.MaxInt64 {
		return int64(lo)
	}
	return math.MaxInt64
}

func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// deviceBytes bounds what a device takes for itself: packed activations, the
// recorded step, partial sums.
const deviceBytes = 64 << 20

// PageSize is the number of positions a page holds. 32 rows of 64 halves are
// 4 KB: long enough to stream (attention over 1,024 and 2,047 positions took no
// longer with it than with 64), short enough that the last page wastes little
// and that few tokens of a known prompt are computed again.
const PageSize = 32

// The automatic cache holds MaxBatch whole contexts, if they take no more than
// this and no more than a quarter of the available memory; always one context. On a
// device with memory of its own they may take nearly all that the rest leaves.
const autoCacheBytes = 512 << 20

func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	if o.Device == "" {
		o.Device = "cpu"
	}
	if o.MaxQueue < 0 {
		o.MaxQueue = -1
	} else {
		def(&o.MaxQueue, 32)
	}
	if o.CacheType == 0 {
		o.CacheType = tensor.F16
	}
	if o.now == nil {
		o.now = time.Now
	}
	def(&o.MaxBatch, 8)
	if o.OwnMemory { // a GPU takes as long for one such step as a CPU for a few rows, and is the faster for it
		def(&o.ChunkTokens, 2048)
	}
	def(&o.ChunkTokens, 512)
	def(&o.MixedTokens, 128)
	// A step must be able to take a whole quantum, or a prefill would stand still.
	o.ChunkTokens = max(o.ChunkTokens, backend.ChunkQuantum)
	o.MixedTokens = min(max(o.MixedTokens, backend.ChunkQuantum), o.ChunkTokens)
	return o
}

// CheckCache tells whether keys and values of this model can be stored in a
// format. A blocked one wants heads of whole blocks, so that a head at a position
// stays a stretch of its own.
func (ins *Inspection) CheckCache(t tensor.DType) error {
	if t == 0 || ins.Spec.HeadDim%t.Block() == 0 {
		return nil
	}
	return fmt.Errorf("inference: kv_dtype %s has blocks of %d elements, the heads of this model have %d: choose f16 or bf16",
		strings.ToLower(t.String()), t.Block(), ins.Spec.HeadDim)
}

// Plan sizes everything Load will allocate. What CheckCache refuses has no plan.
func (ins *Inspection) Plan(o Options) Plan {
	o = o.withDefaults()
	p := Plan{Weights: ins.Source.Bytes(), Widened: ins.widenings(o), Context: o.MaxContext}
	for _, w := range p.Widened {
		p.Weights = plus(p.Weights-w.Bytes, w.Wide)
	}
	p.limits.Formats = ins.formats(o)
	for name := range p.limits.Formats {
		t, _ := ins.Source.Tensor(name)
		p.Quantized += t.Bytes
		p.Weights = plus(p.Weights-t.Bytes, p.TensorBytes(t))
	}
	p.Weights = plus(p.Weights, ins.padding(o, p.limits.Formats))
	p.Beside = ins.beside(o, p.limits.Formats)
	if p.Context <= 0 {
		p.Context = min(ins.Spec.MaxPositions, 4096)
	}
	p.Context = min(p.Context, ins.Spec.MaxPositions)
	page := ins.pageBytes(o.CacheType)
	one := int64(pagesFor(p.Context))
	pages := one * int64(o.MaxBatch)
	switch {
	case o.CacheBytes > 0:
		pages = max(1, o.CacheBytes/page)
	default:
		pages = max(one, min(pages, ins.cacheRoom(o, p)/page))
	}
	p.Pages, p.Cache = int(pages), times(pages, page)
	p.Context = int(min(int64(p.Context), pages*PageSize))
	l := o.limits(p.Context)
	p.limits.Rows, p.limits.Logits, p.limits.Positions = l.Rows, l.Logits, l.Positions
	p.Scratch = ins.Config.Scratch(p.limits)
	return p
}

// cacheRoom is what an automatic cache may take.
func (ins *Inspection) cacheRoom(o Options, p Plan) int64 {
	left := o.Available - p.Weights
	switch {
	case o.Available <= 0:
		return autoCacheBytes
	case o.OwnMemory:
		left -= plus(plus(ins.Config.Scratch(o.limits(p.Context)), p.Beside), deviceBytes)
		return left / 20 * 19 // the rest is lost at the ends of pages
	}
	return min(autoCacheBytes, left/4)
}

// limits are the sizes of the largest step.
func (o Options) limits(context int) model.Limits {
	return model.Limits{Rows: o.MaxBatch + o.ChunkTokens, Logits: o.MaxBatch, Positions: context}
}

func pagesFor(positions int) int { return (positions + PageSize - 1) / PageSize }

// pageBytes is the size of a page over all layers, keys and values.
func (ins *Inspection) pageBytes(t tensor.DType) int64 {
	return 2 * int64(ins.Spec.Layers) * PageSize * int64(ins.Spec.KVHeads) * int64(t.RowBytes(ins.Spec.HeadDim))
}
