package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"llorch/config"
	"llorch/inference"
	"llorch/residency"
)

// processReserve is what a worker takes beside the plan of the engine:
// tokenizer, goroutines, HTTP buffers, code. The demo model's worker takes
// about 36 MiB (RSS less the plan, x86-64); the rest is room for vocabularies a
// hundred times larger and for the buffers of many streams.
const processReserve = 128 << 20

// EngineOptions translates settings to the engine's.
func EngineOptions(c config.Config) (inference.Options, error) {
	device, err := deviceOf(c)
	if err != nil {
		return inference.Options{}, err
	}
	cache, err := inference.CacheType(c.KVDType)
	if err != nil {
		return inference.Options{}, err
	}
	queue := c.MaxQueue
	if queue == 0 {
		queue = -1 // the engine's word for none
	}
	quantize := c.Quantize
	if quantize == "none" {
		quantize = ""
	}
	return inference.Options{
		Quantize: quantize,
		Device:   device.Kind, Index: device.Index, Threads: c.Threads, MaxBatch: c.MaxBatch, MaxQueue: queue, QueueTokens: c.MaxQueueTokens,
		MaxPrompt: c.MaxTokensIn, MaxContext: c.MaxContext, CacheBytes: int64(c.KVCacheMB) << 20, CacheType: cache,
		ChunkTokens: c.PrefillChunk, PrefixCache: inference.PrefixCache(c.PrefixCache), Verify: inference.Verify(c.VerifyWeights),
	}, nil
}

// deviceOf binds the device asked for to what this binary has. There is no
// falling back to another one.
func deviceOf(c config.Config) (config.Device, error) {
	built := inference.Devices()
	if c.Backend == "ref" {
		return config.Device{Kind: "ref", Index: c.Device.Index}, nil
	}
	// ref is for those who name it; an accelerator comes before the CPU.
	built = slices.DeleteFunc(built, func(k string) bool { return k == "ref" })
	slices.SortFunc(built, func(a, b string) int {
		if a == "cpu" {
			return 1
		}
		if b == "cpu" {
			return -1
		}
		return 0
	})
	return c.Device.Resolve(built...)
}

// ErrDevice is wrapped where a plan lacks what the device has: it cannot be used.
var ErrDevice = errors.New("cannot use")

// Forecast plans the memory of a model on this host. The error of a model that
// does not fit is a *residency.ShortfallError; with ErrDevice the plan is that of
// an idle device of any size.
func Forecast(ctx context.Context, ins *inference.Inspection, o *inference.Options) (inference.Plan, residency.Forecast, error) {
	if err := ins.CheckCache(o.CacheType); err != nil {
		return inference.Plan{}, residency.Forecast{}, err
	}
	host, err := residency.ReadHost(ctx, "/")
	if err != nil {
		return inference.Plan{}, residency.Forecast{}, fmt.Errorf("agent: %w", err)
	}
	device := fmt.Sprintf("%s:%d", o.Device, o.Index)
	room, own, err := inference.RoomFor(*o)
	switch {
	case err != nil:
		return ins.Plan(*o), residency.Forecast{}, fmt.Errorf("agent: %w %s: %w", ErrDevice, device, err)
	case own:
		return forecastOwn(ins, o, room, host, device)
	}
	o.Available, _ = host.Free()
	plan := ins.Plan(*o)
	need := residency.Need{Weights: plan.Weights, Cache: plan.Cache, Scratch: plan.Scratch, Process: processReserve}
	forecast, err := residency.Plan(need, host, device, ins.Source.Path)
	return plan, forecast, err
}

// forecastOwn plans for a device with memory of its own. The host then holds the
// process alone: the files pass through its page cache.
func forecastOwn(ins *inference.Inspection, o *inference.Options, room inference.Room, host residency.Host, device string) (inference.Plan, residency.Forecast, error) {
	o.Available, o.OwnMemory = max(1, room.Free-room.Driver), true
	plan := ins.Plan(*o)
	need := residency.Need{Weights: plan.Weights, Cache: plan.Cache, Scratch: plan.Scratch, Driver: room.Driver + plan.Beside}
	have := residency.Host{Total: room.Total, Available: room.Free, Name: fmt.Sprintf("free memory of %s, %s", device, room.Name)}
	forecast, err := residency.Plan(need, have, device, ins.Source.Path)
	if err != nil {
		return plan, forecast, err
	}
	_, err = residency.Plan(residency.Need{Process: processReserve + room.Host}, host, "the host of "+device, ins.Source.Path)
	return plan, forecast, err
}

// load reads the model, plans, and loads.
func (w *worker) load() error {
	o, err := EngineOptions(w.cfg)
	if err != nil {
		return err
	}
	began := time.Now()
	w.log.Info("model_load_start", "model", w.cfg.Model, "device", fmt.Sprintf("%s:%d", o.Device, o.Index))
	ins, err := inference.Begin(w.cfg.Model)
	if err != nil {
		return fmt.Errorf("agent: model %s: %w", w.cfg.Model, err)
	}
	plan, forecast, err := Forecast(w.stopping, ins, &o)
	if err != nil {
		_ = ins.Close()
		return err
	}
	if plan.Quantized > 0 {
		w.log.Info("quantize", "format", o.Quantize, "file_bytes", plan.Quantized, "weights", plan.Weights)
	}
	for _, widened := range plan.Widened {
		w.log.Warn("model", "note", widened.String())
	}
	w.log.Info("memory_plan", "weights", plan.Weights, "cache", plan.Cache, "scratch", plan.Scratch, "driver", forecast.Need.Driver, "process", forecast.Need.Process,
		"required", forecast.Required, "available", forecast.Available, "bound", forecast.Bound, "context", plan.Context)
	reporter := newLoadReporter(w.machine, w.log, w.bar, plan)
	o.Progress = reporter.report
	o.Faulted = w.deviceLost
	w.source = ins.Source
	w.engine, err = interruptible(w.stopping, w.cutting, loadGrace, func() (*inference.Engine, error) {
		return inference.Load(w.stopping, ins, o)
	})
	reporter.end(err == nil)
	if err != nil {
		return fmt.Errorf("agent: load %s: %w", w.cfg.Model, err)
	}
	w.describe()
	w.loadTime = time.Since(began)
	info := w.engine.Info()
	for _, warning := range info.Warnings {
		w.log.Warn("model", "note", warning)
	}
	w.log.Info("model_load_complete", "model", w.info.Name, "architecture", info.Architecture, "quant_kind", info.Quant, "digest", info.Digest,
		"vocab_size", info.Vocab, "tokenizer_vocab", info.TokenizerVocab, "context_length", info.Context, "layers", info.Layers, "parameters", info.Params,
		"model_size_mb", info.FileBytes>>20, "vram_bytes", w.info.DeviceBytes, "device", info.Device.Name, "isa", info.Device.ISA,
		"threads", info.Device.Threads, "gomaxprocs", runtime.GOMAXPROCS(0), "duration_ms", w.loadTime.Milliseconds())
	return nil
}

// modelName is what the model is called before it is read: as it will be called
// then, by the orchestrator's name for it or its folder's.
func modelName(c config.Config) string {
	if c.ModelRef != "" {
		return c.ModelRef
	}
	path, err := filepath.Abs(c.Model)
	if err != nil {
		return ""
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	return filepath.Base(path)
}

// describe gives the HTTP side its engine and what to say about the model.
func (w *worker) describe() {
	i := w.engine.Info()
	name := i.Name
	if w.cfg.ModelRef != "" {
		name = w.cfg.ModelRef
	}
	w.info = ModelInfo{
		Name: name, QuantKind: i.Quant, TokenizerKind: i.TokenizerKind, VocabSize: i.Vocab, ContextLength: i.Context,
		FileBytes: i.FileBytes, Architecture: i.Device.Architecture, Digest: i.Digest,
	}
	for _, bytes := range i.Held {
		w.info.DeviceBytes += bytes
	}
	w.server.Attach(w.engine, w.info)
}
