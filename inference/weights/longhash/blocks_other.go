//go:build !amd64

package longhash

const hashesBlocks = false

func hashBlocks(*Sum, *byte, int, *[192]byte, *masks) {
	panic("longhash: no blocks are hashed on this host")
}
