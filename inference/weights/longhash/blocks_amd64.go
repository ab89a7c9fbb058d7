package longhash

import "golang.org/x/sys/cpu"

var hashesBlocks = cpu.X86.HasAVX512F

// hashBlocks takes n blocks of 1024 bytes at p into acc: of each 16 stripes by
// accumulate, the secret 8 bytes further with each, and then for each i
//
//	acc[i] = (acc[i] ^ acc[i]>>47 ^ secret[128+8i:]) * prime32A
//
//go:noescape
func hashBlocks(acc *[8]uint64, p *byte, n int, secret *[192]byte)
