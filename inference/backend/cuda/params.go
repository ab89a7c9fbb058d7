package cuda

import "llorch/inference/backend/cuda/driver"

// The parameters of kernels, laid out as their twins in kernels/*.cu: the same
// fields in the same order, all of natural alignment, what a struct holds besides
// spelled out. params_test.go compares the sizes.

type embedParams struct {
	dst, table, tokens driver.Ptr
	rowBytes           int64
	cols, format       int32
}

type rowsParams struct {
	dst, x, index driver.Ptr
	cols, _       int32
}

type normParams struct {
	dst, x, w    driver.Ptr
	cols, format int32
	eps          float32
	_            int32
}

type headNormParams struct {
	qkv, wq, wk      driver.Ptr
	cols             int64
	q, kv, dim       int32
	formatQ, formatK int32
	eps              float32
}

type swigluParams struct {
	dst, gateUp driver.Ptr
	n           int64
	cols, _     int32
}

type linearParams struct {
	dst, x, w, b    driver.Ptr
	rowBytes        int64
	m, k, rows, ldd int32
	biasFormat, add int32
}

type batchParams struct{ positions, tables, pages driver.Ptr }

type cacheParams struct {
	k, v         driver.Ptr
	rowBytes     int64
	format, size int32
}

type headsParams struct {
	q, kv, dim, window int32
	scale              float32
	_                  int32
}

type ropeStoreParams struct {
	qkv, cos, sin     driver.Ptr
	batch             batchParams
	cache             cacheParams
	heads             headsParams
	half, interleaved int32
}

type attendParams struct {
	dst, qkv driver.Ptr
	batch    batchParams
	cache    cacheParams
	heads    headsParams
}

type decodeParams struct {
	attendParams
	part, peaks, tickets driver.Ptr
	most, least, n       int32
	group, shares, shift int32
}

type prefillParams struct {
	attendParams
	tiles driver.Ptr
}
