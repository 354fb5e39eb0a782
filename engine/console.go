package engine

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/lock"
)

// Evaluate evaluates an expression with the metrics that flow.lock has now: an
// apply may be going on elsewhere.
func (p *Project) Evaluate(text string) (v cty.Value, sensitive bool, diags hcl.Diagnostics, err error) {
	l, err := lock.ReadFile(p.root)
	if err != nil {
		return cty.NilVal, false, nil, p.lockMistake(err)
	}
	p.lock = l
	pipeline, known := p.recorded()
	v, sensitive, diags = pipeline.Evaluate(text, known)
	return v, sensitive, diags, nil
}

// HistoryFile is where the console keeps what was typed.
func (p *Project) HistoryFile() string { return p.path("console-history") }
