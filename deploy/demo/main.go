// Command demo shows a worker's whole life: a stand-in orchestrator spawns it,
// receives its ready callback, streams two answers at once, looks at health,
// residency and memory, and stops it. Every step is checked; the exit status is
// 0 only if all of it happened.
//
//	go run ./deploy/demo -bin build/llorch-cpu -model deploy/demo/model
//	go run ./deploy/demo -run …    leaves the worker serving
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"llorch/deploy/demo/standin"
)

func main() {
	bin := flag.String("bin", "build/llorch-cpu", "the worker")
	model := flag.String("model", "deploy/demo/model", "its model")
	serve := flag.Bool("run", false, "leave the worker serving and print a line to try")
	port := flag.Int("port", 8080, "port to serve on with -run")
	flag.Parse()
	// Whoever reads our output may leave; the worker must be stopped all the same.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var err error
	if *serve {
		err = leaveServing(ctx, *bin, *model, *port)
	} else {
		err = demonstrate(ctx, *bin, *model)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo: FAILED:", err)
		os.Exit(1)
	}
}

// startLimit is how long a worker may take from spawn to ready.
const startLimit = 60 * time.Second

// leaveServing keeps a worker running until Ctrl-C or its own end.
func leaveServing(ctx context.Context, bin, model string, port int) error {
	w, err := standin.Start(standin.Spawn{
		Bin: bin, Model: model, ID: "demo", Port: port, Args: []string{"--local-mode", "--log-format", "pretty"}, Log: os.Stderr,
	})
	if err != nil {
		return err
	}
	defer w.Kill()
	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := w.WaitHealthy(starting); err != nil {
		return err
	}
	fmt.Printf("\nserving on port %d; try:\n\n  curl -N http://localhost:%d/execute -H 'Content-Type: application/json' \\\n"+
		"    -d '{\"job_id\":\"try-1\",\"prompt\":\"Once upon a time\",\"max_tokens\":120,\"temperature\":0.8}'\n\nCtrl-C stops it.\n\n", port, port)
	ended := make(chan error, 1)
	go func() {
		status, err := w.Wait(1 << 62)
		if err == nil && status != 0 {
			err = fmt.Errorf("the worker exited with status %d", status)
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	if err := w.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return <-ended
}
