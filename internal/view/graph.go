package view

import (
	"fmt"
	"io"
	"slices"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/plan"
)

// Graph is what a graph is drawn of.
type Graph struct {
	Stages []*config.Stage
	// Deferred are the blocks whose instances are not known.
	Deferred []config.Deferred
	// Plan says what is to be done with each stage; nil leaves that out.
	Plan *plan.Plan
}

// signs returns the sign of each stage that the plan has.
func (g Graph) signs() map[addr.Address]sign {
	if g.Plan == nil {
		return nil
	}
	signs := make(map[addr.Address]sign, len(g.Plan.Steps))
	for _, s := range g.Plan.Steps {
		signs[s.Addr] = signOf(s)
	}
	return signs
}

// unit is what a tree has on one line: a stage, or many instances of a block.
type unit struct {
	title string
	signs []sign // of its stages
	deps  []*unit
	count int
}

// units are the stages, dependencies first; of a block with many instances, one
// for them all, unless each is wanted.
func (g Graph) units(each bool) []*unit {
	instances := map[addr.Address]int{}
	for _, s := range g.Stages {
		instances[s.Addr.Block()]++
	}
	var units []*unit
	signs, by := g.signs(), map[addr.Address]*unit{}
	of := func(a addr.Address) addr.Address {
		if !each && instances[a.Block()] > mostInstances {
			return a.Block()
		}
		return a
	}
	later := map[addr.Address]*unit{}
	for _, d := range g.Deferred {
		later[d.Addr] = &unit{title: d.String()}
		if g.Plan != nil {
			later[d.Addr].signs = []sign{signLater}
		}
	}
	need := func(u, up *unit) {
		if up != nil && up != u && !slices.Contains(u.deps, up) {
			u.deps = append(u.deps, up)
			up.count++
		}
	}
	for _, s := range g.Stages {
		a := of(s.Addr)
		u := by[a]
		if u == nil {
			u = &unit{title: a.String()}
			if a != s.Addr {
				u.title = fmt.Sprintf("%s (%d instances)", a, instances[a])
			}
			by[a] = u
			units = append(units, u)
		}
		if sg, ok := signs[s.Addr]; ok && !slices.Contains(u.signs, sg) {
			u.signs = append(u.signs, sg)
		}
		for _, d := range s.Deps {
			need(u, by[of(d)])
		}
		for _, d := range s.Awaits {
			need(u, later[d])
		}
	}
	for _, d := range g.Deferred {
		u := later[d.Addr]
		for _, a := range d.Needs {
			need(u, by[of(a)])
		}
		for _, a := range d.Awaits {
			need(u, later[a])
		}
		units = append(units, u)
	}
	return units
}

// GraphTree writes each stage that nothing depends on, and below it what it
// needs. A stage that several need is gone into once; (*) marks the others.
//
//	deploy.local
//	└── select.best
//	    ├── train.mlp["small"]
//	    │   └── dataset.scans
//	    └── train.mlp["wide"]
//	        └── dataset.scans
//
// If verbose, the instances of a block have a line each however many they are.
func (p *Printer) GraphTree(g Graph, verbose bool) {
	title := func(u *unit) string {
		marks := ""
		for _, s := range signs() {
			if slices.Contains(u.signs, s) {
				marks += p.paint(s.style, s.mark)
			}
		}
		if marks != "" {
			marks += " "
		}
		return marks + u.title
	}
	units := g.units(verbose)
	shown := map[*unit]bool{}
	var below func(u *unit, indent string)
	below = func(u *unit, indent string) {
		shown[u] = true
		for i, d := range u.deps {
			branch, next := "├── ", "│   "
			if i == len(u.deps)-1 {
				branch, next = "└── ", "    "
			}
			again := ""
			if shown[d] && len(d.deps) > 0 {
				again = p.paint(dim, " (*)")
			}
			p.Printf("%s%s%s\n", p.paint(dim, indent+branch), title(d), again)
			if !shown[d] {
				below(d, indent+next)
			}
		}
	}
	for _, u := range units {
		if u.count == 0 {
			p.Printf("%s\n", p.paint(bold, title(u)))
			below(u, "")
		}
	}
	if g.Plan != nil {
		p.Printf("\n")
		p.signLegend(func(s sign) bool {
			return slices.ContainsFunc(units, func(u *unit) bool { return slices.Contains(u.signs, s) })
		})
	}
}

// graphJSON is the document of `flow graph --json`.
type graphJSON struct {
	FormatVersion string           `json:"format_version"`
	Stages        []graphStageJSON `json:"stages"`
	// Later are the blocks whose instances are not known.
	Later []graphLaterJSON `json:"known_after_apply"`
}

type graphLaterJSON struct {
	Address   addr.Address   `json:"address"`
	DependsOn []addr.Address `json:"depends_on"`
	Awaits    []addr.Address `json:"awaits"`
}

type graphStageJSON struct {
	Address   addr.Address   `json:"address"`
	Type      string         `json:"type"`
	DependsOn []addr.Address `json:"depends_on"`
	// Awaits are the blocks of known_after_apply that it needs.
	Awaits []addr.Address `json:"awaits,omitempty"`
	Given  bool           `json:"given,omitempty"`
	Effect bool           `json:"effect,omitempty"`
	// Action is what a plan decides, if it was asked for.
	Action plan.Action `json:"action,omitempty"`
}

// GraphJSON writes stages and what each needs.
func GraphJSON(w io.Writer, g Graph) error {
	doc := graphJSON{FormatVersion, []graphStageJSON{}, []graphLaterJSON{}}
	for _, d := range g.Deferred {
		doc.Later = append(doc.Later, graphLaterJSON{d.Addr, list(d.Needs), list(d.Awaits)})
	}
	actions := map[addr.Address]plan.Action{}
	if g.Plan != nil {
		for _, s := range g.Plan.Steps {
			actions[s.Addr] = s.Action
		}
	}
	for _, s := range g.Stages {
		doc.Stages = append(doc.Stages, graphStageJSON{s.Addr, s.Addr.Type, list(slices.Clone(s.Deps)), s.Awaits, s.Job != nil && s.Job.Given, s.Schema.Effect, actions[s.Addr]})
	}
	return writeJSON(w, doc)
}
