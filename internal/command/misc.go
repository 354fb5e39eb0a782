package command

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/plugins/host"
)

func newVersion(sh *Shell) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "version", Short: "Print which flow this is", Args: atMost(0),
		RunE: func(*cobra.Command, []string) error {
			v := sh.Version
			if asJSON {
				e := json.NewEncoder(sh.Streams.Out)
				e.SetIndent("", "  ")
				return e.Encode(v)
			}
			commit := ""
			if v.Commit != "" {
				commit = " (" + v.Commit + ")"
			}
			sh.out().Printf("flow %s%s %s %s/%s\n", v.Version, commit, v.Go, v.OS, v.Arch)
			return nil
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

// newStageRun is how flow starts itself for a job of a built-in stage type.
func newStageRun(sh *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "stage-run SPEC", Hidden: true, Args: exactly(1, "a SPEC"), DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if status := engine.StageRun(cmd.Context(), sh.Types(), host.Run, sh.path(args[0]), sh.Streams.Err); status != 0 {
				return exit(status)
			}
			return nil
		},
	}
}

// newGuard is the process that ends what is left of a run if flow dies.
func newGuard(sh *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "guard", Hidden: true, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			if status := sh.Guard(sh.Streams.In); status != 0 {
				return exit(status)
			}
			return nil
		},
	}
}
