package cuda

import (
	"cmp"
	"errors"
	"fmt"
	"unsafe"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// Device is one opened GPU. All calls come from one goroutine on one OS thread,
// which holds the context.
//
// Ops are put into a stream; nothing waits for the GPU but Sync, Upload and
// Download. The first failure is kept for Sync. One that has spoiled the context
// is latched: nothing is launched or copied any more.
type Device struct {
	memory
	opened
	kern         *functions
	hopper       bool           // has what compute capability 9.0 brought
	blocks       int            // multiprocessors
	arrive       int32          // lanes of a warp that arrive for it, 32 for racecheck to see: kernels/ring.cuh
	programmatic bool           // of the launches under way
	apart        bool           // no launch is: racecheck knows one kernel at a time
	packed       unsafe.Pointer // activations that the last launch has written as bf16
	operands     operands
	splits       splitRoom
	shares       []attendance // of the plan under way
	normed       op           // the norm whose result the last launch has left for the projection behind
	tickets      driver.Ptr   // counters of strips, of which the plan under way has used so many
	drawn        int
	streamFrom   int // rows from which they are streamed, less one
	exchange     exchange
	unchained    bool // for tests: each projection has a launch of its own
	wide         wideRoom
	mostScratch  int // elements of the largest allocation of scratch
	loader       loader
	stream       driver.Stream
	batch        batch
	words        *setWordsParams // of the launches that bring it
	plan         []op            // recorded and not launched
	again        *recorded       // the ops since the last flush are the first `matched` of its plan
	matched      int
	graphs       map[graphKey]*recorded
	projections  map[unsafe.Pointer]*projection // by each of their weights
	sizes        map[unsafe.Pointer][2]int      // rows and columns of weights that can be packed
	room         int64                          // bytes of the room that packing has
	ids          driver.Ptr                     // choices of a step
	chosen       driver.Pinned                  // the same on the host, of two steps, and ids that were seen
	steps        [2]step                        // that were begun: the last `under` of them are under way
	under        int
	seen         seenRoom
	drawing      []drawing // Sample calls that wait for their logits
	contextBytes int64     // of device memory, before the first allocation
	graphBytes   int64     // of graphs, since
	err          error     // first failure since the last Sync
	rowErr       error     // first row since then that no token could be chosen for
	fault        *backend.Fault
}

var _ backend.Device = (*Device)(nil)

// opened is a device whose primary context is current on this OS thread, to the end.
type opened struct {
	index   int
	facts   DeviceFacts
	kernels *Kernels
	card    management   // nil: there is none to ask
	closing func() error // of the kernels, the context and the card
}

// mostIDs bounds the rows of one step whose tokens are chosen: max_batch is no larger.
const mostIDs = 4096

// New makes a device of a driver that is open, with kernels in its current context.
// card may be nil: then nobody counts its memory. It closes the kernels. For tests
// that have no GPU; others open kind "cuda".
func New(drv driver.Driver, k *Kernels, card management, f DeviceFacts) (*Device, error) {
	return newDevice(drv, opened{facts: f, kernels: k, card: card, closing: k.Close})
}

// newDevice makes a device of what is opened, and owns it from then on, also when it
// fails.
func newDevice(drv driver.Driver, o opened) (*Device, error) {
	d := &Device{
		memory: memory{drv: drv}, opened: o, loader: loader{drv: drv}, hopper: o.facts.Capability >= 90,
		streamFrom: streamFrom, arrive: 1, words: &setWordsParams{},
		graphs: map[graphKey]*recorded{}, projections: map[unsafe.Pointer]*projection{}, sizes: map[unsafe.Pointer][2]int{},
	}
	if err := d.start(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Device) start() (err error) {
	if d.kern, err = findFunctions(d.drv, d.index, d.kernels, d.hopper); err != nil {
		return err
	}
	if d.blocks, err = d.drv.DeviceAttribute(d.index, driver.Multiprocessors); err != nil {
		return err
	}
	if d.stream, err = d.drv.StreamCreate(0); err != nil {
		return err
	}
	if d.batch.passed, err = d.drv.EventCreate(false); err != nil {
		return err
	}
	if d.contextBytes, err = d.processBytes(); err != nil {
		d.contextBytes = 0 // Occupied says why, to whoever wants to rely on it
	}
	if d.ids, err = d.alloc(backend.Scratch, 4*mostIDs); err != nil {
		return err
	}
	if d.tickets, err = d.alloc(backend.Scratch, 4*mostTickets); err != nil {
		return err
	}
	if err = d.startSteps(); err != nil {
		return err
	}
	return d.batchRoom(1)
}

// Info implements backend.Device.
func (d *Device) Info() backend.Info {
	return backend.Info{Kind: "cuda", Index: d.index, Name: d.facts.Name, UUID: d.facts.UUID.String(), Architecture: "vram-only"}
}

// Computes: every format, as files have it.
func (d *Device) Computes(tensor.DType) bool { return true }

// Sync waits for what was asked, chooses the tokens that were to be sampled, and
// returns the first failure since the last Sync, or the fault that was latched.
func (d *Device) Sync() error {
	d.flush()
	d.sampleAll()
	return d.failed()
}

// failed ends a step: it returns what Sync does of it.
func (d *Device) failed() error {
	err := cmp.Or(d.err, d.rowErr)
	d.batch.of, d.err, d.rowErr = nil, nil, nil
	if d.fault != nil {
		return d.fault
	}
	return err
}

// dead tells whether the device has faulted.
func (d *Device) dead() bool { return d.fault != nil }

// broken tells whether there is no use in asking for more until Sync: what follows a
// failure would compute from what is not there.
func (d *Device) broken() bool { return d.err != nil || d.dead() }

// check keeps the failure of a call of the driver.
func (d *Device) check(err error) {
	if err != nil {
		d.fail(fmt.Errorf("cuda: %w", named(err)))
	}
}

// named wraps backend.ErrMemory where memory did not suffice, whatever was asked for:
// a launch may want some, too.
func named(err error) error {
	if driver.IsOOM(err) && !errors.Is(err, backend.ErrMemory) {
		return fmt.Errorf("%w: %w", backend.ErrMemory, err)
	}
	return err
}

// fail keeps the first failure for Sync.
func (d *Device) fail(err error) {
	d.latched(err)
	if d.err == nil {
		d.err = err
	}
}

// latched latches err where it has spoiled the context, and returns it.
func (d *Device) latched(err error) error {
	var e *driver.Error
	if errors.As(err, &e) && e.Sticky() && d.fault == nil {
		d.fault = &backend.Fault{Class: e.Class(), Reason: err.Error()}
	}
	return err
}

// Close frees everything. It is safe after a failed start.
func (d *Device) Close() error {
	if d.drv == nil {
		return nil
	}
	errs := []error{}
	if d.stream != 0 && !d.dead() {
		errs = append(errs, d.drv.StreamSynchronize(d.stream))
	}
	for _, r := range d.graphs {
		if r.exec != 0 {
			errs = append(errs, d.drv.ExecDestroy(r.exec))
		}
	}
	errs = append(errs, d.loader.close())
	errs = append(errs, d.freeSteps(), d.freeBatch())
	if d.batch.passed != 0 {
		errs = append(errs, d.drv.EventDestroy(d.batch.passed))
	}
	errs = append(errs, d.memory.free())
	if d.stream != 0 {
		errs = append(errs, d.drv.StreamDestroy(d.stream))
	}
	errs = append(errs, d.closing())
	d.drv = nil
	if d.dead() { // each of these calls repeats the fault
		return nil
	}
	return errors.Join(errs...)
}

// Rounds implements backend.Rounder: the matrix unit multiplies activations rounded to bf16,
// with bf16 weights, with integers of quantised ones, and for prompts with these rounded to
// bf16. Other formats are multiplied in float32.
func (d *Device) Rounds(weights tensor.DType, _ bool) tensor.DType {
	if weights == tensor.BF16 || quantised(weights) {
		return tensor.BF16
	}
	return tensor.F32
}
