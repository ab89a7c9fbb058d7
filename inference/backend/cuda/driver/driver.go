package driver

import (
	"unsafe"
)

// Driver is what the backend asks of CUDA. Sizes are bytes, times milliseconds.
// Errors are *Error. Functions that name no device work on the current context of
// the calling OS thread.
type Driver interface {
	Devices
	Contexts
	Memory
	Modules
	Streams
	Graphs
}

// Devices are asked by ordinal, without a context.
type Devices interface {
	Version() (int, error) // of the newest CUDA it serves: 1000·major + 10·minor, 13000 for 13.0
	DeviceCount() (int, error)
	DeviceName(device int) (string, error)
	DeviceUUID(device int) (UUID, error)
	DeviceBytes(device int) (int64, error) // total memory
	DeviceAttribute(device int, a Attribute) (int, error)
}

// Contexts are primary ones: the context that libraries share.
type Contexts interface {
	RetainPrimary(device int, flags ContextFlags) (Context, error)
	ReleasePrimary(device int) error
	SetCurrent(c Context) error // for the calling OS thread; 0 takes it away
	Synchronize() error         // waits for everything in the current context
}

// Memory of the device, pinned memory of the host, and copies. A copy without a
// stream is over when the call returns.
type Memory interface {
	MemInfo() (free, total int64, err error)
	MemAlloc(bytes int64) (Ptr, error) // aligned to 256 bytes, not cleared
	MemFree(p Ptr) error
	PointerInfo(p Ptr) (PointerInfo, error)

	HostAlloc(bytes int64) (Pinned, error) // page-locked, portable, mapped
	HostFree(p Pinned) error

	CopyHtoD(dst Ptr, src []byte) error
	CopyDtoH(dst []byte, src Ptr) error
	// The host side of these lies within memory of HostAlloc, and is left alone
	// until the stream has passed the copy.
	CopyHtoDAsync(dst Ptr, src []byte, s Stream) error
	CopyDtoDAsync(dst, src Ptr, bytes int64, s Stream) error
	Memset8Async(dst Ptr, value byte, bytes int64, s Stream) error
	Memset32Async(dst Ptr, value uint32, words int64, s Stream) error
}

// Modules hold kernels. What ModuleFunction returns is loaded: its first launch
// may be one that is captured.
type Modules interface {
	ModuleLoad(image string) (Module, error) // fatbin, cubin or PTX
	ModuleUnload(m Module) error
	ModuleFunction(m Module, name string) (Function, error)
	FunctionAttribute(f Function, a FunctionAttribute) (int, error)
	SetFunctionAttribute(f Function, a FunctionAttribute, value int) error
	// Occupancy is how many blocks of so many threads and bytes of dynamic shared
	// memory a multiprocessor runs at once.
	Occupancy(f Function, threads int, shared int64) (int, error)
	// Clusters is how many clusters of a launch the device runs at once, which need
	// not be its multiprocessors divided by the blocks of one. Needs 9.0.
	Clusters(f Function, c LaunchConfig) (int, error)
	// Launch runs f with params as its parameter block, laid out as the kernel's
	// parameter list. The bytes are copied before it returns. See Params.
	Launch(f Function, s Stream, c LaunchConfig, params []byte) error
}

// Streams run what is put in them in order; events mark places in them.
type Streams interface {
	StreamCreate(priority int) (Stream, error) // does not wait for the default stream; lower is sooner
	StreamDestroy(s Stream) error
	StreamSynchronize(s Stream) error
	StreamDone(s Stream) (bool, error) // whether it is empty
	StreamWait(s Stream, e Event) error

	EventCreate(timing bool) (Event, error)
	EventDestroy(e Event) error
	EventRecord(e Event, s Stream) error
	EventSynchronize(e Event) error
	EventDone(e Event) (bool, error)
	EventElapsed(from, to Event) (float64, error) // milliseconds
}

// Graphs are launches recorded once and run many times.
type Graphs interface {
	// CaptureBegin records what this thread puts into s instead of running it. The
	// mode is thread-local: other threads may allocate meanwhile, this one not.
	CaptureBegin(s Stream) error
	// CaptureEnd ends it. After a failure inside the capture it returns an error
	// and there is no graph; the stream is usable again.
	CaptureEnd(s Stream) (Graph, error)
	GraphNodes(g Graph) (int, error)
	GraphInstantiate(g Graph) (Exec, error)
	GraphDestroy(g Graph) error // the Exec made of it stays
	GraphUpload(x Exec, s Stream) error
	GraphLaunch(x Exec, s Stream) error
	ExecDestroy(x Exec) error
}

// Params is the parameter block of a kernel that takes one struct by value: the
// bytes of *p, which holds device addresses as Ptr or uint64 and no Go pointer,
// its fields aligned as in C.
func Params[P any](p *P) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p))
}

// Bytes is the memory of v, for copies.
func Bytes[E any](v []E) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), uintptr(len(v))*unsafe.Sizeof(v[0]))
}
