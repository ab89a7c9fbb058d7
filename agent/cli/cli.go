// Package cli is the command line of the program: it reads flags, calls what
// does the work and turns the result into an exit status.
//
// Exit status: 0 for success and for a stop that was asked for, 1 when the
// command failed, 2 when the command line or the settings are wrong; usage is
// then on standard error. 3 is a worker that lost its device after it was
// started: start it again. 4 is one whose model was not in memory, or not the
// model on disk, for longer than --residency-timeout; 5 is one that its
// orchestrator dismissed. A worker's own errors are in its log, on standard output.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"llorch/agent"
	"llorch/config"
)

// Program is what the commands are given from outside.
type Program struct {
	Args            []string // the program's name first
	Environ         []string
	Stdin           *os.File
	Stdout, Stderr  *os.File
	Version, Commit string
}

// commands makes each sub-command; a new one is one more entry.
var commands = []func(*Program) *cobra.Command{serveCommand, generateCommand, inspectCommand, verifyCommand, quantizeCommand, benchCommand, doctorCommand, healthCommand, versionCommand}

const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// errReported is wrapped by errors that the user has seen already.
var errReported = errors.New("reported")

// Execute runs one command and returns the exit status.
func Execute(p Program) int {
	root := rootCommand(&p)
	root.SetArgs(p.Args[1:])
	ran, err := root.ExecuteC()
	return p.report(ran, err)
}

// report tells of an error where the command has not done so itself.
func (p *Program) report(ran *cobra.Command, err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, config.ErrUsage):
		fmt.Fprintf(p.Stderr, "%v\n\n%s", err, ran.UsageString())
		return exitUsage
	case errors.Is(err, errReported):
		return agent.ExitStatus(err)
	}
	fmt.Fprintf(p.Stderr, "%s: %v\n", filepath.Base(p.Args[0]), err)
	return exitError
}

// rootCommand serves when it is run bare: spawners pass flags and no command.
func rootCommand(p *Program) *cobra.Command {
	root := serveCommand(p)
	root.Use = filepath.Base(p.Args[0])
	root.Short = "an inference worker: one model, one device, managed by an orchestrator"
	root.Long = "Loads a model, proves that it is resident, tells the orchestrator that it is ready and streams tokens until it is\n" +
		"drained. Without a command it serves.\n\n" +
		"Exit status: 0 stopped as asked, 1 could not start or failed, 2 wrong flags or settings, 3 lost its device: start it again,\n" +
		"4 lost the model's memory or files for longer than --residency-timeout: start it again, 5 dismissed by its\n" +
		"orchestrator: leave starting it to that."
	root.Version = p.version()
	root.SetVersionTemplate("{{.Version}}\n")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetIn(p.Stdin)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	for _, make := range commands {
		root.AddCommand(make(p))
	}
	return root
}

func usage(err error) error { return fmt.Errorf("%w: %w", config.ErrUsage, err) }

// usagef is an error of the command line.
func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

// noArgs refuses positional arguments as a usage error.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%q is no command of %s", args[0], c.CommandPath())
	}
	return nil
}

// atMostOne allows one positional argument.
func atMostOne(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("%s takes one argument, got %d: quote text with spaces", c.CommandPath(), len(args))
	}
	return nil
}

func println(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
