package command

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/runs"
	"github.com/flow-pipelines/flow/internal/view"
)

// RunsOptions are the arguments of runs list and runs show.
type RunsOptions struct {
	Shell *Shell
	Run   string
	Limit int
	JSON  bool
}

func newRuns(sh *Shell) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "List past and present runs, or show one",
		Args:  unknownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRunsList(sh, runRunsList), newRunsShow(sh, runRunsShow))
	return cmd
}

func newRunsList(sh *Shell, run func(*RunsOptions) error) *cobra.Command {
	o := &RunsOptions{Shell: sh}
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List runs, newest first", Args: atMost(0),
		RunE: func(*cobra.Command, []string) error {
			if o.Limit < 0 {
				return usage("--limit is at least 0, not %d", o.Limit)
			}
			return run(o)
		},
	}
	cmd.Flags().IntVarP(&o.Limit, "limit", "n", 20, "list at most `N` runs; 0 is all")
	jsonFlag(cmd.Flags(), &o.JSON)
	return cmd
}

func runRunsList(o *RunsOptions) error {
	sh := o.Shell
	if err := sh.checkProject(); err != nil {
		return err
	}
	all, err := runs.List(sh.runsDir())
	if err != nil {
		return err
	}
	if o.Limit > 0 && len(all) > o.Limit {
		all = all[:o.Limit]
	}
	switch {
	case o.JSON:
		return view.RunsJSON(sh.Streams.Out, all)
	case len(all) == 0:
		sh.err().Printf("There are no runs yet: flow apply makes one.\n")
	}
	sh.out().Runs(all)
	return nil
}

func newRunsShow(sh *Shell, run func(*RunsOptions) error) *cobra.Command {
	o := &RunsOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:               "show [RUN]",
		Short:             "Show one run, by default the newest",
		Long:              "Show a run: its id, or a beginning of it that no other shares. Without one, the newest.",
		Args:              atMost(1),
		ValidArgsFunction: sh.completeRuns,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Run = args[0]
			}
			return run(o)
		},
	}
	jsonFlag(cmd.Flags(), &o.JSON)
	return cmd
}

func runRunsShow(o *RunsOptions) error {
	sh := o.Shell
	r, err := sh.run(o.Run)
	if err != nil {
		return err
	}
	jobs, err := jobsOf(r)
	if err != nil {
		return err
	}
	if o.JSON {
		return view.RunJSON(sh.Streams.Out, r, jobs)
	}
	logs, err := r.Logs()
	if err != nil {
		return err
	}
	dir, err := filepath.Rel(sh.dir(), r.Dir)
	if err != nil {
		dir = r.Dir
	}
	sh.out().Run(r, dir, jobs, logs)
	return nil
}

// jobsOf returns the events with which the jobs of a run ended.
func jobsOf(r *runs.Past) ([]event.Event, error) {
	f, err := os.Open(r.Events())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var ends []event.Event
	err = eachEvent(f, func(e event.Event) {
		if e.Usage != nil {
			ends = append(ends, e)
		}
	})
	return ends, err
}
