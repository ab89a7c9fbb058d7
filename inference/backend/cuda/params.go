package cuda

import "llorch/inference/backend/cuda/driver"

// The parameters of kernels, laid out as their twins in kernels/*.cu: the same
// fields in the same order, all of natural alignment, what a struct holds besides
// spelled out. params_test.go compares the sizes.

type setWordsParams struct {
	dst  driver.Ptr
	n, _ int32
	word [launchWords]int32
}

// tokensParams are those of Tokens in kernels/formats.cuh.
type tokensParams struct{ rows, chosen driver.Ptr }

type embedParams struct {
	dst, table   driver.Ptr
	tokens       tokensParams
	rowBytes     int64
	cols, format int32
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

type packParams struct {
	dst, x, w            driver.Ptr
	cols, groups, format int32
	eps                  float32
	n, _                 int32
}

type gemmParams struct {
	x, out               driver.Ptr
	part                 [3]part
	tile                 [3]int32
	parts, n, groups     int32
	blocks, stride, ldd  int32
	epilogue             int32
	rowTiles, tokenTiles int32
	rope                 ropeStoreParams
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

type projectParams struct {
	part                  [3]part
	x, gamma, dst, norm   driver.Ptr
	pairs, cos, sin       driver.Ptr
	batch                 batchParams
	cache                 cacheParams
	parts, strips, m, k   int32
	ldx, ldd              int32
	gammaFormat, epilogue int32
	k0, tiles, kv         int32
	packedX               int32
	eps                   float32
	packedDst             int32
	tickets               driver.Ptr
	own, arrive           int32
	squares               driver.Ptr
	squaresOf, _          int32
	left                  left
}

// left is what is left for the projection behind: Left of project.cuh.
type left struct {
	dst, squares, gamma         driver.Ptr
	ld, gammaFormat, order, end int32
}

type streamParams struct {
	projectParams
	chunks, end int32
}

type streamPackParams struct {
	dst, x, gamma, squares, norm driver.Ptr
	k, ldx, tiles, groups        int32
	gammaFormat                  int32
	eps                          float32
}

// quantParams are those of kernels/quant.cu.
type quantParams struct {
	projectParams
	run                     [4]run
	runs, chunks, xBytes, _ int32
}

// clusterParams are those of kernels/quant_cluster.cu, and rowsTakenParams those of kernels/quant_rows.cu.
type clusterParams struct {
	quantParams
	taken      [4]driver.Ptr
	squares    driver.Ptr
	cluster, _ int32
}

type rowsTakenParams struct {
	projectParams
	dst          [3]driver.Ptr
	squares      driver.Ptr
	format       [3]int32
	chunks, rows int32
	_            int32
}

// run is where the parts of one format begin: its first block, or cluster of blocks, its first
// strip, and the stages of its ring.
type run struct{ format, block, strip, stages int32 }

// phaseParams are a projection of a chain, and chainParams those of kernels/chain.cuh.
type phaseParams struct {
	quantParams
	in, squaresIn   driver.Ptr
	out, squaresOut driver.Ptr
	heard, told     int32
	front, _        int32
}

type chainParams struct {
	phase         [chainPhases]phaseParams
	name, words   driver.Ptr
	phases, slots int32
	xBytes        int32
	flight        [3]int32
	side, _       int32
}

type quantPackParams struct {
	dst, src              driver.Ptr
	rowBytes              int64
	rows, k, chunks, kind int32
	span, first           int32
}

type quantWideParams struct {
	dst, src  driver.Ptr
	chunks, _ int32
}

type quantEmbedParams struct {
	dst, table   driver.Ptr
	tokens       tokensParams
	cols, chunks int32
}

type repackParams struct {
	dst, src             driver.Ptr
	rows, k, tiles, kind int32
	span, first          int32
}

type embedPackedParams struct {
	dst, table  driver.Ptr
	tokens      tokensParams
	cols, tiles int32
}

// chooseParams are those of kernels/choose.cu.
type chooseRow struct {
	temperature, penalty, topP, minP float32
	topK                             int32
	seed, position                   [2]uint32
	seen, count, fed                 int32
}

type chooseParams struct {
	dst, host    driver.Ptr
	logits       driver.Ptr
	vocab        int64
	seen, tokens driver.Ptr
	blocks, _    int32
	row          [chooseRows]chooseRow
}

type readParams struct {
	from driver.Ptr
	n    int64
	sink driver.Ptr
}

type peakParams struct {
	ops, sink driver.Ptr
	rounds, _ int32
}

type decodeParams struct {
	attendParams
	part, peaks, tickets driver.Ptr
	most, least, n       int32
	group, shares, shift int32
	tiles, from, all     int32
	around, ranks        int32
	share                driver.Ptr
}

type shareParams struct {
	decodeParams
	dst       driver.Ptr
	blocks, _ int32
}

type prefillParams struct {
	attendParams
	tiles        driver.Ptr
	groups, from int32
}
