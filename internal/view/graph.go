package view

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
)

// GraphTree writes each stage that nothing depends on, and below it what it
// needs. A stage that several need is gone into once; (*) marks the others.
//
//	deploy.local
//	└── select.best
//	    ├── train.mlp["small"]
//	    │   └── dataset.scans
//	    └── train.mlp["wide"]
//	        └── dataset.scans
func (p *Printer) GraphTree(stages []*config.Stage) {
	deps := map[addr.Address][]addr.Address{}
	needed := map[addr.Address]bool{}
	for _, s := range stages {
		deps[s.Addr] = s.Deps
		for _, d := range s.Deps {
			needed[d] = true
		}
	}
	shown := map[addr.Address]bool{}
	var below func(a addr.Address, indent string)
	below = func(a addr.Address, indent string) {
		shown[a] = true
		for i, d := range deps[a] {
			branch, next := "├── ", "│   "
			if i == len(deps[a])-1 {
				branch, next = "└── ", "    "
			}
			again := ""
			if shown[d] && len(deps[d]) > 0 {
				again = p.paint(dim, " (*)")
			}
			p.Printf("%s%s%s\n", p.paint(dim, indent+branch), d, again)
			if !shown[d] {
				below(d, indent+next)
			}
		}
	}
	for _, s := range stages {
		if !needed[s.Addr] {
			p.Printf("%s\n", p.paint(bold, s.Addr.String()))
			below(s.Addr, "")
		}
	}
}

// GraphDOT writes the graph for Graphviz. Arrows go the way of the data.
func GraphDOT(w io.Writer, stages []*config.Stage) error {
	var b strings.Builder
	b.WriteString("digraph pipeline {\n  rankdir = LR\n  node [shape = box, fontname = \"sans-serif\"]\n")
	for _, s := range stages {
		shape := ""
		switch {
		case s.Job != nil && s.Job.Given:
			shape = " [shape = cylinder]"
		case s.Schema.Effect:
			shape = " [shape = cds]"
		}
		fmt.Fprintf(&b, "  %s%s\n", dotQuote(s.Addr.String()), shape)
	}
	for _, s := range stages {
		for _, d := range s.Deps {
			fmt.Fprintf(&b, "  %s -> %s\n", dotQuote(d.String()), dotQuote(s.Addr.String()))
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// dotQuote writes a string of the DOT language, in which only quotes and
// backslashes are special.
func dotQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// GraphMermaid writes the graph for Mermaid, which Markdown renderers draw.
func GraphMermaid(w io.Writer, stages []*config.Stage) error {
	id := map[addr.Address]string{}
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for i, s := range stages {
		id[s.Addr] = "s" + strconv.Itoa(i)
		open, end := "[", "]"
		switch {
		case s.Job != nil && s.Job.Given:
			open, end = "[(", ")]"
		case s.Schema.Effect:
			open, end = "([", "])"
		}
		fmt.Fprintf(&b, "  %s%s\"%s\"%s\n", id[s.Addr], open, strings.ReplaceAll(s.Addr.String(), `"`, "#quot;"), end)
	}
	for _, s := range stages {
		for _, d := range s.Deps {
			fmt.Fprintf(&b, "  %s --> %s\n", id[d], id[s.Addr])
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// GraphJSON writes stages and what each needs.
func GraphJSON(w io.Writer, stages []*config.Stage) error {
	type node struct {
		Address   addr.Address   `json:"address"`
		Type      string         `json:"type"`
		DependsOn []addr.Address `json:"depends_on"`
		Given     bool           `json:"given,omitempty"`
		Effect    bool           `json:"effect,omitempty"`
	}
	doc := struct {
		FormatVersion string `json:"format_version"`
		Stages        []node `json:"stages"`
	}{FormatVersion, []node{}}
	for _, s := range stages {
		doc.Stages = append(doc.Stages, node{s.Addr, s.Addr.Type, list(slices.Clone(s.Deps)), s.Job != nil && s.Job.Given, s.Schema.Effect})
	}
	return writeJSON(w, doc)
}
