package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/internal/view"
)

// GraphOptions are the arguments of graph.
type GraphOptions struct {
	Shell *Shell
	Variables
	Format              string
	Plan, Verbose, JSON bool
}

func newGraph(sh *Shell, run func(context.Context, *GraphOptions) error) *cobra.Command {
	o := &GraphOptions{Shell: sh}
	formats := []string{"tree", "dot", "mermaid"}
	cmd := &cobra.Command{
		Use:   "graph",
		Short: "Draw which stage needs which",
		Long: `Draw which stage needs which: as a tree, for Graphviz, or for Markdown. Pictures
have a box for each module and for the instances of a block. With --plan, each stage has the sign, and in pictures the colour, of what flow plan
decides.`,
		Example: `  flow graph
  flow graph --plan
  flow graph --format dot | dot -Tsvg > pipeline.svg
  flow graph --format mermaid        # for Markdown`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.Format, "format", "tree", "draw as `FORMAT`: "+view.And(formats, 3))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&o.Plan, "plan", false, "mark each stage by what flow plan decides")
	f.BoolVarP(&o.Verbose, "verbose", "v", false, "show each instance of a block, however many they are")
	addVariables(f, &o.Variables)
	jsonFlag(f, &o.JSON)
	return cmd
}

func runGraph(ctx context.Context, o *GraphOptions) error {
	sh := o.Shell
	p, err := sh.open(o.Variables)
	if err != nil {
		return sh.fail(o.JSON, err)
	}
	var g view.Graph
	if g.Stages, err = o.stages(ctx, p, &g); err != nil {
		return sh.fail(o.JSON, err)
	}
	out := sh.Streams.Out
	switch {
	case o.JSON:
		return view.GraphJSON(out, g)
	case o.Format == "tree":
		sh.out().GraphTree(g, o.Verbose)
		return nil
	case o.Format == "dot":
		return view.GraphDOT(out, g, o.Verbose)
	case o.Format == "mermaid":
		return view.GraphMermaid(out, g, o.Verbose)
	}
	return usage("unknown format %q: there is tree, dot and mermaid", o.Format)
}

// stages returns the stages, and plans if that is asked for.
func (o *GraphOptions) stages(ctx context.Context, p *engine.Project, g *view.Graph) ([]*config.Stage, error) {
	if !o.Plan {
		pipeline := p.Recorded()
		stages, diags := pipeline.Stages(config.NoResults{})
		if diags.HasErrors() {
			return nil, mistake(diags, p)
		}
		g.Deferred = pipeline.Deferred()
		return stages, nil
	}
	var err error
	if g.Plan, err = p.Plan(ctx, engine.Selection{}); err != nil {
		return nil, err
	}
	for _, d := range g.Plan.Deferred {
		g.Deferred = append(g.Deferred, d.Deferred)
	}
	var stages []*config.Stage
	for _, s := range g.Plan.Steps {
		stages = append(stages, s.Stage)
	}
	return stages, nil
}
