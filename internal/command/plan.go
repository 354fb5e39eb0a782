package command

import (
	"context"
	"errors"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/internal/view"
)

// SelectionFlags name the stages to plan or apply.
type SelectionFlags struct {
	Targets, Exclude, Rerun, RerunFrom []string
}

func (s *SelectionFlags) selection() (sel engine.Selection, err error) {
	for _, f := range []struct {
		given []string
		to    *[]addr.Pattern
	}{{s.Targets, &sel.Targets}, {s.Exclude, &sel.Exclude}, {s.Rerun, &sel.Rerun}, {s.RerunFrom, &sel.RerunFrom}} {
		if *f.to, err = patterns(f.given); err != nil {
			return sel, err
		}
	}
	return sel, nil
}

func addSelection(sh *Shell, cmd *cobra.Command, s *SelectionFlags) {
	f := cmd.Flags()
	f.StringArrayVar(&s.Targets, "target", nil, "only this stage (`ADDR`) and what it needs; may be repeated")
	f.StringArrayVar(&s.Exclude, "exclude", nil, "leave out this stage (`ADDR`) and what depends on it; may be repeated")
	f.StringArrayVar(&s.Rerun, "rerun", nil, "run this stage (`ADDR`) though it is up to date; may be repeated")
	f.StringArrayVar(&s.RerunFrom, "rerun-from", nil, "run this stage (`ADDR`) and all that depends on it; may be repeated")
	for _, name := range []string{"target", "exclude", "rerun", "rerun-from"} {
		_ = cmd.RegisterFlagCompletionFunc(name, sh.completeAddresses) // fails only for a flag that is not there
	}
}

// PlanOptions are the arguments of plan.
type PlanOptions struct {
	Shell *Shell
	Variables
	SelectionFlags
	// Out is the file to save the plan in; "" is none.
	Out string
	// Jobs is for the forecast; 0 is what apply does that is not told.
	Jobs                        int
	JSON, Verbose, DetailedExit bool
}

func newPlan(sh *Shell, run func(context.Context, *PlanOptions) error) *cobra.Command {
	o := &PlanOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what apply would do, why, and how long it usually takes",
		Long: `Decide for each stage whether it is kept, restored from the cache, run, or
waits for another to tell. Nothing in the project is changed.

With --out the plan is saved, together with digests of all that it was made
from. flow show FILE shows it; flow apply FILE does exactly that, without a
question, or refuses if anything has changed since.

With --detailed-exitcode the exit status is 0 if there is nothing to do, 1 for
an error, and 2 if there is something to do.`,
		Example: `  flow plan
  flow plan --target train.mlp --var learning_rate=0.1
  flow plan --out next.plan && flow apply next.plan
  flow plan --json | jq '.stages[] | select(.action == "run") | .address'`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkJobs(cmd, o.Jobs); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	addVariables(f, &o.Variables)
	addSelection(sh, cmd, &o.SelectionFlags)
	f.IntVarP(&o.Jobs, "jobs", "j", 0, "forecast the time with at most `N` stages at once (default: the number of CPUs)")
	f.StringVarP(&o.Out, "out", "o", "", "save the plan in `FILE`, for flow apply FILE")
	filesOf(cmd, "out")
	jsonFlag(f, &o.JSON)
	f.BoolVarP(&o.Verbose, "verbose", "v", false, "list kept stages, and each instance of a block")
	f.BoolVar(&o.DetailedExit, "detailed-exitcode", false, "exit with 2 if there is something to do")
	sortFlags(f)
	return cmd
}

// sortFlags keeps the flags in the order in which they were added.
func sortFlags(f *pflag.FlagSet) { f.SortFlags = false }

func runPlan(ctx context.Context, o *PlanOptions) error {
	sel, err := o.selection()
	if err != nil {
		return err
	}
	if sel.Empty() && o.terse() {
		if n, ok := o.Shell.known(ctx, o.Variables, engine.UpToDate); ok {
			o.Shell.out().UpToDate(n)
			return nil
		}
	}
	p, err := o.Shell.open(o.Variables)
	if err != nil {
		return o.Shell.fail(o.JSON, err)
	}
	pl, err := p.Plan(ctx, sel)
	if err != nil {
		return o.Shell.fail(o.JSON, err)
	}
	p.Forecast(pl, o.Jobs)
	if o.Out != "" {
		if err := o.save(p, pl, sel); err != nil {
			return err
		}
	}
	if view.OnGitHub(o.Shell.Environ) {
		o.Shell.summary(view.PlanMarkdown(pl))
	}
	if o.JSON {
		err = view.PlanJSON(o.Shell.Streams.Out, pl)
	} else {
		o.Shell.out().Plan(pl, o.Verbose)
		o.Shell.out().Checks(pl.Checks)
		o.Shell.unfit(pl, p)
	}
	if o.Out != "" {
		o.Shell.err().Hint("the plan is saved; to carry out exactly this: flow apply " + view.ShellQuote(o.Out))
	}
	if err == nil && o.DetailedExit && !pl.Empty() {
		return exitChanges
	}
	return err
}

// unfit tells what results have shown to be wrong with outputs.
func (sh *Shell) unfit(pl *plan.Plan, p *engine.Project) {
	if diags := pl.Unfit(); diags.HasErrors() {
		sh.err().Diagnostics(diags, p.Files())
	}
}

// terse reports whether one line is all there is to say if there is nothing to do.
func (o *PlanOptions) terse() bool {
	return o.Out == "" && !o.JSON && !o.Verbose && !view.OnGitHub(o.Shell.Environ)
}

// mistakes returns what is wrong with the user's pipeline, if err is about that.
func mistakes(err error) (hcl.Diagnostics, map[string]*hcl.File, bool) {
	var stale *stalePlan
	if errors.As(err, &stale) {
		return stale.diagnostics(), nil, true
	}
	var m *plan.Mistakes
	if !errors.As(err, &m) {
		return nil, nil, false
	}
	return m.Diags, m.Files, true
}
