package main

import (
	"context"
	"fmt"
	"time"

	"llorch/deploy/demo/standin"
)

// evidence: what the worker says of itself against what can be seen from outside.
var evidence = []Drill{
	{"resident-by-the-kernels-account", "evidence", []int{1, 6}, 40 * time.Second, residentByKernel},
	{"same-text-in-every-batch", "evidence", []int{13}, 120 * time.Second, sameText},
}

// classes are those of llorch_resident_bytes.
var classes = []string{"weights", "cache", "scratch"}

// residentByKernel compares plan, metrics and the kernel's account.
func residentByKernel(ctx context.Context, b *Bench) (string, error) {
	w, err := b.Ready(ctx)
	if err != nil {
		return "", err
	}
	plan, err := logged(ctx, w, "memory_plan")
	if err != nil {
		return "", err
	}
	var planned, claimed float64
	var weights float64
	for _, class := range classes {
		v, err := metric(ctx, w, "llorch_resident_bytes", `class="`+class+`"`)
		if err != nil {
			return "", err
		}
		p, ok := plan.Fields[class].(float64)
		if !ok {
			return "", fmt.Errorf("the plan has no %s: %v", class, plan.Fields)
		}
		if claimed, planned = claimed+v, planned+p; class == "weights" {
			weights = v
		}
	}
	seen, err := standin.ReadMemory(w.PID(), b.Model)
	if err != nil {
		return "", err
	}
	if float64(seen.ModelRSS) < weights || float64(seen.RSS) < claimed {
		return "", fmt.Errorf("the kernel sees %d of the model's files and %d in all, the worker claims %.0f and %.0f", seen.ModelRSS, seen.RSS, weights, claimed)
	}
	const bar = 64 << 20 // of the promise: one per cent or this
	off := claimed - planned
	if max(off, -off) > max(bar, planned/100) {
		return "", fmt.Errorf("planned %.0f bytes, resident are %.0f", planned, claimed)
	}
	return fmt.Sprintf("planned %s, resident %s; the kernel sees %s in all, %s of them the program's own",
		mib(int64(planned)), mib(int64(claimed)), mib(seen.RSS), mib(seen.RSS-int64(claimed))), expect(ctx, w, "GET", "/health", nil, 200, `"resident":true`)
}

// sameText runs one request alone, beside seven others, and after a restart.
func sameText(ctx context.Context, b *Bench) (string, error) {
	seed := uint64(7)
	request := func(id string) standin.Request {
		return standin.Request{JobID: id, Prompt: "One day, a small fox", MaxTokens: 40, Temperature: 0.9, Seed: &seed}
	}
	var want string
	for start := range 2 {
		w, err := b.Ready(ctx, "--max-batch", "8")
		if err != nil {
			return "", err
		}
		all, err := whole(ctx, w, request("alone"))
		if err != nil {
			return "", err
		}
		if start == 0 {
			want = standin.Text(all)
		}
		for i := range 7 {
			s, err := w.Execute(ctx, "", endless(fmt.Sprint("other-", i)))
			if err != nil {
				return "", err
			}
			defer s.Close()
		}
		beside, err := whole(ctx, w, request("beside"))
		if err != nil {
			return "", err
		}
		if a, c := standin.Text(all), standin.Text(beside); a != want || c != want {
			return "", fmt.Errorf("start %d: alone %q, beside others %q, want %q", start, a, c, want)
		}
		w.Kill()
	}
	return fmt.Sprintf("the same %d bytes alone, in a batch of 8 and after a restart", len(want)), nil
}
