//go:build !amd64

package longhash

const hashesBlocks, sieves = false, false

func hashBlocks(*Sum, *byte, int, *[192]byte) {
	panic("longhash: no blocks are hashed on this host")
}

func hashSieved(*Sum, *byte, int, *[192]byte, *masks) {
	panic("longhash: no blocks are hashed on this host")
}
