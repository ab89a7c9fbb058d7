package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"llorch/deploy/drills/soak"
)

func main() {
	bin := flag.String("bin", "build/llorch-cpu", "the worker")
	faulty := flag.String("faulty", "build/llorch-faults", "the worker built with -tags llorch_faults")
	model := flag.String("model", "deploy/demo/model", "its model")
	only := flag.String("only", "", "comma-separated names, sections or promise numbers; all by default")
	soakMinutes := flag.Float64("soak", 0, "minutes of a soak, instead of the drills")
	streams := flag.Int("streams", 1000, "of a soak, at once")
	list := flag.Bool("list", false, "print the table instead of running it")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "drills: %q is no flag\n", flag.Arg(0))
		os.Exit(2)
	}
	chosen, err := choose(table(), *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if *list {
		printTable(chosen)
		return
	}
	if _, err := os.Stat(*bin); err != nil {
		fmt.Fprintf(os.Stderr, "drills: no worker at %s: make build\n", *bin)
		os.Exit(2)
	}
	// Whoever reads our output may leave; workers must be ended all the same.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if *soakMinutes > 0 {
		soakFor(ctx, soak.Options{
			Bin: *bin, Model: *model, For: time.Duration(*soakMinutes * float64(time.Minute)), Streams: *streams,
			Seed: uint64(time.Now().UnixNano()), Out: os.Stdout,
		})
		return
	}
	r := runner{out: os.Stdout, bench: func() (*Bench, error) { return newBench(*bin, *faulty, *model) }}
	if !r.run(ctx, chosen) {
		os.Exit(1)
	}
}

// soakFor ends the program with status 1 unless all went well.
func soakFor(ctx context.Context, o soak.Options) {
	report, err := soak.Run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	report.Print(os.Stdout)
	if !report.OK() {
		os.Exit(1)
	}
}

func printTable(drills []Drill) {
	for _, d := range drills {
		fmt.Printf("%-40s promises %v, at most %v\n", d.Section+"/"+d.Name, d.Promises, d.Limit)
	}
}
