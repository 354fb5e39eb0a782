package command

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/internal/view"
)

// StatusOptions are the arguments of status.
type StatusOptions struct {
	Shell *Shell
	Variables
	Addrs         []string
	Verbose, JSON bool
}

func newStatus(sh *Shell, run func(context.Context, *StatusOptions) error) *cobra.Command {
	o := &StatusOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "status [ADDR…]",
		Short: "Show where each stage stands, in a line",
		Long:  "Show for each stage whether it is up to date, with its first metrics, or why it is not; and whether an apply is running in another terminal.",
		Example: `  flow status
  flow status 'train.*' deploy.local`,
		ValidArgsFunction: sh.completeAddresses,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Addrs = args
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.Verbose, "verbose", "v", false, "list each instance of a block")
	addVariables(f, &o.Variables)
	jsonFlag(f, &o.JSON)
	return cmd
}

func runStatus(ctx context.Context, o *StatusOptions) error {
	sh := o.Shell
	named, err := patterns(o.Addrs)
	if err != nil {
		return err
	}
	p, err := sh.open(o.Variables)
	if err != nil {
		return sh.fail(o.JSON, err)
	}
	pl, err := p.Plan(ctx, engine.Selection{})
	if err != nil {
		return sh.fail(o.JSON, err)
	}
	if pl, err = only(pl, named); err != nil {
		return err
	}
	live := sh.live()
	live.Failed, live.Now = sh.failures(pl), sh.Clock()
	if o.JSON {
		return view.StatusJSON(sh.Streams.Out, pl, p.Lock(), live)
	}
	if len(pl.Steps)+len(pl.Removed) == 0 {
		sh.err().Printf("The pipeline has no stages.\n")
	}
	sh.out().Status(pl, p.Lock(), live, o.Verbose)
	sh.unfit(pl, p)
	return nil
}

// only leaves in a plan the stages that are named, all if none is.
func only(pl *plan.Plan, named []addr.Pattern) (*plan.Plan, error) {
	if len(named) == 0 {
		return pl, nil
	}
	all := slices.Clone(pl.Removed)
	for _, s := range pl.Steps {
		all = append(all, s.Addr)
	}
	later := func(p addr.Pattern) bool {
		return slices.ContainsFunc(pl.Deferred, func(d plan.Deferred) bool { return p.MayMatch(d.Addr) })
	}
	for _, p := range named {
		if err := engine.CheckPatterns(all, p); err != nil && !later(p) {
			return nil, err
		}
	}
	match, part := addr.AnyOf(named), *pl
	part.Deferred = slices.DeleteFunc(slices.Clone(pl.Deferred), func(d plan.Deferred) bool {
		return !slices.ContainsFunc(named, func(p addr.Pattern) bool { return p.MayMatch(d.Addr) })
	})
	part.Steps = slices.DeleteFunc(slices.Clone(pl.Steps), func(s *plan.Step) bool { return !match(s.Addr) })
	part.Removed = slices.DeleteFunc(slices.Clone(pl.Removed), func(a addr.Address) bool { return !match(a) })
	return &part, nil
}
