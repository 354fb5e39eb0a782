package command

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/flow-pipelines/flow/internal/view"
)

// ExplainOptions are the arguments of explain.
type ExplainOptions struct {
	Shell *Shell
	Path  string
	JSON  bool
}

func newExplain(sh *Shell, run func(*ExplainOptions) error) *cobra.Command {
	o := &ExplainOptions{Shell: sh}
	cmd := &cobra.Command{
		Use:   "explain [TYPE[.ARGUMENT…]]",
		Short: "Explain a stage type or one of its arguments",
		Long:  "Explain what a block of a stage type may contain, what its stages write and measure. Without an argument, list the stage types.",
		Example: `  flow explain
  flow explain train
  flow explain train.optimizer.adam.learning_rate`,
		Args:              atMost(1),
		ValidArgsFunction: sh.completeTypes,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Path = args[0]
			}
			return run(o)
		},
	}
	jsonFlag(cmd.Flags(), &o.JSON)
	return cmd
}

func runExplain(o *ExplainOptions) error {
	sh := o.Shell
	var schemas []*stage.Schema
	types, broken := sh.types()
	for _, t := range types {
		schemas = append(schemas, t.Schema())
	}
	if o.Path == "" {
		if o.JSON {
			return view.SchemasJSON(sh.Streams.Out, schemas, stage.Common())
		}
		p := sh.out()
		p.Types(schemas)
		p.Printf("\nflow explain TYPE shows what a block of that type takes.\n")
		return nil
	}
	words := strings.Split(o.Path, ".")
	schema, err := findSchema(schemas, broken, words[0])
	if err != nil {
		return err
	}
	if o.JSON {
		if len(words) > 1 {
			return usage("--json explains a whole stage type: flow explain %s --json", words[0])
		}
		return view.SchemasJSON(sh.Streams.Out, []*stage.Schema{schema}, stage.Common())
	}
	if len(words) == 1 {
		sh.out().Schema(schema, stage.Common())
		return nil
	}
	return o.argument(schema, words)
}

func findSchema(schemas []*stage.Schema, broken []string, name string) (*stage.Schema, error) {
	var names []string
	for _, s := range schemas {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	e := &usageError{text: "there is no stage type " + name, hint: "there is " + view.And(names, len(names))}
	if n := suggest.Nearest(name, names); n != "" {
		e.hint = "did you mean " + n + "?"
	}
	if len(broken) > 0 {
		e.hint += fmt.Sprintf("; it may be of a plugin that is installed and broken, %s: flow plugin list says why", view.And(broken, len(broken)))
	}
	return nil, e
}

// argument explains what a path such as train.optimizer.adam leads to.
func (o *ExplainOptions) argument(schema *stage.Schema, words []string) error {
	body := withCommon(schema.Body)
	for i, w := range words[1:] {
		last := i == len(words)-2
		attr, block, names := lookup(body, w)
		switch {
		case attr != nil && last:
			o.Shell.out().Attribute(*attr, "")
			return nil
		case block != nil && last:
			o.Shell.out().Block(*block, "")
			return nil
		case block != nil:
			body = inside(*block)
			continue
		case attr != nil:
			return usage("%s is an argument and has nothing inside", strings.Join(words[:i+2], "."))
		}
		e := &usageError{text: strings.Join(words[:i+1], ".") + " has no " + w, hint: "it has " + view.And(names, len(names))}
		if n := suggest.Nearest(w, names); n != "" {
			e.hint = "did you mean " + strings.Join(append(append([]string{}, words[:i+1]...), n), ".") + "?"
		}
		return e
	}
	return nil
}

// withCommon adds what every stage takes.
func withCommon(b stage.Body) stage.Body {
	top := stage.Common()
	return stage.Body{
		Attributes: append(append([]stage.Attribute{}, b.Attributes...), top.Attributes...),
		Blocks:     append(append([]stage.Block{}, b.Blocks...), top.Blocks...),
	}
}

// lookup finds a name between braces, and lists those there are.
func lookup(b stage.Body, name string) (attr *stage.Attribute, block *stage.Block, names []string) {
	for i := range b.Attributes {
		a := &b.Attributes[i]
		if a.Name == name {
			return a, nil, nil
		}
		names = append(names, a.Name)
	}
	for i := range b.Blocks {
		blk := &b.Blocks[i]
		if blk.Kind == stage.Steps {
			for j := range blk.Variants {
				if v := &blk.Variants[j]; v.Name == name {
					return nil, v, nil
				}
				names = append(names, blk.Variants[j].Name)
			}
			continue
		}
		if blk.Name == name {
			return nil, blk, nil
		}
		names = append(names, blk.Name)
	}
	return nil, nil, names
}

// inside is what a path can go on to from a block: of one whose label picks a
// variant, the variants.
func inside(b stage.Block) stage.Body {
	if len(b.Variants) == 0 {
		return b.Body
	}
	return stage.Body{Attributes: b.Body.Attributes, Blocks: append(append([]stage.Block{}, b.Body.Blocks...), b.Variants...)}
}
