package stage

import "github.com/zclconf/go-cty/cty"

// Common is what every stage takes besides its type's arguments. A name that does
// not stand here is refused.
func Common() Body {
	text := func(name, doc string) Attribute {
		return Attribute{Name: name, Type: cty.String, Doc: doc}
	}
	condition := func(name, doc string) Block {
		return Block{Name: name, Kind: Repeated, Doc: doc, Body: Body{Attributes: []Attribute{
			{Name: "condition", Type: cty.Bool, Required: true, Doc: "True or false."},
			{Name: "error_message", Type: cty.String, Required: true, Doc: "What is wrong if it is false."},
		}}}
	}
	return Body{
		Attributes: []Attribute{
			{Name: "for_each", Type: cty.DynamicPseudoType, Doc: "A map or a set of strings: one instance of the stage for each element, with each.key and each.value."},
			{Name: "count", Type: cty.Number, Doc: "That many instances of the stage, with count.index."},
			{Name: "depends_on", Type: cty.DynamicPseudoType, Doc: "Stages that come before this one though it does not refer to them."},
			{Name: "when", Type: cty.Bool, Doc: "Whether the stage may run; often depends on metrics. If false, it is blocked, and so is what needs it."},
			text("description", "What the stage is for."),
			text("timeout", "How long a run may take: \"90s\", \"2h\". Then it is ended, which is a failure."),
		},
		Blocks: []Block{
			{Name: "retry", Doc: "When a failed stage is tried again.", Body: Body{Attributes: []Attribute{
				{Name: "attempts", Type: cty.Number, Doc: "How often it is tried, the first time included."},
				{Name: "on", Type: cty.List(cty.String), Doc: "The failures that count: \"timeout\", \"out_of_memory\", \"exit:75\". Left out: any."},
				text("delay", "How long to wait before the second try."),
				{Name: "backoff", Type: cty.Number, Doc: "Each further wait is that many times as long as the one before. Left out: as long."},
				text("max_delay", "The longest wait."),
			}}},
			{Name: "resources", Doc: "What a run needs. Stages run side by side as long as the machine has it.", Body: Body{Attributes: []Attribute{
				{Name: "cpus", Type: cty.Number, Doc: "CPUs; 0.5 is half of one."},
				text("memory", "Memory: \"512MiB\", \"8GiB\"."),
				{Name: "gpus", Type: cty.Number, Doc: "GPUs, of which the stage sees no others."},
				text("gpu_memory", "So much memory of each GPU, instead of the whole: \"16GiB\". Others may have the rest."),
				{Name: "licenses", Type: cty.Map(cty.Number), Doc: "Things of which the pipeline block says how many there are: { matlab = 1 }."},
			}}},
			{Name: "lifecycle", Doc: "How the stage differs in being made and replaced.", Body: Body{Attributes: []Attribute{
				{Name: "always_run", Type: cty.Bool, Doc: "Run on every apply, though the result is known."},
				{Name: "keep_outputs", Type: cty.Bool, Doc: "Move outputs to .flow/trash before they are replaced or deleted."},
			}}},
			condition("precondition", "What must hold before a run; if it does not, the stage fails."),
			condition("postcondition", "What must hold of the result, which is self.metrics and self.outputs; if it does not, the stage fails."),
		},
	}
}
