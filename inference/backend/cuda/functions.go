package cuda

import (
	"fmt"

	"llorch/inference/backend/cuda/driver"
	"llorch/inference/tensor"
)

// functions are the kernels that a device launches.
type functions struct {
	embed, embedPacked, rows, rmsNorm, headNorm, swiglu, ropeStore, ropeRows driver.Function
	repack, choose, pack, setWords, attendShare                              driver.Function

	linear, attend                   map[tensor.DType]driver.Function
	project                          map[geometry]driver.Function
	quantOne, quantMany, quantRows   driver.Function
	chainBF16, chainQuant            driver.Function
	quantPack, quantWide, quantEmbed map[tensor.DType]driver.Function
	gemms                            *gemms
	streams                          *streams
	clusters                         *clusters
	attention                        *attention
}

// findFunctions looks all kernels up and asks for the shared memory that they need.
func findFunctions(drv driver.Driver, index int, k *Kernels, hopper bool) (f *functions, err error) {
	f = &functions{linear: map[tensor.DType]driver.Function{}, attend: map[tensor.DType]driver.Function{}, project: map[geometry]driver.Function{}}
	find := func(name string) (fn driver.Function) {
		if err == nil {
			fn, err = k.Function(name)
		}
		if err == nil && hopper {
			err = drv.SetFunctionAttribute(fn, driver.FunctionCarveout, 100)
		}
		return fn
	}
	f.embed, f.embedPacked, f.rows, f.rmsNorm = find("embed"), find("embed_packed"), find("rows"), find("rms_norm")
	f.headNorm, f.swiglu, f.ropeStore = find("head_norm"), find("swiglu"), find("rope_store")
	f.repack, f.choose, f.pack, f.setWords = find("repack"), find("choose"), find("stream_pack"), find("set_words")
	f.attendShare, f.ropeRows = find("attend_share"), find("rope_rows")
	for t := tensor.F32; t.Known(); t++ {
		f.linear[t] = find("linear_" + t.String())
	}
	for _, t := range []tensor.DType{tensor.F32, tensor.F16, tensor.BF16, tensor.Q8_0} {
		f.attend[t] = find("attend_" + t.String())
	}
	if err == nil {
		err = drv.SetFunctionAttribute(f.choose, driver.FunctionMaxShared, chooseShared(mostVocab))
	}
	for _, g := range geometries() {
		fn := find(fmt.Sprintf("project_%d_%d", g.tiles, g.passes))
		if err == nil && hopper {
			err = drv.SetFunctionAttribute(fn, driver.FunctionMaxShared, ringBytes)
		}
		f.project[g] = fn
	}
	f.quantPack, f.quantWide, f.quantEmbed = map[tensor.DType]driver.Function{}, map[tensor.DType]driver.Function{}, map[tensor.DType]driver.Function{}
	for t := range quantFormats {
		f.quantPack[t], f.quantWide[t], f.quantEmbed[t] = find("quant_pack_"+t.String()), find("quant_wide_"+t.String()), find("quant_embed_"+t.String())
	}
	f.quantOne, f.quantMany, f.quantRows = find("quant_one"), find("quant_many"), find("quant_rows")
	for _, fn := range []driver.Function{f.quantOne, f.quantMany} {
		shared := plainShared
		if hopper {
			shared = quantShared
		}
		if err == nil {
			err = drv.SetFunctionAttribute(fn, driver.FunctionMaxShared, shared)
		}
		if err == nil && hopper {
			err = drv.SetFunctionAttribute(fn, driver.FunctionCarveout, 100)
		}
	}
	if err == nil {
		f.gemms, err = findGemms(drv, index, k)
	}
	if err == nil && hopper {
		f.streams, err = findStreams(drv, k)
	}
	if err == nil && hopper {
		f.clusters, err = findClusters(drv, k)
	}
	if err == nil && hopper {
		err = f.findChains(drv, k)
	}
	if err == nil {
		f.attention, err = findAttention(drv, k)
	}
	return f, err
}
