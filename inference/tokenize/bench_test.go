package tokenize

import (
	"strconv"
	"strings"
	"testing"
)

func BenchmarkStreamPush(b *testing.B) {
	for _, kind := range kinds {
		tok := open(b, kind)
		ids, err := tok.Encode(strings.Repeat("Once upon a time, 世界 👋. ", 50))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(kind, func(b *testing.B) {
			s := tok.NewStream()
			for i := range b.N {
				s.Push(ids[i%len(ids)])
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	tok := open(b, "llama3")
	for _, size := range []int{20, 2000, 200_000} {
		text := strings.Repeat("Once upon a time. ", size/18+1)[:size]
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for range b.N {
				if _, err := tok.Encode(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParse is the check of a file with a vocabulary of the size of Llama 3's.
func BenchmarkParse(b *testing.B) {
	data := largeDefinition(128_000, 256_000)
	b.SetBytes(int64(len(data)))
	for range b.N {
		if _, err := parseDefinition(data); err != nil {
			b.Fatal(err)
		}
	}
}
