package longhash

import "golang.org/x/sys/cpu"

var hashesBlocks = cpu.X86.HasAVX512F

// hashBlocks computes the sums of n blocks of 1024 bytes at p: of each 16 stripes by
// accumulate, the secret 8 bytes further with each.
//
//go:noescape
func hashBlocks(sums *Sum, p *byte, n int, secret *[192]byte)
