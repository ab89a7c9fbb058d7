package driver

import (
	"encoding/hex"
	"fmt"
)

// Ptr is an address in device memory; 0 is none.
type Ptr uint64

// Handles of the driver. The zero value is none; as a Stream it is the driver's
// default stream.
type (
	Context  uintptr
	Module   uintptr
	Function uintptr
	Stream   uintptr
	Event    uintptr
	Graph    uintptr // what a capture recorded
	Exec     uintptr // a graph made ready to launch
)

// UUID names a device, or the slice of one that MIG makes of it, across
// processes and reboots.
type UUID [16]byte

// String is the form of nvidia-smi and NVML, GPU-8-4-4-4-12 digits. A MIG slice
// has the same form here and is spelled MIG-… by those.
func (u UUID) String() string {
	h := hex.EncodeToString(u[:])
	return fmt.Sprintf("GPU-%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

// Attribute is a number that the driver knows of a device (CUdevice_attribute).
type Attribute int

const (
	MaxThreadsPerBlock   Attribute = 1
	SharedPerBlock       Attribute = 8  // bytes of shared memory a block has without asking
	ClockRate            Attribute = 13 // kHz
	Multiprocessors      Attribute = 16
	Integrated           Attribute = 18 // 1: shares memory with the host
	ComputeMode          Attribute = 20 // 0 default, 2 prohibited, 3 exclusive process
	ECCEnabled           Attribute = 32
	PCIBus               Attribute = 33
	PCIDevice            Attribute = 34
	MemoryClock          Attribute = 36 // kHz
	MemoryBusWidth       Attribute = 37 // bits
	L2Bytes              Attribute = 38
	ThreadsPerSM         Attribute = 39
	PCIDomain            Attribute = 50
	CapabilityMajor      Attribute = 75
	CapabilityMinor      Attribute = 76
	SharedPerSM          Attribute = 81 // bytes
	RegistersPerSM       Attribute = 82
	SharedPerBlockOptIn  Attribute = 97 // bytes after SetMaxShared
	MaxPersistingL2Bytes Attribute = 108
)

// FunctionAttribute is a number that the driver knows of a kernel
// (CUfunction_attribute).
type FunctionAttribute int

const (
	FunctionMaxThreads    FunctionAttribute = 0
	FunctionStaticShared  FunctionAttribute = 1 // bytes
	FunctionLocalBytes    FunctionAttribute = 3 // of one thread: spilled registers and indexed arrays
	FunctionRegisters     FunctionAttribute = 4 // of one thread
	FunctionPTXVersion    FunctionAttribute = 5 // 10·major + minor of the PTX it came from
	FunctionBinaryVersion FunctionAttribute = 6 // 10·major + minor of the machine code that runs
	FunctionMaxShared     FunctionAttribute = 8 // bytes of dynamic shared memory, can be set
	FunctionCarveout      FunctionAttribute = 9 // per cent of L1 wanted as shared memory, can be set
)

// ContextFlags say how a thread waits for the device.
type ContextFlags uint

const (
	Spin     ContextFlags = 1 // fastest, a core busy
	Yield    ContextFlags = 2
	Blocking ContextFlags = 4 // sleeps, tens of µs later
)

// LaunchConfig is the shape of a launch.
type LaunchConfig struct {
	Grid, Block [3]uint32 // blocks, threads of a block; 0 counts as 1
	Shared      uint32    // bytes of dynamic shared memory
	// Programmatic lets the kernel start while the one before it in the stream
	// ends (programmatic dependent launch): it must run griddepcontrol.wait
	// before it reads what that one writes. Needs compute capability 9.0.
	Programmatic bool
	Cluster      uint32 // blocks of a cluster along x; 0 = none. Needs 9.0
}

// Blocks is the shape of a launch of grid blocks of so many threads.
func Blocks(grid, threads int) LaunchConfig {
	return LaunchConfig{Grid: [3]uint32{uint32(grid)}, Block: [3]uint32{uint32(threads)}}
}

// Pinned is host memory that the device copies from and to at full rate, and
// that a kernel can reach at Device.
type Pinned struct {
	Bytes  []byte
	Device Ptr
}

// MemoryType says where an address points (CUmemorytype).
type MemoryType int

const (
	HostMemory    MemoryType = 1
	DeviceMemory  MemoryType = 2
	UnifiedMemory MemoryType = 4
)

// PointerInfo is what the driver knows of an address: the evidence of where an
// allocation is.
type PointerInfo struct {
	Type    MemoryType // 0: the driver does not know the address
	Device  int        // ordinal; for pinned host memory that of the context that made it
	Host    uintptr    // the address a host program reads it by; 0 = it cannot
	Managed bool       // moves between host and device
	Start   Ptr        // of the allocation that holds the address
	Bytes   int64      // of that allocation
}
