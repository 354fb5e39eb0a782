package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/flow-pipelines/flow/internal/view"
)

// ShowOptions are the arguments of show.
type ShowOptions struct {
	Shell *Shell
	// Addr is an address or pattern, or a file with a saved plan.
	Addr          string
	JSON, Verbose bool
}

func newShow(sh *Shell, run func(*ShowOptions) error) *cobra.Command {
	o := &ShowOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "show [ADDR | FILE]",
		Short: "Show what is recorded of a stage, or a saved plan",
		Long: `Show what flow.lock records of a stage, or of all instances of a block: its key,
what it was made from, its outputs and metrics. Without an address, a line for
each stage.

With the name of a file that flow plan --out wrote, show that plan.`,
		Example: `  flow show train.mlp
  flow show 'train.mlp["wide"]' --json
  flow show next.plan`,
		Args:              atMost(1),
		ValidArgsFunction: sh.completeRecordedOrFile,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Addr = args[0]
			}
			return run(o)
		},
	}
	jsonFlag(cmd.Flags(), &o.JSON)
	cmd.Flags().BoolVarP(&o.Verbose, "verbose", "v", false, "of a saved plan, list kept stages, and each instance of a block")
	return cmd
}

func runShow(o *ShowOptions) error {
	sh := o.Shell
	if isFile(sh.path(o.Addr)) && o.Addr != "" {
		return o.showPlan()
	}
	l, err := sh.locked()
	if err != nil {
		return err
	}
	stages, err := choose(l, o.Addr)
	if err != nil {
		return err
	}
	switch {
	case o.JSON:
		return view.RecordedJSON(sh.Streams.Out, stages)
	case o.Addr == "" && len(stages) == 0:
		sh.err().Printf("Nothing is recorded yet: flow apply does that.\n")
	case o.Addr == "":
		sh.out().Recorded(stages)
	default:
		for i, s := range stages {
			if i > 0 {
				sh.out().Printf("\n")
			}
			sh.out().RecordedStage(s)
		}
	}
	return nil
}

// choose returns the stages of flow.lock that an address names, all for "".
func choose(l *lock.Lock, text string) ([]*lock.Stage, error) {
	if text == "" {
		return l.Stages(), nil
	}
	ps, err := patterns([]string{text})
	if err != nil {
		return nil, err
	}
	want := ps[0]
	var found []*lock.Stage
	var names []string
	for _, s := range l.Stages() {
		names = append(names, s.Addr.String())
		if want.Match(s.Addr) {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return nil, notRecorded(want, names)
	}
	return found, nil
}

func notRecorded(a addr.Pattern, names []string) error {
	hint := "flow apply records it; flow show lists what is recorded"
	for _, s := range names { // for train.* among them
		if typ, _, ok := strings.Cut(s, "."); ok && a.Wild() {
			names = append(names, typ+".*")
		}
	}
	if n := suggest.Nearest(a.String(), names); n != "" {
		hint = "did you mean " + n + "?"
	}
	return &hinted{fmt.Errorf("nothing is recorded of %s", a), hint}
}

// OutputOptions are the arguments of output.
type OutputOptions struct {
	Shell *Shell
	Variables
	Name string
	JSON bool
}

func newOutput(sh *Shell, run func(*OutputOptions) error) *cobra.Command {
	o := &OutputOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "output [NAME]",
		Short: "Show the values of the pipeline's outputs",
		Long: `Show the values of the output blocks, from what flow.lock records. With a name, the
value alone: a string without quotes, for scripts. A variable without a value is no
mistake here: what depends on it is not known.`,
		Example: `  flow output
  test "$(flow output f1)" = 0.97`,
		Args:              atMost(1),
		ValidArgsFunction: sh.completeOutputs,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Name = args[0]
			}
			return run(o)
		},
	}
	addVariables(cmd.Flags(), &o.Variables)
	jsonFlag(cmd.Flags(), &o.JSON)
	return cmd
}

func runOutput(o *OutputOptions) error {
	sh := o.Shell
	p, err := sh.openWith(o.Variables, func(opts *engine.Options) { opts.Unset = true })
	if err != nil {
		return sh.fail(o.JSON, err)
	}
	outs, err := p.Outputs()
	if err != nil && (o.JSON && o.Name == "" || !slices.ContainsFunc(outs, func(out config.Output) bool { return o.Name == "" || out.Name == o.Name })) {
		return sh.fail(o.JSON, err)
	}
	if o.Name == "" {
		switch {
		case o.JSON:
			return view.OutputsJSON(sh.Streams.Out, outs)
		case len(outs) == 0:
			sh.err().Printf("The pipeline has no output blocks.\n")
		}
		sh.out().Outputs(outs)
		return err // of the others
	}
	var names []string
	for _, out := range outs {
		names = append(names, out.Name)
		if out.Name != o.Name {
			continue
		}
		if len(out.Mistakes) > 0 {
			return sh.fail(o.JSON, &plan.Mistakes{Diags: out.Mistakes, Files: p.Files()})
		}
		if !out.Value.IsWhollyKnown() {
			return &hinted{fmt.Errorf("output %s is not known yet", o.Name), "flow apply finds it out; if it depends on a variable without a value, give one by --var"}
		}
		if o.JSON {
			return view.OutputJSON(sh.Streams.Out, out)
		}
		sh.out().OutputRaw(out)
		return nil
	}
	e := &hinted{fmt.Errorf("the pipeline has no output %q", o.Name), "flow output lists them"}
	if n := suggest.Nearest(o.Name, names); n != "" {
		e.hint = "did you mean " + n + "?"
	}
	return e
}
