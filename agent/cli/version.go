package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func (p *Program) version() string { return p.Version }

func versionCommand(p *Program) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "version, commit and compiler", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(p.Stdout, "llorch %s commit %s %s %s/%s\n", p.Version, p.Commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
