package backend

// Filler is the optional ability of a device with memory of its own to take weights as
// their files are read, piece by piece. It needs no mapping of them.
type Filler interface {
	// Fill has every piece read, in the order of the list and several at a time, and
	// copied to memory of Alloc. read, called from goroutines of Fill, fills into with
	// the bytes of piece i. Those of the piece are on the device when arrived hears of
	// them, on the caller's goroutine, and all when Fill returns. It ends with the first
	// error, when nothing is read any more.
	Fill(pieces []Piece, read func(i int, into []byte) error, arrived func(bytes int)) error
}

// PieceBytes bounds a piece.
const PieceBytes = 4 << 20

// Piece is a stretch of a file, and where parts of it go: those of no weight go nowhere.
type Piece struct {
	Bytes  int
	Copies []Copy
}

// Copy is Bytes bytes from byte From of a piece on, which go to byte At of a weight.
type Copy struct {
	From, Bytes int
	To          Tensor
	At          int64
}

// Filling returns d's ability, nil if it has none.
func Filling(d Device) Filler {
	f, _ := ability[Filler](d)
	return f
}
