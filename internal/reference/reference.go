// Package reference writes docs/stages.md, the reference of all stage types,
// from their schemas: the same that checks pipelines and that `flow explain`
// prints, so that the document cannot say anything else than the program.
//
// It makes Markdown and knows no stage type by name. Besides `flow plugin docs`,
// its tests are its callers: they hold docs/stages.md to the schemas (UPDATE=1 writes it), load every
// schema's example, and hold the HCL and the list of functions in docs and
// README.md to the language as it is.
package reference

import (
	"fmt"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/flow-pipelines/flow/engine/stage"
)

const preface = `# Stage types

<!-- Written from the schemas of the stage types by internal/reference. Do not
edit: UPDATE=1 go test ./internal/reference -->

The type of a block says what the stage does. ` + "`flow explain TYPE`" + ` prints the
same in a terminal, ` + "`flow explain TYPE.ARGUMENT`" + ` a part of it. What every stage
takes besides (` + "`for_each`, `count`, `depends_on`, `when`, `description`, `timeout`,\n`retry`, `resources`, `lifecycle`, `precondition`, `postcondition`" + `) is described in [language.md](language.md#what-every-stage-takes).

How to read the types of arguments: a **file** is a stage (meaning its first
output), one of a stage's outputs, or the path of a file of the project; a
**stage** is a stage as a whole, with its metrics; a **row expression** is
evaluated for each row of a table ([language.md](language.md#row-expressions)).

`

// Markdown returns the reference of the stage types, in their order.
func Markdown(schemas []*stage.Schema) string {
	return document(preface, schemas)
}

// Plugin returns the reference of a plugin's stage types.
func Plugin(name string, schemas []*stage.Schema) string {
	return document(fmt.Sprintf("# Stage types of the plugin %s\n\n", name), schemas)
}

func document(preface string, schemas []*stage.Schema) string {
	var b strings.Builder
	b.WriteString(preface)
	b.WriteString("| type | |\n|---|---|\n")
	for _, s := range schemas {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", s.Name, s.Name, cell(s.Summary))
	}
	for _, s := range schemas {
		b.WriteString("\n")
		writeSchema(&b, s)
	}
	return b.String()
}

func writeSchema(b *strings.Builder, s *stage.Schema) {
	fmt.Fprintf(b, "## %s\n\n%s.\n", s.Name, strings.TrimSuffix(s.Summary, "."))
	if s.Example != "" {
		fmt.Fprintf(b, "\n```hcl\n%s\n```\n", strings.Trim(s.Example, "\n"))
	}
	if s.Doc != "" {
		fmt.Fprintf(b, "\n%s\n", strings.TrimSpace(s.Doc))
	}
	if s.Effect {
		b.WriteString("\nIt acts outside of the project's outputs: flow asks before it runs, and its\nresult is never taken from the cache.\n")
	}
	fmt.Fprintf(b, "\n### Arguments of %s\n", s.Name)
	writeBody(b, s.Body, s.Name)
	if len(s.Outputs) > 0 {
		fmt.Fprintf(b, "\n### Outputs of %s\n\n| output | |\n|---|---|\n", s.Name)
		for _, o := range s.Outputs {
			fmt.Fprintf(b, "| `%s` | %s |\n", o.Name, cell(o.Doc))
		}
	}
	if s.Metrics != "" {
		fmt.Fprintf(b, "\n### Metrics of %s\n\n%s\n", s.Name, strings.TrimSpace(s.Metrics))
	}
}

// writeBody writes a table of the arguments, then the nested blocks. path is
// what stands around it: "train", "train › features".
func writeBody(b *strings.Builder, body stage.Body, path string) {
	if len(body.Attributes) > 0 {
		b.WriteString("\n| argument | type | default | |\n|---|---|---|---|\n")
		for _, a := range body.Attributes {
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", a.Name, cell(typeText(a)), cell(defaultText(a)), cell(a.Doc))
		}
	}
	for _, blk := range body.Blocks {
		writeBlock(b, blk, path)
	}
}

func writeBlock(b *strings.Builder, blk stage.Block, path string) {
	switch blk.Kind {
	case stage.Choice:
		heading(b, path, fmt.Sprintf("%s \"KIND\"", blk.Name), "block, at most one; its label is the kind", blk.Required)
		paragraph(b, blk.Doc)
		writeVariants(b, blk, path+" › "+blk.Name, func(v stage.Block) string { return fmt.Sprintf("%s %q", blk.Name, v.Name) })
	case stage.Steps:
		heading(b, path, blk.Name, "any number of these blocks, done in the order in which they are written", blk.Required)
		paragraph(b, blk.Doc)
		writeVariants(b, blk, path, func(v stage.Block) string { return header(v) })
	case stage.Single, stage.Repeated:
		kind := "block, at most one"
		if blk.Kind == stage.Repeated {
			kind = "block, any number"
		}
		heading(b, path, header(blk), kind, blk.Required)
		paragraph(b, blk.Doc)
		writeBody(b, blk.Body, path+" › "+blk.Name)
	}
}

// writeVariants writes a table of the variants, and below it those that have
// arguments.
func writeVariants(b *strings.Builder, blk stage.Block, path string, name func(stage.Block) string) {
	b.WriteString("\n| block | |\n|---|---|\n")
	for _, v := range blk.Variants {
		fmt.Fprintf(b, "| `%s` | %s |\n", name(v), cell(v.Doc))
	}
	for _, v := range blk.Variants {
		if len(v.Body.Attributes)+len(v.Body.Blocks) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n`%s { … }`\n", name(v))
		writeBody(b, v.Body, path+" › "+v.Name)
	}
}

func heading(b *strings.Builder, path, name, kind string, required bool) {
	if required {
		kind += ", required"
	}
	fmt.Fprintf(b, "\n#### %s › %s\n\n*%s.*", path, name, strings.ToUpper(kind[:1])+kind[1:])
}

func paragraph(b *strings.Builder, doc string) {
	if doc != "" {
		b.WriteString(" " + strings.TrimSpace(doc))
	}
	b.WriteString("\n")
}

// header is how a block is written: numeric "COLUMNS".
func header(blk stage.Block) string {
	if blk.Label == "" {
		return blk.Name
	}
	return fmt.Sprintf("%s %q", blk.Name, strings.ToUpper(blk.Label))
}

func typeText(a stage.Attribute) string {
	if len(a.OneOf) == 0 {
		return stage.TypeName(a.Type)
	}
	values := make([]string, len(a.OneOf))
	for i, v := range a.OneOf {
		values[i] = fmt.Sprintf("`%q`", v)
	}
	return strings.Join(values, ", ")
}

func defaultText(a stage.Attribute) string {
	switch {
	case a.Required:
		return "**required**"
	case a.Default == cty.NilVal || a.Default.IsNull():
		return ""
	}
	raw, err := ctyjson.Marshal(a.Default, a.Default.Type())
	if err != nil {
		panic(fmt.Sprintf("BUG: the default of %s is not JSON: %v", a.Name, err))
	}
	return "`" + string(raw) + "`"
}

// cell makes text fit into a cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\r\n", " ", "\n", " ").Replace(strings.TrimSpace(s))
}
