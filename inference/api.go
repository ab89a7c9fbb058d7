package inference

import (
	"errors"
	"fmt"
	"time"

	"llorch/inference/sample"
)

// Request is one prompt to complete.
type Request struct {
	ID        string // unique among the requests in flight
	Prompt    string
	MaxTokens int           // ≥ 1
	Sampling  sample.Params // Position and Seen are the engine's
	Stop      []string      // the text ends before the first of these
	Deadline  time.Time     // zero = none
	CacheSalt string        // prompts of different salts share no pages of the cache: no request's time tells of another's prompt
}

// StopReason says why a stream ended well. The words are the wire's.
type StopReason string

const (
	StopMaxTokens StopReason = "MAX_TOKENS" // also when the context is full
	StopEOS       StopReason = "EOS"
	StopSequence  StopReason = "STOP_SEQUENCE"
)

// Event is one step of a request's answer. Exactly one of End and Err ends a
// stream, as its last event; before it come tokens.
type Event struct {
	Text  string    // of a token: whole UTF-8; "" while bytes or a possible stop string are held back
	Index int       // of a token: 0, 1, 2 …
	ID    int32     // of a token
	At    time.Time // when the engine made the event, however late it is read
	End   *End      // set on the last event of a stream that ended well
	Err   error     // set on the last event of one that did not; *Error
}

// End is the account of a finished stream.
type End struct {
	Reason   StopReason
	Matched  string // the stop string, for StopSequence
	TokensIn int
	// TokensCached are those of TokensIn that were found in the prefix cache.
	TokensCached int
	TokensOut    int           // token events sent
	Queued       time.Duration // from Generate to the first step
	Prefill      time.Duration // from the first step to the first token
	Decode       time.Duration // from the first step to the last token
	Preemptions  int
}

// Code classifies an error for the wire; the values are the contract's.
type Code string

const (
	CodeInvalidRequest  Code = "INVALID_REQUEST"
	CodeCancelled       Code = "CANCELLED"
	CodeTimeout         Code = "TIMEOUT"
	CodeOutOfMemory     Code = "VRAM_OOM"
	CodeInferenceFailed Code = "INFERENCE_FAILED"
	CodeUnhealthy       Code = "WORKER_UNHEALTHY"
)

// Error is what a stream or Generate fails with.
type Error struct {
	Code      Code
	Retriable bool   // on another worker, or here later
	Field     string // of the request, for CodeInvalidRequest
	Err       error
	// RetryAfter is, for a refusal for want of room or time, when those who wait
	// now will have begun, by the speed measured so far: who returns before
	// finds their places taken. Zero where nothing is known.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return fmt.Sprintf("inference: %s: %v", e.Code, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Sentinels a caller decides on.
var (
	ErrTooLong       = errors.New("prompt does not fit the context")                       // → 400
	ErrBusy          = errors.New("all slots and the queue are full")                      // → ALL_SLOTS_BUSY
	ErrBusyTokens    = errors.New("the requests that wait have as many tokens as may")     // → ALL_SLOTS_BUSY
	ErrDeadlineUnmet = errors.New("the deadline cannot be met behind the requests before") // → 408
	ErrDuplicate     = errors.New("a request with this id is running")                     // → 409
	ErrDraining      = errors.New("the engine is draining")                                // → 503
	ErrClosed        = errors.New("the engine is closed")
	// Causes a caller cancels a request's context with; the stream then ends
	// with the code beside it.
	ErrCancelled = errors.New("cancelled")         // CodeCancelled
	ErrTimeout   = errors.New("deadline exceeded") // CodeTimeout
)

// Stats is the engine's state as counters and gauges, read without a lock.
type Stats struct {
	SlotsTotal, SlotsBusy int
	Queued, QueueCap      int
	QueuedTokens          int           // of those that wait: prompts and expected answers
	QueueWait             time.Duration // what a request that came now would wait, about
	PagesTotal, PagesFree int           // free: nobody holds them; what they hold may be known
	PagesCached           int           // of all, those that hold the beginning of a known prompt
	PageSize              int
	PrefixQueries         uint64 // prompt tokens that were looked up in the prefix cache, once a request
	PrefixHits            uint64 // those of them that were found and not computed
	Evictions             uint64 // of cached pages, for want of blank ones
	Steps                 uint64 // moves with every step: the heartbeat
	StepsAhead            uint64 // those of them that began before the tokens of the one before were read
	TokensIn              uint64 // of prompts whose first token came: their prefill is done, or was found
	TokensOut             uint64 // token events
	Preemptions           uint64
}
