package command

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flow-pipelines/flow/internal/view"
)

// The groups of commands in the help.
const (
	groupWork = "work"
	groupLook = "look"
	groupText = "text"
)

// Main runs the command that args name and returns the exit status.
func Main(ctx context.Context, sh *Shell, args []string) int {
	defer sh.close()
	sh.interrupted = ctx.Done()
	root := newRoot(sh)
	if args == nil {
		args = []string{} // nil would mean os.Args to cobra
	}
	if cmd, err := oneDash(root, args); err != nil {
		return sh.report(cmd, err)
	}
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var status exit
	if errors.As(err, &status) {
		return int(status)
	}
	return sh.report(cmd, err)
}

func newRoot(sh *Shell) *cobra.Command {
	root := &cobra.Command{
		Use:   "flow",
		Short: "Terraform for machine-learning pipelines, with git's memory",
		Long: `flow runs machine-learning pipelines that are written in HCL. It keeps what is
up to date, restores what it knows, and runs the rest. flow.lock, committed to
git, brings back the data, models and metrics of every commit.

  flow init       begin a pipeline here
  flow plan       see what would run, why, and how long it usually takes
  flow apply      run that, and nothing else`,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if sh.noColor {
				sh.Streams.OutColor, sh.Streams.ErrColor = false, false
			}
			if cmd.Name() == "init" {
				return nil // it makes its directory
			}
			return sh.checkDir()
		},
	}
	root.SetIn(sh.Streams.In)
	root.SetOut(sh.Streams.Out)
	root.SetErr(sh.Streams.Err)
	root.SetFlagErrorFunc(flagError)
	f := root.PersistentFlags()
	f.StringVarP(&sh.chdir, "chdir", "C", "", "work in this `DIR` instead of the current one")
	f.BoolVar(&sh.noColor, "no-color", false, "write without colours (also: NO_COLOR)")
	root.AddGroup(
		&cobra.Group{ID: groupWork, Title: "Work:"},
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupText, Title: "Write:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupWork, newPlan(sh, runPlan), newApply(sh, runApply), newCheckout(sh, runCheckout), newRollback(sh, runRollback), newCache(sh))
	add(groupLook, newStatus(sh, runStatus), newShow(sh, runShow), newOutput(sh, runOutput), newPredict(sh, runPredict), newLogs(sh, runLogs),
		newDiff(sh, runDiff), newRuns(sh), newGraph(sh, runGraph), newConsole(sh, runConsole))
	add(groupText, newInit(sh, runInit), newGet(sh, runGet), newValidate(sh, runValidate), newFmt(sh, runFmt), newExplain(sh, runExplain), newPlugin(sh))
	root.AddCommand(newVersion(sh), newStageRun(sh), newGuard(sh))
	_ = root.MarkPersistentFlagDirname("chdir") // fails only for a flag that is not there
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		sh.completions(c)
	}
	completeBash(root, sh.Streams.Out)
	return root
}

func addVariables(f *pflag.FlagSet, v *Variables) {
	f.StringArrayVar(&v.Vars, "var", nil, "set a variable: `NAME=VALUE`")
	f.StringArrayVar(&v.VarFiles, "var-file", nil, "read variables from a `FILE`")
}

// jsonFlag adds --json.
func jsonFlag(f *pflag.FlagSet, to *bool) { f.BoolVar(to, "json", false, "write JSON") }

// fail passes err on; if it is about the pipeline and JSON was asked for, it
// is written as the document instead.
func (sh *Shell) fail(json bool, err error) error {
	diags, files, ok := mistakes(err)
	if !json || !ok {
		return err
	}
	if err := view.DiagnosticsJSON(sh.Streams.Out, diags, files); err != nil {
		return err
	}
	return exitError
}
