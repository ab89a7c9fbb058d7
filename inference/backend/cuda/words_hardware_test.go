//go:build cuda

package cuda

import (
	"slices"
	"testing"

	"llorch/inference/backend"
	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// TestSetWords: words come where they belong, all of them and no others, by one launch and by several.
func TestSetWords(t *testing.T) {
	d := openHardware(t)
	to := put(t, d, backend.Scratch, tensor.F32, 4096, make([]float32, 4096))
	for _, n := range []int{1, 127, 128, 129, launchWords, launchWords + 1, mostSet} {
		before := words32(driver.Bytes(downloaded(t, d, to)))
		want := slices.Clone(before)
		for i := range n {
			want[3+i] = int32(i*40503 ^ n)
		}
		d.setWords(address(to)+12, want[3:3+n])
		if got := words32(driver.Bytes(downloaded(t, d, to))); !slices.Equal(got, want) {
			t.Errorf("%d words: they are not where they belong, or others have changed", n)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
