package longhash

import "golang.org/x/sys/cpu"

var hashesBlocks = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW

// hashBlocks computes the sums of n blocks of 1024 bytes at p: of each 16 stripes by
// accumulate, the secret 8 bytes further with each. m.most becomes the largest words, by
// lanes, of what lies under the masks.
//
//go:noescape
func hashBlocks(sums *Sum, p *byte, n int, secret *[192]byte, m *masks)
