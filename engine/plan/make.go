package plan

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Known is the metrics that are known so far; it answers config's questions.
type Known map[addr.Address]stage.Metrics

// Metrics implements config.Results.
func (k Known) Metrics(a addr.Address) (stage.Metrics, bool) {
	m, ok := k[a]
	return m, ok
}

// Make plans the whole pipeline, or the stages that targets name and what they
// need. locked is asked for what flow.lock has. A user's mistake is *Mistakes.
func Make(ctx context.Context, w World, p *config.Pipeline, locked *lock.Lock, targets func(addr.Address) bool, opts Options) (*Plan, error) {
	known := Known{}
	stages, diags := p.Stages(known)
	if diags.HasErrors() {
		return nil, &Mistakes{diags, p.Files()}
	}
	chosen := closure(stages, targets)
	pl := &Plan{Targeted: targets != nil}
	outcomes := map[addr.Address]Outcome{}
	look, told := newInspector(w), seen{}
	opts.Relocate = true
	opts.Postconditions = Postconditions(p, known)
	for _, st := range stages {
		if !chosen[st.Addr] {
			continue
		}
		// Metrics that have become known since may decide more.
		if st.Open() {
			var more hcl.Diagnostics
			if st, more = p.Resolve(st.Addr, known); more.HasErrors() {
				diags = append(diags, more...)
				continue
			}
		}
		step, err := Decide(ctx, w, st, func(a addr.Address) Outcome { return outcomes[a] }, opts)
		if err != nil {
			if len(stage.ProblemsIn(err)) == 0 {
				return nil, err
			}
			diags = append(diags, p.Diagnose(st.Addr, err)...)
			continue
		}
		if err := look.inspect(step); err != nil {
			if len(stage.ProblemsIn(err)) == 0 {
				return nil, err
			}
			for _, d := range p.Diagnose(st.Addr, err) {
				if told.first(d.Subject.String(), d.Summary) {
					diags = append(diags, d)
				}
			}
		}
		pl.Steps = append(pl.Steps, step)
		outcomes[st.Addr] = OutcomeOf(step)
		if step.Known {
			known[st.Addr] = step.Metrics
		}
	}
	if diags.HasErrors() {
		return nil, &Mistakes{diags, p.Files()}
	}
	if pl.Outputs, diags = p.Outputs(known); diags.HasErrors() {
		return nil, &Mistakes{diags, p.Files()}
	}
	pl.Checks = p.Checks(known)
	if targets == nil {
		pl.Removed = removed(stages, locked)
		if err := pl.orphans(ctx, w, locked, p); err != nil {
			return nil, err
		}
	}
	return pl, pl.forecast(ctx, w)
}

// OutcomeOf is what a decision means to the stages that depend on it.
func OutcomeOf(s *Step) Outcome {
	switch {
	case s.Action == Blocked:
		return Outcome{State: Closed, Blame: blame(s)}
	case s.Known:
		return Outcome{State: Ready, Results: s.Results}
	}
	return Outcome{State: Pending}
}

// closure returns the stages that targets name and all that they need.
func closure(stages []*config.Stage, targets func(addr.Address) bool) map[addr.Address]bool {
	chosen := make(map[addr.Address]bool, len(stages))
	for _, st := range slices.Backward(stages) {
		if targets == nil || targets(st.Addr) || chosen[st.Addr] {
			chosen[st.Addr] = true
			for _, d := range st.Deps {
				chosen[d] = true
			}
		}
	}
	return chosen
}

func removed(stages []*config.Stage, locked *lock.Lock) []addr.Address {
	have := make(map[addr.Address]bool, len(stages))
	for _, st := range stages {
		have[st.Addr] = true
	}
	var gone []addr.Address
	for _, s := range locked.Stages() {
		if !have[s.Addr] {
			gone = append(gone, s.Addr)
		}
	}
	return gone
}

// forecast sums up what is expected from the usual times.
func (p *Plan) forecast(ctx context.Context, w World) error {
	var busy []addr.Address
	for _, s := range p.Steps {
		if (s.Action == Run || s.Action == Defer) && !s.Given() {
			busy = append(busy, s.Addr)
		}
	}
	usual, err := w.Usual(ctx, busy)
	if err != nil {
		return err
	}
	f := &p.Forecast
	longest := make(map[addr.Address]time.Duration, len(p.Steps))
	for _, s := range p.Steps {
		var before time.Duration
		for _, d := range s.Stage.Deps {
			before = max(before, longest[d])
		}
		own := time.Duration(0)
		if (s.Action == Run || s.Action == Defer) && !s.Given() {
			own = usual[s.Addr]
			s.Usual = own
			f.Total += own
			if own == 0 {
				f.Unknown++
			}
			if n := s.Stage.Resources.GPUs; n > 0 {
				f.GPU += own * time.Duration(n)
				if own == 0 {
					f.GPUUnknown++
				}
			}
		}
		longest[s.Addr] = before + own
		f.CriticalPath = max(f.CriticalPath, before+own)
		if s.Action == Restore {
			f.RestoreBytes += s.RestoreBytes
		}
	}
	return nil
}
