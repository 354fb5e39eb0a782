package view

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// look is how a picture draws what is to be done with a stage. The mark stands
// beside the address too, for those who do not see colours.
type look struct{ fill, line, edge string }

func (s sign) look() look {
	switch s {
	case signNew:
		return look{"#d7f0d9", "#2e7d32", "solid"}
	case signChanged:
		return look{"#fff1c9", "#b26a00", "solid"}
	case signMaybe:
		return look{"#fff8e3", "#b26a00", "dashed"}
	case signLater:
		return look{"#fff8e3", "#b26a00", "dotted"}
	case signRestore:
		return look{"#d5eef5", "#00758f", "solid"}
	case signBlocked:
		return look{"#ecdcf3", "#7b2d90", "dotted"}
	case signFails, signUnfit:
		return look{"#f9d7d7", "#b3261e", "solid"}
	}
	return look{"#f2f2f2", "#8a8a8a", "solid"}
}

// GraphDOT writes the graph for Graphviz. Modules, and the instances of a block,
// are clusters. Many instances are one node, unless each is wanted.
func GraphDOT(w io.Writer, g Graph, each bool) error {
	p := g.picture(each)
	var b strings.Builder
	b.WriteString("digraph pipeline {\n  rankdir = LR\n  node [shape = box, fontname = \"sans-serif\"]\n")
	p.dot(&b, "  ")
	for _, a := range p.arrows {
		fmt.Fprintf(&b, "  %s -> %s\n", dotQuote(a[0].addr.String()), dotQuote(a[1].addr.String()))
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (b *box) dot(to *strings.Builder, indent string) {
	for _, in := range b.in {
		switch in := in.(type) {
		case *box:
			fmt.Fprintf(to, "%ssubgraph cluster_%d {\n", indent, in.id)
			fmt.Fprintf(to, "%s  label = %s\n%s  fontname = \"sans-serif\"\n%s  style = rounded\n%s  color = \"#8a8a8a\"\n", indent, dotQuote(in.label), indent, indent, indent)
			in.dot(to, indent+"  ")
			fmt.Fprintf(to, "%s}\n", indent)
		case *node:
			fmt.Fprintf(to, "%s%s%s\n", indent, dotQuote(in.addr.String()), in.dotAttributes())
		}
	}
}

func (n *node) dotAttributes() string {
	var as []string
	switch {
	case n.stage == nil:
		if n.sign == (sign{}) {
			as = append(as, "style = dashed")
		}
	case n.stage.Job != nil && n.stage.Job.Given:
		as = append(as, "shape = cylinder")
	case n.stage.Schema.Effect:
		as = append(as, "shape = cds")
	case n.count > 1:
		as = append(as, "shape = box3d")
	}
	label := n.label
	if n.sign != (sign{}) {
		label = n.sign.mark + " " + label
	}
	if label != n.addr.String() {
		as = append(as, "label = "+dotQuote(label))
	}
	if n.sign != (sign{}) {
		l := n.sign.look()
		as = append(as, "style = "+dotQuote("filled,"+l.edge), "fillcolor = "+dotQuote(l.fill), "color = "+dotQuote(l.line), "tooltip = "+dotQuote(n.sign.meaning))
	}
	if len(as) == 0 {
		return ""
	}
	return " [" + strings.Join(as, ", ") + "]"
}

// dotQuote writes a string of the DOT language, in which only quotes and
// backslashes are special.
func dotQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// GraphMermaid writes the graph for Mermaid, which Markdown renderers draw, with
// subgraphs where Graphviz has clusters.
func GraphMermaid(w io.Writer, g Graph, each bool) error {
	p := g.picture(each)
	id := map[*node]string{}
	for i, n := range p.nodes {
		id[n] = "s" + strconv.Itoa(i)
	}
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	p.mermaid(&b, "  ", id)
	for _, a := range p.arrows {
		fmt.Fprintf(&b, "  %s --> %s\n", id[a[0]], id[a[1]])
	}
	p.mermaidClasses(&b, id)
	_, err := io.WriteString(w, b.String())
	return err
}

func (b *box) mermaid(to *strings.Builder, indent string, id map[*node]string) {
	for _, in := range b.in {
		switch in := in.(type) {
		case *box:
			fmt.Fprintf(to, "%ssubgraph b%d[\"%s\"]\n", indent, in.id, mermaidText(in.label))
			in.mermaid(to, indent+"  ", id)
			fmt.Fprintf(to, "%send\n", indent)
		case *node:
			label := in.label
			if in.sign != (sign{}) {
				// At the beginning, a mark would make Mermaid see a list.
				label += " " + in.sign.mark
			}
			before, after := in.mermaidShape()
			fmt.Fprintf(to, "%s%s%s\"%s\"%s\n", indent, id[in], before, mermaidText(label), after)
		}
	}
}

func (n *node) mermaidShape() (before, after string) {
	switch {
	case n.stage == nil:
		return "{{", "}}"
	case n.stage.Job != nil && n.stage.Job.Given:
		return "[(", ")]"
	case n.stage.Schema.Effect:
		return "([", "])"
	case n.count > 1:
		return "[[", "]]"
	}
	return "[", "]"
}

func mermaidText(s string) string { return strings.ReplaceAll(s, `"`, "#quot;") }

// mermaidClasses colours the stages by their signs.
func (p *picture) mermaidClasses(b *strings.Builder, id map[*node]string) {
	for i, sg := range signs() {
		var ids []string
		for _, n := range p.nodes {
			if n.sign == sg {
				ids = append(ids, id[n])
			}
		}
		if len(ids) == 0 {
			continue
		}
		l, dash := sg.look(), ""
		switch l.edge {
		case "dashed":
			dash = ",stroke-dasharray:5"
		case "dotted":
			dash = ",stroke-dasharray:2"
		}
		fmt.Fprintf(b, "  classDef c%d fill:%s,stroke:%s,color:#222%s\n  class %s c%d\n", i, l.fill, l.line, dash, strings.Join(ids, ","), i)
	}
}
