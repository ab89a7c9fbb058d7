//go:build unix && !linux

package weights

func populatePages([]byte) error { return errNoPopulate }

func wideReads([]byte, bool) {}
