package backend

import "llorch/inference/tensor"

// Room is what a device with memory of its own has for a model, before it is
// opened. Sizes are bytes.
type Room struct {
	Name        string // of the device, as its maker calls it
	Total, Free int64  // Free as the management library says, after all other processes
	// Driver is what the driver takes for a process beside what it allocates: its
	// context and the graphs of recorded steps.
	Driver int64
	// Host is what it takes of the host: libraries of the driver, pinned memory for
	// copies. Files that are read pass through the page cache.
	Host int64
}

// Need is how a kind of device with memory of its own lays out what it is given.
type Need struct {
	// Takes is what a weight of a format takes, at least its bytes.
	Takes func(t tensor.DType, rows, cols int) int64
	// Beside is what is taken for a while, during the warm-up, to lay out the
	// largest projection, of so many bytes in the format t.
	Beside func(t tensor.DType, bytes int64) int64
}

type own struct {
	room func(Options) (Room, error)
	need Need
}

var owns = map[string]own{}

// RegisterRoom says that a kind of device has memory of its own, what there is of
// it, and how weights lie in it. room must not open the device.
func RegisterRoom(kind string, room func(Options) (Room, error), n Need) { owns[kind] = own{room, n} }

// RoomFor asks what the device has that o would open; ok is false for one that
// computes from memory of the host.
func RoomFor(kind string, o Options) (r Room, ok bool, err error) {
	d, ok := owns[kind]
	if !ok {
		return Room{}, false, nil
	}
	r, err = d.room(o)
	return r, true, err
}

// Takes is what a weight takes of the memory of a kind of device.
func Takes(kind string, t tensor.DType, rows, cols int) int64 {
	bytes := int64(rows) * int64(t.RowBytes(cols))
	if d, ok := owns[kind]; ok {
		return max(bytes, d.need.Takes(t, rows, cols))
	}
	return bytes
}

// Beside is what is taken for a while to lay out a projection of so many bytes.
func Beside(kind string, t tensor.DType, bytes int64) int64 {
	if d, ok := owns[kind]; ok {
		return d.need.Beside(t, bytes)
	}
	return 0
}
