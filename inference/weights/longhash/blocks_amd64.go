package longhash

import "golang.org/x/sys/cpu"

var (
	hashesBlocks = cpu.X86.HasAVX512F
	sieves       = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW
)

// hashBlocks computes the sums of n blocks of 1024 bytes at p: of each 16 stripes by
// accumulate, the secret 8 bytes further with each.
//
//go:noescape
func hashBlocks(sums *Sum, p *byte, n int, secret *[192]byte)

// hashSieved is hashBlocks, and sets m.most beside it.
//
//go:noescape
func hashSieved(sums *Sum, p *byte, n int, secret *[192]byte, m *masks)
