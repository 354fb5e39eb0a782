package apply

import (
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/plan"
)

// broken is the failure of a stage whose conditions do not hold.
func broken(diags hcl.Diagnostics) *failure {
	var texts []string
	for _, d := range diags {
		texts = append(texts, d.Summary+": "+d.Detail)
	}
	return &failure{event.Event{Text: strings.Join(texts, "; "), Diags: diags}}
}

// judge holds what a job has just made to the stage's postconditions. Its
// result is recorded under the key already, so that a changed condition runs
// nothing again; it does not get into the tree and flow.lock.
func (j *job) judge() error {
	conditions, diags := j.options.Postconditions(j.step.Addr, j.step.Metrics)
	for _, c := range conditions {
		if c.Value == config.False {
			diags = append(diags, c.Diagnostic(j.step.Addr.String()))
		}
	}
	if len(diags) == 0 {
		return nil
	}
	f := broken(diags)
	f.event.LogPath, f.event.Hints = j.rel(j.log), []string{plan.Anew(j.step.Addr)}
	return f
}

// warnOf tells of checks that do not hold.
func (a *apply) warnOf(checks []config.Check) {
	for _, c := range checks {
		for _, d := range c.Warnings() {
			a.emit(CheckWarning(d))
		}
	}
}

// CheckWarning is the event that tells of a check that does not hold.
func CheckWarning(d *hcl.Diagnostic) event.Event {
	return event.Event{Kind: event.Warning, Text: d.Summary + ": " + d.Detail, Diags: hcl.Diagnostics{d}}
}
