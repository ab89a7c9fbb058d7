package cuda

import "llorch/inference/backend/cuda/driver"

// launchWords is how many words a launch of kernels/set_words.cu has.
const launchWords = 1000

// setWords puts words into device memory behind what is under way, few of them: a launch for each launchWords. They have been
// taken when it returns.
func (d *Device) setWords(dst driver.Ptr, words []int32) {
	p := d.words // of the device: a step should not allocate 4 KB
	for len(words) > 0 {
		n := copy(p.word[:], words)
		p.dst, p.n = dst, int32(n)
		launch(d, d.kern.setWords, grid(ceilDiv(n, 128), 1), 128, p)
		dst, words = dst+driver.Ptr(4*n), words[n:]
	}
}
