package command

import (
	"errors"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/internal/view"
)

// ValidateOptions are the arguments of validate.
type ValidateOptions struct {
	Shell *Shell
	Variables
	JSON bool
}

func newValidate(sh *Shell, run func(*ValidateOptions) error) *cobra.Command {
	o := &ValidateOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the pipeline without looking at data",
		Long:  "Check all that the files say by themselves: syntax, names, types, references, cycles, paths. No data is read and nothing is run.",
		Args:  atMost(0),
		RunE:  func(*cobra.Command, []string) error { return run(o) },
	}
	addVariables(cmd.Flags(), &o.Variables)
	jsonFlag(cmd.Flags(), &o.JSON)
	return cmd
}

func runValidate(o *ValidateOptions) error {
	sh := o.Shell
	p, err := sh.open(o.Variables)
	if err != nil {
		return sh.fail(o.JSON, err)
	}
	pipeline := p.Recorded()
	stages, diags := pipeline.Stages(config.NoResults{})
	_, more := pipeline.Outputs(config.NoResults{})
	diags = append(diags, more...)
	diags = append(diags, p.Pipeline().CheckMoves(stages)...)
	if diags.HasErrors() {
		return sh.fail(o.JSON, mistake(diags, p))
	}
	if o.JSON {
		return view.DiagnosticsJSON(sh.Streams.Out, append(p.Warnings(), diags...), p.Files())
	}
	sh.err().Diagnostics(diags, p.Files())
	later := ""
	if ds := pipeline.Deferred(); len(ds) > 0 {
		names := make([]string, len(ds))
		for i, d := range ds {
			names[i] = d.String()
		}
		later = ", and " + view.And(names, 3) + ", known after apply"
	}
	sh.out().Printf("The pipeline is valid: %s%s.\n", view.Plural(len(stages), "stage"), later)
	return nil
}

func mistake(diags hcl.Diagnostics, p *engine.Project) error {
	return &plan.Mistakes{Diags: unique(diags), Files: p.Files()}
}

// unique drops diagnostics that say the same of the same place.
func unique(diags hcl.Diagnostics) hcl.Diagnostics {
	seen := map[string]bool{}
	var kept hcl.Diagnostics
	for _, d := range diags {
		if s := errors.Join(d).Error(); !seen[s] {
			seen[s] = true
			kept = append(kept, d)
		}
	}
	return kept
}
