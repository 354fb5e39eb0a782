package plan

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Postconditions is the Options.Postconditions of a pipeline. r tells the
// metrics of other stages.
func Postconditions(p *config.Pipeline, r config.Results) func(addr.Address, stage.Metrics) ([]config.Assertion, hcl.Diagnostics) {
	return func(a addr.Address, own stage.Metrics) ([]config.Assertion, hcl.Diagnostics) {
		return p.Postconditions(a, r, own)
	}
}

// gate settles the stages that will not run whatever their inputs are.
func (d *decision) gate(outcome func(addr.Address) Outcome) bool {
	st := d.step.Stage
	for _, a := range st.Deps {
		switch o := outcome(a); o.State {
		case Closed:
			d.step.Action, d.step.blame = Blocked, o.Blame
			d.because(Reason{Kind: Upstream, Text: fmt.Sprintf("%s is blocked: %s", o.Blame.Addr, o.Blame.Why), Stages: []addr.Address{o.Blame.Addr}})
			return true
		case Pending:
			d.pending = append(d.pending, a)
			d.step.doubtful = d.step.doubtful || o.Doubtful
		}
	}
	if st.When.Value == config.False {
		d.step.Action = Blocked
		d.because(Reason{Kind: Gate, Text: "when: " + st.When.Text + " is false"})
		return true
	}
	if st.When.Value == config.Unknown {
		d.step.doubtful = true
		return false
	}
	if d.refuse(Precondition, st.Preconditions) {
		return true
	}
	d.step.doubtful = d.step.doubtful || slices.ContainsFunc(st.Preconditions, config.Assertion.Open)
	return false
}

// unfit blocks a stage that cannot be evaluated with the results as they are.
func (d *decision) unfit() bool {
	wrong := d.step.Stage.Mistakes
	if len(wrong) == 0 {
		return false
	}
	d.step.Action, d.step.Failing = Blocked, wrong
	d.because(Reason{Kind: Refused, Text: wrongText("cannot be evaluated", wrong[0], d.step.Remedy()), Stages: d.step.Stage.Deps})
	return true
}

// Remedy says what can be done about a stage that cannot be evaluated with the
// results as they are, or whose result fails a postcondition, "" about others.
func (s *Step) Remedy() string {
	switch {
	case slices.ContainsFunc(s.Reasons, func(r Reason) bool { return r.Kind == Postcondition }):
		return Anew(s.Addr)
	case len(s.Stage.Mistakes) == 0:
		return ""
	case len(s.Stage.Deps) > 1:
		return "correct the pipeline, or the results that it reads"
	}
	return Remedy(s.Stage.Deps)
}

// Anew says what can be done about a result that fails a postcondition: nothing
// runs again by itself.
func Anew(a addr.Address) string {
	return "the result is known, and is judged again by each apply; to make it anew: flow apply --rerun " + shellWord(a.String())
}

// forced reports whether the stage runs whatever is known of it, and says why.
func (d *decision) forced() bool {
	said := ""
	if d.opts.Rerun != nil {
		said = d.opts.Rerun(d.step.Addr)
	}
	switch {
	case said != "":
		d.because(Reason{Kind: Forced, Text: "forced by " + said})
	case d.step.Stage.Lifecycle.AlwaysRun:
		d.because(Reason{Kind: AlwaysRun, Text: "always runs, as its lifecycle says"})
	default:
		return false
	}
	return true
}

// refuse blocks the stage if one of its conditions is false, with all of those.
func (d *decision) refuse(kind ReasonKind, conditions []config.Assertion) bool {
	for _, a := range conditions {
		if a.Value == config.False {
			d.step.Failing = append(d.step.Failing, a.Diagnostic(d.step.Addr.String()))
			d.because(Reason{Kind: kind, Text: a.Kind + ": " + a.Message})
		}
	}
	if len(d.step.Failing) == 0 {
		return false
	}
	d.step.Action = Blocked
	return true
}

// judge holds a result that is known to the stage's postconditions. A result
// that does not meet them is there, but not for others. One that is lost is
// judged when it has been made again.
func (d *decision) judge() {
	s := d.step
	if d.opts.Postconditions == nil || !s.Known || s.Action == Run && !s.Given() {
		return
	}
	conditions, diags := d.opts.Postconditions(s.Addr, s.Metrics)
	before := s.Reasons
	s.Reasons = nil
	if !d.refuse(Postcondition, conditions) && !diags.HasErrors() {
		s.Reasons = before
		return
	}
	for _, diag := range diags {
		d.because(Reason{Kind: Postcondition, Text: "postcondition: " + diag.Summary})
	}
	s.Failing = append(s.Failing, diags...)
	s.Action, s.Known, s.Results, s.RestoreBytes = Blocked, false, nil, 0
}

// blame says why a blocked stage is, for those that need it. What is behind
// several of them is told of the first: that one can be acted on.
func blame(s *Step) Blame {
	switch r := s.Reasons[0]; r.Kind {
	case Upstream:
		return s.blame
	case Refused:
		return Blame{s.Addr, "it cannot be evaluated"}
	default:
		return Blame{s.Addr, r.Text}
	}
}
