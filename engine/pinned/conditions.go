package pinned

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/plan"
)

// What a plan has besides its stages: moves, outputs that no stage writes any
// more, and conditions.

// Orphan is an output that no stage writes any more, and what becomes of it.
type Orphan struct {
	Stage addr.Address `json:"stage"`
	Result
	Fate plan.Fate `json:"fate"`
	Why  string    `json:"why,omitempty"`
}

// Place is a line of a file of the pipeline.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// Failing is a condition of a stage that does not hold.
type Failing struct {
	Summary string `json:"summary"`
	Detail  string `json:"detail,omitempty"`
	Place
}

// Check is a check block.
type Check struct {
	Name       string      `json:"name"`
	Assertions []Assertion `json:"assertions"`
	Place
}

// Assertion is a condition; Value is true, false or unknown.
type Assertion struct {
	Kind    string `json:"kind"`
	Text    string `json:"text"`
	Value   string `json:"value"`
	Message string `json:"message,omitempty"`
	Place
}

func placeOf(r hcl.Range) Place { return Place{r.Filename, r.Start.Line} }

func (p Place) hclRange() hcl.Range {
	at := hcl.Pos{Line: p.Line, Column: 1}
	return hcl.Range{Filename: p.File, Start: at, End: at}
}

// addRest writes down what is not of a single stage.
func (d *Document) addRest(pl *plan.Plan) {
	for _, l := range pl.Deferred {
		d.Later = append(d.Later, Later{l.Addr, l.Reason, l.Needs, l.Awaits, l.Effects, l.Blocked, failingOf(l.Mistakes), placeOf(l.Range)})
	}
	d.Moved, d.Unmanaged = pl.Moved, pl.Unmanaged
	for _, o := range pl.Orphans {
		d.Orphans = append(d.Orphans, Orphan{o.Addr, Result{o.Name, o.Path, formatNode(o.Node), o.Given}, o.Fate, o.Why})
	}
	for _, c := range pl.Checks {
		check := Check{Name: c.Name, Place: placeOf(c.Range), Assertions: []Assertion{}}
		for _, a := range c.Assertions {
			check.Assertions = append(check.Assertions, Assertion{a.Kind, a.Text, a.Value.String(), a.Message, placeOf(a.Range)})
		}
		d.Checks = append(d.Checks, check)
	}
}

// rest gives it to a plan that is looked at.
func (d *Document) rest(pl *plan.Plan) error {
	for _, l := range d.Later {
		pl.Deferred = append(pl.Deferred, plan.Deferred{
			Deferred: config.Deferred{Addr: l.Address, Needs: l.Needs, Awaits: l.Awaits, Effects: l.Effects, Range: l.hclRange(), Mistakes: diagnostics(l.Failing)},
			Reason:   l.Reason, Blocked: l.Blocked,
		})
	}
	for _, o := range d.Orphans {
		n, err := parseNode(o.Content)
		if err != nil {
			return fmt.Errorf("%s in the plan: %w", o.Path, err)
		}
		pl.Orphans = append(pl.Orphans, plan.Orphan{Addr: o.Stage, Result: lock.Result{Name: o.Name, Path: o.Path, Node: n, Given: o.Given}, Fate: o.Fate, Why: o.Why})
	}
	for _, c := range d.Checks {
		check := config.Check{Name: c.Name, Range: c.hclRange()}
		for _, a := range c.Assertions {
			value := slices.Index([]string{config.True.String(), config.False.String(), config.Unknown.String()}, a.Value)
			if value < 0 {
				return fmt.Errorf("check %s in the plan: value %q", c.Name, a.Value)
			}
			check.Assertions = append(check.Assertions, config.Assertion{
				Kind: a.Kind, Message: a.Message,
				Condition: config.Condition{Value: config.Truth(value), Text: a.Text, Range: a.hclRange()},
			})
		}
		pl.Checks = append(pl.Checks, check)
	}
	return nil
}

func failingOf(diags hcl.Diagnostics) []Failing {
	var fs []Failing
	for _, d := range diags {
		f := Failing{Summary: d.Summary, Detail: d.Detail}
		if d.Subject != nil {
			f.Place = placeOf(*d.Subject)
		}
		fs = append(fs, f)
	}
	return fs
}

func diagnostics(failing []Failing) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, f := range failing {
		at := f.hclRange()
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: f.Summary, Detail: f.Detail, Subject: &at})
	}
	return diags
}

// outputs compares what becomes of outputs that no stage writes any more, and
// which results move.
func (d *Document) outputs(now *Document) []Difference {
	var ds []Difference
	for _, o := range d.Orphans {
		i := slices.IndexFunc(now.Orphans, func(n Orphan) bool { return n.Path == o.Path })
		switch {
		case i < 0:
			ds = append(ds, Difference{o.Path, "is not left over any more"})
		case now.Orphans[i].Content != o.Content || now.Orphans[i].Fate != o.Fate:
			ds = append(ds, Difference{o.Path, "is left over from " + o.Stage.String() + ", and is not what it was"})
		}
	}
	for _, n := range now.Orphans {
		if !slices.ContainsFunc(d.Orphans, func(o Orphan) bool { return n.Path == o.Path }) {
			ds = append(ds, Difference{n.Path, "is now left over from " + n.Stage.String()})
		}
	}
	if !slices.Equal(d.Moved, now.Moved) {
		ds = append(ds, Difference{lock.FileName, "other stages move than did"})
	}
	if !slices.Equal(d.Unmanaged, now.Unmanaged) {
		ds = append(ds, Difference{"what stays in service without a stage", "is not what it was"})
	}
	return ds
}
