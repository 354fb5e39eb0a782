package view

import (
	"fmt"
	"io"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/stage"
	"github.com/flow-pipelines/flow/plugins/protocol"
)

// Types writes a line for each stage type.
func (p *Printer) Types(schemas []*stage.Schema) {
	p = p.prose()
	column := 0
	for _, s := range schemas {
		column = max(column, textWidth(s.Name))
	}
	for _, s := range schemas {
		p.wrapped(p.paint(bold, pad(s.Name, column))+"  ", strings.Repeat(" ", column+2), s.Summary)
	}
}

// Schema explains a stage type: what its block may contain, what comes out.
func (p *Printer) Schema(s *stage.Schema, common stage.Body) {
	p = p.prose()
	p.wrapped(p.paint(bold, s.Name)+"  ", strings.Repeat(" ", textWidth(s.Name)+2), s.Summary)
	if s.Doc != "" {
		p.Printf("\n")
		p.markdown("", s.Doc)
	}
	if s.Effect {
		p.Printf("\n")
		p.wrapped("", "", "It acts outside of the project's outputs: flow asks first, and never takes its result from the cache.")
	}
	if len(s.Body.Attributes)+len(s.Body.Blocks) > 0 {
		p.heading("Arguments")
		p.Body(s.Body, "  ")
	}
	p.heading("Arguments of every stage")
	p.wrapped("  ", "  ", And(common.Names(), 100)+fmt.Sprintf("; flow explain %s.when explains one.", s.Name))
	if len(s.Outputs) > 0 {
		p.heading("Outputs")
		for _, o := range s.Outputs {
			p.wrapped("  "+p.paint(bold, o.Name)+"  ", "      ", o.Doc)
		}
	}
	if s.Metrics != "" {
		p.heading("Metrics")
		p.markdown("  ", s.Metrics)
	}
	if s.Example != "" {
		p.heading("Example")
		for _, l := range strings.Split(strings.Trim(s.Example, "\n"), "\n") {
			p.Printf("%s\n", strings.TrimRight("  "+l, " "))
		}
	}
}

func (p *Printer) heading(s string) { p.Printf("\n%s\n", p.paint(bold, s)) }

// markdown writes a doc: paragraphs are wrapped, lists and indented code kept.
func (p *Printer) markdown(indent, s string) {
	var paragraph []string
	flush := func() {
		if len(paragraph) > 0 {
			p.wrapped(indent, indent, strings.Join(paragraph, " "))
			paragraph = nil
		}
	}
	fenced := false
	for _, line := range strings.Split(strings.TrimSpace(s), "\n") {
		text := strings.TrimSpace(line)
		fence := strings.HasPrefix(text, "```")
		switch {
		case fence:
			flush()
			fenced = !fenced
		case fenced, strings.HasPrefix(line, "    "), strings.HasPrefix(line, "\t"), strings.HasPrefix(text, "|"):
			flush()
			p.Printf("%s\n", strings.TrimRight(indent+line, " "))
		case text == "":
			flush()
			p.Printf("\n")
		case strings.HasPrefix(text, "- "), strings.HasPrefix(text, "* "):
			flush()
			paragraph = append(paragraph, text)
		default:
			paragraph = append(paragraph, text)
		}
	}
	flush()
}

// Body explains what stands between braces.
func (p *Printer) Body(b stage.Body, indent string) {
	for _, a := range b.Attributes {
		p.Attribute(a, indent)
	}
	for _, blk := range b.Blocks {
		p.Block(blk, indent)
	}
}

// Attribute explains an argument.
func (p *Printer) Attribute(a stage.Attribute, indent string) {
	p = p.prose()
	head := indent + p.paint(bold, a.Name) + "  " + p.paint(dim, attributeText(a))
	p.wrapped("", indent+"    ", head)
	if a.Doc != "" {
		p.wrapped(indent+"    ", indent+"    ", a.Doc)
	}
}

// attributeText says the type of an argument, whether it must be given, its
// default and its values.
func attributeText(a stage.Attribute) string {
	parts := []string{stage.TypeName(a.Type)}
	if len(a.OneOf) > 0 {
		quoted := make([]string, len(a.OneOf))
		for i, v := range a.OneOf {
			quoted[i] = `"` + v + `"`
		}
		parts = []string{strings.Join(quoted, " | ")}
	}
	switch {
	case a.Required:
		parts = append(parts, "required")
	case a.Default != cty.NilVal:
		parts = append(parts, "default "+valueText(a.Default))
	default:
		parts = append(parts, "optional")
	}
	return strings.Join(parts, ", ")
}

// Block explains a nested block and what it holds.
func (p *Printer) Block(b stage.Block, indent string) {
	p = p.prose()
	if b.Kind == stage.Steps {
		p.wrapped(indent, indent, blockDoc(b))
		for _, v := range b.Variants {
			p.variant(v, indent, v.Name+label(v.Label))
		}
		return
	}
	head := b.Name + label(b.Label)
	if b.Kind == stage.Choice {
		head = b.Name + ` "KIND"`
	}
	p.wrapped("", indent+"    ", indent+p.paint(bold, head+" { … }")+"  "+p.paint(dim, blockText(b)))
	if b.Doc != "" {
		p.wrapped(indent+"    ", indent+"    ", b.Doc)
	}
	p.Body(b.Body, indent+"    ")
	for _, v := range b.Variants {
		p.variant(v, indent+"    ", fmt.Sprintf("%s %q", b.Name, v.Name))
	}
}

func (p *Printer) variant(v stage.Block, indent, head string) {
	p.Printf("%s%s\n", indent, p.paint(bold, head+" { … }"))
	if v.Doc != "" {
		p.wrapped(indent+"    ", indent+"    ", v.Doc)
	}
	p.Body(v.Body, indent+"    ")
}

func blockDoc(b stage.Block) string {
	if b.Doc != "" {
		return b.Doc
	}
	return "Any number of these blocks, which are done in the order they are written:"
}

func label(s string) string {
	if s == "" {
		return ""
	}
	return ` "` + strings.ToUpper(s) + `"`
}

func blockText(b stage.Block) string {
	s := "block"
	switch b.Kind {
	case stage.Repeated:
		s = "block, any number"
	case stage.Choice:
		names := make([]string, len(b.Variants))
		for i, v := range b.Variants {
			names[i] = v.Name
		}
		s = "block, KIND is one of " + strings.Join(names, ", ")
	case stage.Single, stage.Steps:
	}
	if b.Required {
		s += ", required"
	}
	return s
}

// schemaJSON is a stage type as a plugin describes its own: an argument's type is
// one of the protocol's.
type schemaJSON struct {
	Name    string          `json:"name"`
	Version int             `json:"version"`
	Summary string          `json:"summary"`
	Doc     string          `json:"doc,omitempty"`
	Example string          `json:"example,omitempty"`
	Effect  bool            `json:"effect,omitempty"`
	Metrics string          `json:"metrics,omitempty"`
	Body    protocol.Body   `json:"body"`
	Outputs []outputDocJSON `json:"outputs"`
}

type outputDocJSON struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
}

// explainJSON is the document of `flow explain --json`.
type explainJSON struct {
	FormatVersion string        `json:"format_version"`
	Types         []schemaJSON  `json:"types"`
	Common        protocol.Body `json:"common"`
}

// SchemasJSON writes stage types for programs, such as editors.
func SchemasJSON(w io.Writer, schemas []*stage.Schema, common stage.Body) error {
	doc := explainJSON{FormatVersion: FormatVersion, Types: []schemaJSON{}}
	var err error
	if doc.Common, err = protocol.BodyOf(common); err != nil {
		return err
	}
	for _, s := range schemas {
		body, err := protocol.BodyOf(s.Body)
		if err != nil {
			return fmt.Errorf("stage type %s: %w", s.Name, err)
		}
		j := schemaJSON{
			Name: s.Name, Version: s.Version, Summary: s.Summary, Doc: s.Doc, Example: s.Example, Effect: s.Effect,
			Metrics: s.Metrics, Body: body, Outputs: []outputDocJSON{},
		}
		for _, o := range s.Outputs {
			j.Outputs = append(j.Outputs, outputDocJSON(o))
		}
		doc.Types = append(doc.Types, j)
	}
	return writeJSON(w, doc)
}
