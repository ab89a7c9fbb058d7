package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"llorch/deploy/demo/standin"
)

const workerID = "demo-1"

// demo is one run through a worker's life.
type demo struct {
	bin, model   string
	orchestrator *standin.Orchestrator
	worker       *standin.Worker
	// healthAtCallback is what /health said while the callback was being
	// answered: 0 until then.
	healthAtCallback atomic.Int64
}

func demonstrate(ctx context.Context, bin, model string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*startLimit)
	defer cancel()
	d := &demo{bin: bin, model: model}
	began := time.Now()
	for i, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"spawn a worker the way a pool manager does", d.spawn},
		{"receive its ready callback", d.ready},
		{"two requests at once, both streams live", d.stream},
		{"health, residency and memory", d.evidence},
		{"SIGTERM with a request running", d.stop},
	} {
		fmt.Printf("\n── %d. %s\n", i+1, step.title)
		if err := step.do(ctx); err != nil {
			if d.worker != nil {
				d.worker.Kill()
				fmt.Fprintf(os.Stderr, "\nthe worker's log:\n%s\n", d.worker.LogText())
			}
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	fmt.Printf("\nAll of it happened, in %.1f s.\n", time.Since(began).Seconds())
	return nil
}

func (d *demo) spawn(context.Context) (err error) {
	port, err := standin.FreePort()
	if err != nil {
		return err
	}
	d.orchestrator, err = standin.Listen(0, func(int, standin.Call) int {
		d.healthAtCallback.Store(int64(statusOf(fmt.Sprintf("http://127.0.0.1:%d/health", port))))
		return http.StatusOK
	})
	if err != nil {
		return err
	}
	d.worker, err = standin.Start(standin.Spawn{
		Bin: d.bin, Model: d.model, ID: workerID, Port: port, CallbackURL: d.orchestrator.URL("/ready"),
		Args: []string{"--local-mode", "--log-format", "json"},
	})
	if err != nil {
		return err
	}
	fmt.Printf("%s --worker-id %s --model %s --port %d --callback-url %s\n   pid %d\n",
		d.bin, workerID, d.model, port, d.orchestrator.URL("/ready"), d.worker.PID())
	return nil
}

func statusOf(url string) int {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return -1
	}
	resp.Body.Close()
	return resp.StatusCode
}

// ready checks what the callback says against what can be seen from here.
func (d *demo) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	type body struct {
		WorkerID  string `json:"worker_id"`
		VRAMBytes int64  `json:"vram_bytes"`
		URI       string `json:"uri"`
	}
	called := make(chan error, 1)
	var call standin.Call
	go func() {
		var err error
		call, err = d.orchestrator.Ready(ctx)
		called <- err
	}()
	if err := d.worker.WaitHealthy(ctx); err != nil {
		cancel() // a worker that has ended calls nobody
		<-called
		return err
	}
	if err := <-called; err != nil {
		return err
	}
	fmt.Printf("POST %s %s\n", call.Path, call.Body)
	var b body
	if err := json.Unmarshal(call.Body, &b); err != nil {
		return err
	}
	files, err := weightBytes(d.model)
	if err != nil {
		return err
	}
	uri := fmt.Sprintf("http://localhost:%d", d.worker.Port)
	if b != (body{workerID, files, uri}) {
		return fmt.Errorf("want worker %s, %d bytes of weight files, uri %s", workerID, files, uri)
	}
	if s := d.healthAtCallback.Load(); s != http.StatusServiceUnavailable {
		return fmt.Errorf("/health said %d while the callback was not answered, want 503", s)
	}
	fmt.Println("   /health: 503 until the callback was answered, 200 since")
	return nil
}

// weightBytes sums the weight files of a model folder.
func weightBytes(model string) (total int64, err error) {
	files, err := filepath.Glob(filepath.Join(model, "*.safetensors"))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no weight files in %s (%w)", model, err)
	}
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			return 0, err
		}
		total += st.Size()
	}
	return total, nil
}

// evidence compares what the worker says of its memory with the kernel's account.
func (d *demo) evidence(ctx context.Context) error {
	status, _, body, err := d.worker.Do(ctx, "GET", "/health", nil)
	if err != nil {
		return err
	}
	fmt.Printf("GET /health %d\n   %s\n", status, body)
	var h struct {
		Status   string `json:"status"`
		Resident bool   `json:"resident"`
		Used     int64  `json:"vram_bytes_used"`
	}
	if err := json.Unmarshal(body, &h); err != nil {
		return err
	}
	_, _, metrics, err := d.worker.Do(ctx, "GET", "/metrics", nil)
	if err != nil {
		return err
	}
	ok, _ := standin.Sample(string(metrics), "llorch_residency_ok")
	weights, _ := standin.Sample(string(metrics), "llorch_resident_bytes", `class="weights"`)
	cache, _ := standin.Sample(string(metrics), "llorch_resident_bytes", `class="cache"`)
	scratch, _ := standin.Sample(string(metrics), "llorch_resident_bytes", `class="scratch"`)
	fmt.Printf("residency: verified %v; in RAM %s of weights, %s of KV cache, %s of scratch\n", h.Resident, mib(int64(weights)), mib(int64(cache)), mib(int64(scratch)))
	if status != http.StatusOK || h.Status != "healthy" || !h.Resident || ok != 1 || weights <= 0 {
		return errors.New("the worker is not healthy and resident")
	}
	m, err := standin.ReadMemory(d.worker.PID(), d.model)
	if err != nil {
		return err
	}
	fmt.Printf("the kernel says: RSS %s, of which %s of %s mapped from %s\n", mib(m.RSS), mib(m.ModelRSS), mib(m.ModelSize), d.model)
	if m.ModelRSS < int64(weights) || m.RSS < int64(weights+cache) {
		return errors.New("the kernel sees less memory than the worker claims")
	}
	return nil
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// stop ends the worker while it works, and reads its report.
func (d *demo) stop(ctx context.Context) error {
	defer d.orchestrator.Close()
	s, err := d.worker.Execute(ctx, "", standin.Request{JobID: "running", Prompt: "The little dog", MaxTokens: 2000, Temperature: 1.2})
	if err != nil {
		return err
	}
	first, err := s.Next()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := d.worker.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	rest, err := s.All(first)
	if err != nil {
		return err
	}
	status, err := d.worker.Wait(6 * time.Second)
	if err != nil {
		return err
	}
	last := standin.Last(rest)
	fmt.Printf("the running stream was closed properly: %s\nexit status %d after %.2f s\n", last.Raw, status, time.Since(began).Seconds())
	line, ok := d.worker.Find("shutdown")
	if !ok || status != 0 {
		return fmt.Errorf("exit status %d, drain report %v", status, ok)
	}
	fmt.Printf("drain report: completed %v, cut %v, took %v ms\n", line.Fields["completed"], line.Fields["cut"], line.Fields["duration_ms"])
	if fmt.Sprint(line.Fields["completed"]) == "0" && fmt.Sprint(line.Fields["cut"]) == "0" {
		return errors.New("the drain report knows of no request")
	}
	return nil
}
