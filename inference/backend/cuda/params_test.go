package cuda

import (
	"testing"
	"unsafe"
)

// TestParams: the sizes of kernels' parameters as C has them, written down from the
// structs in kernels/*.cu. Pointers and int64 come at multiples of 8.
func TestParams(t *testing.T) {
	for name, s := range map[string][2]uintptr{
		"setWords":  {unsafe.Sizeof(setWordsParams{}), 16 + 1000*4},
		"embed":     {unsafe.Sizeof(embedParams{}), 48},
		"rows":      {unsafe.Sizeof(rowsParams{}), 32},
		"norm":      {unsafe.Sizeof(normParams{}), 40},
		"headNorm":  {unsafe.Sizeof(headNormParams{}), 56},
		"swiglu":    {unsafe.Sizeof(swigluParams{}), 32},
		"linear":    {unsafe.Sizeof(linearParams{}), 64},
		"pack":      {unsafe.Sizeof(packParams{}), 48},
		"gemm":      {unsafe.Sizeof(gemmParams{}), 2*8 + 3*48 + 12*4 + 112},
		"batch":     {unsafe.Sizeof(batchParams{}), 24},
		"cache":     {unsafe.Sizeof(cacheParams{}), 32},
		"heads":     {unsafe.Sizeof(headsParams{}), 24},
		"ropeStore": {unsafe.Sizeof(ropeStoreParams{}), 112},
		"part":      {unsafe.Sizeof(part{}), 48},
		"project":   {unsafe.Sizeof(projectParams{}), 3*48 + 7*8 + 24 + 32 + 14*4 + 16 + 16 + 40},
		"left":      {unsafe.Sizeof(left{}), 40},
		"stream":    {unsafe.Sizeof(streamParams{}), 3*48 + 7*8 + 24 + 32 + 14*4 + 16 + 16 + 40 + 8},
		"streamPk":  {unsafe.Sizeof(streamPackParams{}), 64},
		"quant":     {unsafe.Sizeof(quantParams{}), 3*48 + 7*8 + 24 + 32 + 14*4 + 16 + 16 + 40 + 4*16 + 4*4},
		"cluster":   {unsafe.Sizeof(clusterParams{}), 3*48 + 7*8 + 24 + 32 + 14*4 + 16 + 16 + 40 + 4*16 + 4*4 + 4*8 + 8 + 2*4},
		"rowsTaken": {unsafe.Sizeof(rowsTakenParams{}), 3*48 + 7*8 + 24 + 32 + 14*4 + 16 + 16 + 40 + 3*8 + 8 + 6*4},
		"chain":     {unsafe.Sizeof(chainParams{}), 4*(3*48+7*8+24+32+14*4+16+16+40+4*16+4*4+4*8+4*4) + 2*8 + 8*4},
		"quantPack": {unsafe.Sizeof(quantPackParams{}), 48},
		"quantWide": {unsafe.Sizeof(quantWideParams{}), 24},
		"quantEmbd": {unsafe.Sizeof(quantEmbedParams{}), 40},
		"repack":    {unsafe.Sizeof(repackParams{}), 40},
		"embedP":    {unsafe.Sizeof(embedPackedParams{}), 40},
		"choose":    {unsafe.Sizeof(chooseParams{}), 7*8 + 64*48},
		"read":      {unsafe.Sizeof(readParams{}), 24},
		"peak":      {unsafe.Sizeof(peakParams{}), 24},
		"attend":    {unsafe.Sizeof(attendParams{}), 96},
		"decode":    {unsafe.Sizeof(decodeParams{}), 176},
		"share":     {unsafe.Sizeof(shareParams{}), 192},
		"prefill":   {unsafe.Sizeof(prefillParams{}), 112},
	} {
		if s[0] != s[1] {
			t.Errorf("%s: %d bytes, %d in C", name, s[0], s[1])
		}
	}
}
