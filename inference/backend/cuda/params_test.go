package cuda

import (
	"testing"
	"unsafe"
)

// TestParams: the sizes of kernels' parameters as C has them, written down from the
// structs in kernels/*.cu. Pointers and int64 come at multiples of 8.
func TestParams(t *testing.T) {
	for name, s := range map[string][2]uintptr{
		"embed":     {unsafe.Sizeof(embedParams{}), 40},
		"rows":      {unsafe.Sizeof(rowsParams{}), 32},
		"norm":      {unsafe.Sizeof(normParams{}), 40},
		"headNorm":  {unsafe.Sizeof(headNormParams{}), 56},
		"swiglu":    {unsafe.Sizeof(swigluParams{}), 32},
		"linear":    {unsafe.Sizeof(linearParams{}), 64},
		"batch":     {unsafe.Sizeof(batchParams{}), 24},
		"cache":     {unsafe.Sizeof(cacheParams{}), 32},
		"heads":     {unsafe.Sizeof(headsParams{}), 24},
		"ropeStore": {unsafe.Sizeof(ropeStoreParams{}), 112},
		"attend":    {unsafe.Sizeof(attendParams{}), 96},
		"decode":    {unsafe.Sizeof(decodeParams{}), 144},
		"prefill":   {unsafe.Sizeof(prefillParams{}), 104},
	} {
		if s[0] != s[1] {
			t.Errorf("%s: %d bytes, %d in C", name, s[0], s[1])
		}
	}
}
