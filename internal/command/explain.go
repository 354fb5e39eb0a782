package command

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/stage"
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
	for _, t := range sh.types() {
		schemas = append(schemas, t.Schema())
	}
	if o.Path == "" {
		if o.JSON {
			return view.SchemasJSON(sh.Streams.Out, schemas, common())
		}
		p := sh.out()
		p.Types(schemas)
		p.Printf("\nflow explain TYPE shows what a block of that type takes.\n")
		return nil
	}
	words := strings.Split(o.Path, ".")
	schema, err := findSchema(schemas, words[0])
	if err != nil {
		return err
	}
	if o.JSON {
		if len(words) > 1 {
			return usage("--json explains a whole stage type: flow explain %s --json", words[0])
		}
		return view.SchemasJSON(sh.Streams.Out, []*stage.Schema{schema}, common())
	}
	if len(words) == 1 {
		sh.out().Schema(schema, common())
		return nil
	}
	return o.argument(schema, words)
}

func findSchema(schemas []*stage.Schema, name string) (*stage.Schema, error) {
	var names []string
	for _, s := range schemas {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	e := &usageError{text: "there is no stage type " + name, hint: "there is " + view.And(names, len(names))}
	if n := closest(name, names); n != "" {
		e.hint = "did you mean " + n + "?"
	}
	return nil, e
}

// argument explains what a path such as train.optimizer.adam leads to.
func (o *ExplainOptions) argument(schema *stage.Schema, words []string) error {
	body := schema.Body
	top := common()
	body.Attributes = append(append([]stage.Attribute{}, body.Attributes...), top.Attributes...)
	body.Blocks = append(append([]stage.Block{}, body.Blocks...), top.Blocks...)
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
		if n := closest(w, names); n != "" {
			e.hint = "did you mean " + strings.Join(append(append([]string{}, words[:i+1]...), n), ".") + "?"
		}
		return e
	}
	return nil
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

// common is what every stage takes besides its type's arguments.
func common() stage.Body {
	text := func(name, doc string) stage.Attribute {
		return stage.Attribute{Name: name, Type: cty.String, Doc: doc}
	}
	condition := func(name, doc string) stage.Block {
		return stage.Block{Name: name, Kind: stage.Repeated, Doc: doc, Body: stage.Body{Attributes: []stage.Attribute{
			{Name: "condition", Type: cty.Bool, Required: true, Doc: "True or false."},
			{Name: "error_message", Type: cty.String, Required: true, Doc: "What is wrong if it is false."},
		}}}
	}
	return stage.Body{
		Attributes: []stage.Attribute{
			{Name: "for_each", Type: cty.DynamicPseudoType, Doc: "A map or a set of strings: one instance of the stage for each element, with each.key and each.value."},
			{Name: "count", Type: cty.Number, Doc: "That many instances of the stage, with count.index."},
			{Name: "depends_on", Type: cty.DynamicPseudoType, Doc: "Stages that come before this one though it does not refer to them."},
			{Name: "when", Type: cty.Bool, Doc: "Whether the stage may run; often depends on metrics. If false, it is blocked, and so is what needs it."},
			text("description", "What the stage is for."),
			text("timeout", "How long a run may take: \"90s\", \"2h\". Then it is ended, which is a failure."),
		},
		Blocks: []stage.Block{
			{Name: "retry", Doc: "When a failed stage is tried again.", Body: stage.Body{Attributes: []stage.Attribute{
				{Name: "attempts", Type: cty.Number, Doc: "How often it is tried, the first time included."},
				{Name: "on", Type: cty.List(cty.String), Doc: "The failures that count: \"timeout\", \"out_of_memory\", \"exit:75\". Left out: any."},
				text("delay", "How long to wait before the second try."),
				{Name: "backoff", Type: cty.Number, Doc: "Each further wait is that many times as long as the one before. Left out: as long."},
				text("max_delay", "The longest wait."),
			}}},
			{Name: "resources", Doc: "What a run needs. Stages run side by side as long as the machine has it.", Body: stage.Body{Attributes: []stage.Attribute{
				{Name: "cpus", Type: cty.Number, Doc: "CPUs; 0.5 is half of one."},
				text("memory", "Memory: \"512MiB\", \"8GiB\"."),
				{Name: "gpus", Type: cty.Number, Doc: "GPUs, of which the stage sees no others."},
				text("gpu_memory", "So much memory of each GPU, instead of the whole: \"16GiB\". Others may have the rest."),
				{Name: "licenses", Type: cty.Map(cty.Number), Doc: "Things of which the pipeline block says how many there are: { matlab = 1 }."},
			}}},
			{Name: "lifecycle", Doc: "How the stage differs in being made and replaced.", Body: stage.Body{Attributes: []stage.Attribute{
				{Name: "always_run", Type: cty.Bool, Doc: "Run on every apply, though the result is known."},
				{Name: "keep_outputs", Type: cty.Bool, Doc: "Move outputs to .flow/trash before they are replaced or deleted."},
			}}},
			condition("precondition", "What must hold before a run; if it does not, the stage fails."),
			condition("postcondition", "What must hold of the result, which is self.metrics and self.outputs; if it does not, the stage fails."),
		},
	}
}
