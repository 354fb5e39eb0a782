// Package config reads a project's *.hcl files and evaluates them: from text
// to stages with resolved arguments, inputs, outputs and dependencies.
//
// Load parses and checks what needs no evaluation: block types, arguments,
// names, references, cycles. Pipeline.Stages evaluates every instance of every
// block as far as the results at hand allow; what depends on the metrics of a
// stage that has not run is a cty unknown, and the argument is listed as
// unknown. Pipeline.Resolve does the same for one instance, once more is known.
//
// Edges come from values, not from text. Every stage, and every output of a
// stage, carries a cty mark; marks survive locals, for expressions, templates
// and functions, so the marks found in an instance's arguments are the
// instances it depends on, and not the whole blocks that its text mentions.
// Text is used only to order blocks and to find cycles.
//
// Which instances a block makes may depend on results. While they do not tell,
// the block is Deferred; Pipeline.Expand makes a pipeline in which it is not.
//
// The package runs nothing, hashes nothing and writes nothing. It reads the
// *.hcl and variable files, the files of the project that functions such as
// file() name, and, through Results, what stages have written. It is called by engine/plan, engine/apply and, for
// validate, fmt and graph, by the commands. A user's mistake is always an
// hcl.Diagnostic with a range; no function returns an error.
package config
