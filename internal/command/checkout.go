package command

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/internal/view"
)

// CheckoutOptions are the arguments of checkout.
type CheckoutOptions struct {
	Shell *Shell
	Variables
	Targets []string
	Force   bool
	JSON    bool
}

func newCheckout(sh *Shell, run func(context.Context, *CheckoutOptions) error) *cobra.Command {
	o := &CheckoutOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "checkout [ADDR…]",
		Short: "Put the files that flow.lock records back in place",
		Long: `Make the data and results in the project be what flow.lock says, from the
cache. Nothing runs. Files that hold something flow has not stored are left
alone, unless --force moves them to .flow/trash. Results that flow had put there
and flow.lock lacks, since it is that of another revision, go to .flow/trash.`,
		Example: `  git checkout HEAD~1 && flow checkout
  flow checkout dataset.scans --force`,
		ValidArgsFunction: sh.completeSeveralRecorded,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Targets = args
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Force, "force", false, "also replace files whose content is not stored")
	addVariables(f, &o.Variables)
	jsonFlag(f, &o.JSON)
	return cmd
}

func runCheckout(ctx context.Context, o *CheckoutOptions) error {
	sh := o.Shell
	targets, err := patterns(o.Targets)
	if err != nil {
		return err
	}
	p, err := sh.openRecords(o.Variables)
	if err != nil {
		return sh.fail(o.JSON, err)
	}
	rep, err := p.Checkout(ctx, engine.CheckoutOptions{Targets: targets, Force: o.Force, Sink: func(e event.Event) {
		if e.Kind == event.Waiting {
			sh.err().Printf("%s\n", e.Text)
			return
		}
		sh.err().Warning(e.Text)
	}})
	if err != nil {
		return sh.fail(o.JSON, err)
	}
	if o.JSON {
		err = view.CheckoutJSON(sh.Streams.Out, rep)
	} else {
		o.print(rep)
	}
	if err == nil && len(rep.Edited)+len(rep.Missing) > 0 {
		return exitError
	}
	return err
}

func (o *CheckoutOptions) print(rep *engine.CheckoutReport) {
	out, errs := o.Shell.out(), o.Shell.err()
	for _, p := range rep.Restored {
		out.Printf("restored %s\n", p)
	}
	for _, p := range slices.Sorted(maps.Keys(rep.Trashed)) {
		out.Printf("moved    %s to %s\n", p, rep.Trashed[p])
	}
	moved := o.printStrays(rep.Strays)
	switch {
	case len(rep.Restored)+moved == 0 && len(rep.Edited)+len(rep.Missing) == 0:
		out.Printf("Nothing to do: %s in place.\n", inPlace(rep.Kept))
	case rep.Kept > 0:
		out.Printf("%s in place already.\n", inPlace(rep.Kept))
	}
	switch n := len(rep.Edited); {
	case n == 1:
		errs.Error(rep.Edited[0]+" holds something that flow has not stored; it was left alone", "flow apply records it; flow checkout --force moves it to .flow/trash")
	case n > 1:
		errs.Error(fmt.Sprintf("%d paths hold something that flow has not stored; they were left alone: %s", n, view.And(rep.Edited, mostPaths)), "flow apply records them; flow checkout --force moves them to .flow/trash")
	}
	switch n := len(rep.Missing); {
	case n == 1:
		errs.Error(rep.Missing[0]+" cannot be brought back: the cache does not hold its content", "flow apply makes it again, if a stage does")
	case n > 1:
		errs.Error(fmt.Sprintf("%d paths cannot be brought back, since the cache does not hold their content: %s", n, view.And(rep.Missing, mostPaths)), "flow apply makes again what a stage makes")
	}
}

// printStrays tells what became of results that flow.lock lacks, and returns how
// many were moved.
func (o *CheckoutOptions) printStrays(strays []engine.Stray) (moved int) {
	out := o.Shell.out()
	for _, s := range strays {
		if s.Trashed == "" {
			out.Printf("left     %s, which %s wrote and flow.lock does not have: %s\n", s.Path, s.Addr, s.Why)
			continue
		}
		moved++
		out.Printf("moved    %s, which flow.lock does not have, to %s\n", s.Path, s.Trashed)
	}
	return moved
}

// mostPaths is how many paths an error lists.
const mostPaths = 10

func inPlace(n int) string {
	if n == 1 {
		return "1 path is"
	}
	return fmt.Sprintf("%d paths are", n)
}

// RollbackOptions are the arguments of rollback.
type RollbackOptions struct {
	Shell *Shell
	Variables
	Addr, To string
}

func newRollback(sh *Shell, run func(context.Context, *RollbackOptions) error) *cobra.Command {
	o := &RollbackOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "rollback ADDR",
		Short: "Take a deployment back to an earlier version",
		Long:  "Make an earlier version of a deployment current again: the one before, or the one that --to names. No version is removed, so this can be taken back.",
		Example: `  flow rollback deploy.local
  flow rollback deploy.local --to 1f0c2a`,
		Args:              exactly(1, "the address of a deployment"),
		ValidArgsFunction: sh.completeReverters,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Addr = args[0]
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.To, "to", "", "the `VERSION`, or a beginning of it; default: the one before the current")
	_ = cmd.RegisterFlagCompletionFunc("to", sh.completeVersions) // fails only for a flag that is not there
	addVariables(f, &o.Variables)
	return cmd
}

func runRollback(ctx context.Context, o *RollbackOptions) error {
	sh := o.Shell
	a, err := address(o.Addr)
	if err != nil {
		return err
	}
	p, err := sh.open(o.Variables)
	if err != nil {
		return err
	}
	version, err := p.Rollback(ctx, a, o.To)
	if err != nil {
		return err
	}
	sh.out().Printf("%s is at version %s.\n", a, version)
	return nil
}
