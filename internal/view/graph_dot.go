package view

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
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
	case signRestore:
		return look{"#d5eef5", "#00758f", "solid"}
	case signBlocked:
		return look{"#ecdcf3", "#7b2d90", "dotted"}
	}
	return look{"#f2f2f2", "#8a8a8a", "solid"}
}

// cluster is the instances of a block, or the one stage that it makes.
type cluster struct {
	block  addr.Address
	stages []*config.Stage
}

// clusters groups the stages by blocks, in the order of their first.
func (g Graph) clusters() []cluster {
	var cs []cluster
	at := map[addr.Address]int{}
	for _, s := range g.Stages {
		b := s.Addr.Block()
		if i, ok := at[b]; ok {
			cs[i].stages = append(cs[i].stages, s)
			continue
		}
		at[b] = len(cs)
		cs = append(cs, cluster{b, []*config.Stage{s}})
	}
	return cs
}

// GraphDOT writes the graph for Graphviz. Arrows go the way of the data; the
// instances of a block are a cluster.
func GraphDOT(w io.Writer, g Graph) error {
	var b strings.Builder
	b.WriteString("digraph pipeline {\n  rankdir = LR\n  node [shape = box, fontname = \"sans-serif\"]\n")
	signs := g.signs()
	for i, c := range g.clusters() {
		indent := "  "
		if len(c.stages) > 1 {
			fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label = %s\n    fontname = \"sans-serif\"\n    style = rounded\n", i, dotQuote(c.block.String()))
			indent = "    "
		}
		for _, s := range c.stages {
			fmt.Fprintf(&b, "%s%s%s\n", indent, dotQuote(s.Addr.String()), dotAttributes(s, signs))
		}
		if len(c.stages) > 1 {
			b.WriteString("  }\n")
		}
	}
	for _, s := range g.Stages {
		for _, d := range s.Deps {
			fmt.Fprintf(&b, "  %s -> %s\n", dotQuote(d.String()), dotQuote(s.Addr.String()))
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func dotAttributes(s *config.Stage, signs map[addr.Address]sign) string {
	var as []string
	switch {
	case s.Job != nil && s.Job.Given:
		as = append(as, "shape = cylinder")
	case s.Schema.Effect:
		as = append(as, "shape = cds")
	}
	if sg, ok := signs[s.Addr]; ok {
		l := sg.look()
		as = append(as, "label = "+dotQuote(sg.mark+" "+s.Addr.String()), "style = "+dotQuote("filled,"+l.edge),
			"fillcolor = "+dotQuote(l.fill), "color = "+dotQuote(l.line), "tooltip = "+dotQuote(sg.meaning))
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

// GraphMermaid writes the graph for Mermaid, which Markdown renderers draw; the
// instances of a block are a subgraph.
func GraphMermaid(w io.Writer, g Graph) error {
	id := map[addr.Address]string{}
	for i, s := range g.Stages {
		id[s.Addr] = "s" + strconv.Itoa(i)
	}
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	signs := g.signs()
	for i, c := range g.clusters() {
		indent := "  "
		if len(c.stages) > 1 {
			fmt.Fprintf(&b, "  subgraph b%d[\"%s\"]\n", i, mermaidText(c.block.String()))
			indent = "    "
		}
		for _, s := range c.stages {
			label := s.Addr.String()
			if sg, ok := signs[s.Addr]; ok {
				// At the beginning, a mark would make Mermaid see a list.
				label += " " + sg.mark
			}
			before, after := mermaidShape(s)
			fmt.Fprintf(&b, "%s%s%s\"%s\"%s\n", indent, id[s.Addr], before, mermaidText(label), after)
		}
		if len(c.stages) > 1 {
			b.WriteString("  end\n")
		}
	}
	for _, s := range g.Stages {
		for _, d := range s.Deps {
			fmt.Fprintf(&b, "  %s --> %s\n", id[d], id[s.Addr])
		}
	}
	g.mermaidClasses(&b, id, signs)
	_, err := io.WriteString(w, b.String())
	return err
}

func mermaidShape(s *config.Stage) (before, after string) {
	switch {
	case s.Job != nil && s.Job.Given:
		return "[(", ")]"
	case s.Schema.Effect:
		return "([", "])"
	}
	return "[", "]"
}

func mermaidText(s string) string { return strings.ReplaceAll(s, `"`, "#quot;") }

// mermaidClasses colours the stages by their signs.
func (g Graph) mermaidClasses(b *strings.Builder, id map[addr.Address]string, of map[addr.Address]sign) {
	for i, sg := range signs() {
		var ids []string
		for _, s := range g.Stages {
			if of[s.Addr] == sg {
				ids = append(ids, id[s.Addr])
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
