package backend

// Observer is the optional ability of a device with memory of its own: its driver,
// not its account, says where that memory is. What such a device is given by Place
// it has copied, so that host need not stay.
type Observer interface {
	// Observe asks the driver about every region. It is called as all others are,
	// from the device's goroutine between steps: the account changes within steps.
	Observe() Observation
	// Occupied asks the management library, which knows neither contexts nor
	// threads. Any goroutine may call it at any time until Close.
	Occupied() Occupancy
}

// Observation is what the driver says of a device's memory at one time. Sizes are
// bytes.
type Observation struct {
	Index   int // of the device
	Placed  []Placed
	Context int64 // of the driver for this process, measured before anything was allocated
	Graphs  int64 // of recorded steps, measured while they were made
	Page    int64 // what the device hands physical memory out by; 0 = not known
	Occupancy
}

// Placed is a region of the account and where the driver says that it is.
type Placed struct {
	Region
	Place Place
	Err   error // the driver did not say
}

// Place is what the driver knows of an address.
type Place struct {
	Device  bool    // in memory of a device
	Index   int     // of which
	Managed bool    // moves between host and device
	Host    uintptr // the address a host program reads it by; 0 = it cannot
	Start   uintptr // of the allocation that holds it
	Bytes   int64   // of that allocation
}

// Occupancy is what the management library says of this process on the device.
type Occupancy struct {
	Process     int64 // bytes of this process
	Err         error // why Process is not known
	Uncorrected int64 // errors of the device's memory that could not be corrected, since it was opened; −1: it does not say
	Card        Card
}

// Card is what a card measures of itself, whoever uses it; −1 where it does not say.
type Card struct {
	Corrected, Uncorrected int64 // errors of its memory since the driver was loaded
	Remapped               int64 // rows of memory that were replaced, for either
	Celsius, Milliwatts    int64
	Throttled              int64 // 1 while something holds its clocks back
}

// NoCard is one that says nothing.
var NoCard = Card{-1, -1, -1, -1, -1, -1}

// Observing returns d's ability, nil if it computes from memory of the host.
func Observing(d Device) Observer {
	o, _ := ability[Observer](d)
	return o
}
