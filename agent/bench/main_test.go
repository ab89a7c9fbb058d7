package bench_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"llorch/agent/cli"
)

// TestMain makes this test binary a worker for those tests that spawn one.
func TestMain(m *testing.M) {
	if os.Getenv("LLORCH_BENCH_TEST_WORKER") != "" {
		os.Exit(cli.Execute(cli.Program{
			Args: os.Args, Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: "test",
		}))
	}
	goleak.VerifyTestMain(m)
}
