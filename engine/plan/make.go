package plan

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/lock"
	"github.com/flow-pipelines/flow/engine/par"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Choice is what the user has chosen of what there is.
type Choice struct {
	// Stages and Blocks report whether a stage is to be brought up to date, or
	// the instances of a block that are not known yet; nil: all are.
	Stages func(addr.Address) bool
	Blocks func(config.Deferred) bool
	// Part says which of the instances of such a block were asked for, "" if all
	// were; nil: all.
	Part func(config.Deferred) string
	// Rerun is Options.Rerun.
	Rerun func(addr.Address) string
}

// Choose makes the choice. It is asked again when more stages are known.
type Choose func([]*config.Stage, []config.Deferred) (Choice, error)

// Make plans the whole pipeline, or the stages that were chosen and what they
// need; choose may be nil. locked is asked for what flow.lock has. A user's
// mistake is *Mistakes.
//
// Which instances a block makes may be known from what a stage has written that
// is kept. So stages are decided in rounds: each decides what is not decided yet,
// or was while something that it needs was not known, and then the pipeline is
// expanded with the results that are certain. Most pipelines take one round.
func Make(ctx context.Context, w World, p *config.Pipeline, locked *lock.Lock, choose Choose, opts Options) (*Plan, error) {
	opts.Relocate = true
	w = &glance{World: w}
	decided := map[addr.Address]*Step{}
	m := &maker{
		w: w, p: p, locked: locked, choose: choose, opts: opts, known: NewKnown(w), certain: NewKnown(w), look: newInspector(w, decided),
		decided: decided,
	}
	defer m.look.close()
	for {
		if err := m.round(ctx); err != nil {
			return nil, err
		}
		next := m.p.Expand(m.certain)
		if next == m.p {
			break
		}
		m.p = next
	}
	pl := &Plan{Steps: m.steps, Pipeline: m.p, Targeted: m.choice.Stages != nil, Deferred: m.deferred()}
	var diags hcl.Diagnostics
	if pl.Outputs, diags = m.outputs(pl.Spares()); diags.HasErrors() {
		return nil, &Mistakes{diags, p.Files()}
	}
	pl.Checks = m.p.Checks(m.known)
	if !pl.Targeted {
		if err := pl.leftovers(ctx, w, locked, m.p, nil); err != nil {
			return nil, err
		}
	}
	pl.Unmanaged = UnmanagedOf(w, m.p, pl.Steps, pl.Removed)
	return pl, pl.forecast(ctx, w)
}

// outputs evaluates the outputs. A mistake that is there whatever the results are
// ends the plan. One that results have brought to light, such as a metric that a
// stage turned out not to have, is a matter of that output: nothing waits for it.
func (m *maker) outputs(spared bool) ([]config.Output, hcl.Diagnostics) {
	outs, diags := m.p.Outputs(m.known)
	if spared {
		return slices.DeleteFunc(outs, func(o config.Output) bool { return len(o.Mistakes) > 0 }), nil
	}
	if diags.HasErrors() {
		if _, always := m.p.Outputs(config.NoResults{}); !always.HasErrors() {
			diags = nil
		}
	}
	return outs, diags
}

type maker struct {
	w      World
	p      *config.Pipeline
	locked *lock.Lock
	choose Choose
	opts   Options
	look   *inspector

	known   *Known // results, of which certain will not change
	certain *Known
	choice  Choice
	steps   []*Step // of this round
	decided map[addr.Address]*Step
	blocks  []config.Deferred // that are deferred and wanted
	// refused are the deferred blocks that cannot be expanded.
	refused map[addr.Address]bool
}

// round decides the stages of the pipeline as far as it is expanded.
func (m *maker) round(ctx context.Context) error {
	stages, diags := m.p.Stages(m.known)
	if diags.HasErrors() {
		return &Mistakes{diags, m.p.Files()}
	}
	deferred := m.p.Deferred()
	m.refused = map[addr.Address]bool{}
	for _, d := range deferred {
		if len(d.Mistakes) > 0 {
			m.refused[d.Addr] = true
		}
	}
	if m.choose != nil {
		var err error
		if m.choice, err = m.choose(stages, deferred); err != nil {
			return err
		}
	}
	m.opts.Rerun = m.choice.Rerun
	m.opts.Postconditions = Postconditions(m.p, m.known)
	m.opts.Writer = Writer(m.p, m.locked)
	m.opts.Gone = GoneFrom(m.w, m.p, stages, m.locked)
	wanted, blocks := Wanted(stages, deferred, m.choice)
	m.blocks, m.steps = blocks, nil
	stages = slices.DeleteFunc(stages, func(st *config.Stage) bool { return !wanted[st.Addr] })
	again, told := map[addr.Address]bool{}, seen{}
	for len(stages) > 0 {
		var next []verdict
		next, stages = m.apart(stages, again)
		par.Each(len(next), func(i int) {
			if d := &next[i]; d.step == nil {
				d.step, d.diags, d.err = m.decide(ctx, d.stage)
			}
		})
		for _, d := range next {
			more, err := m.take(d, told)
			if err != nil {
				return err
			}
			diags = append(diags, more...)
		}
	}
	if diags.HasErrors() {
		return &Mistakes{diags, m.p.Files()}
	}
	return nil
}

// verdict is what became of a stage in a round.
type verdict struct {
	stage *config.Stage
	step  *Step // of an earlier round or, once decided, of this; nil if its mistakes do not let it
	diags hcl.Diagnostics
	err   error
}

// apart cuts off the first stages, in their order, of which none depends on
// another, so that they can be decided side by side. again collects those that are
// not decided yet, or were while something that they need was not known.
func (m *maker) apart(stages []*config.Stage, again map[addr.Address]bool) (first []verdict, rest []*config.Stage) {
	open := map[addr.Address]bool{}
	for i, st := range stages {
		if slices.ContainsFunc(st.Deps, func(a addr.Address) bool { return open[a] }) {
			return first, stages[i:]
		}
		s := m.decided[st.Addr]
		if s == nil || len(s.Stage.Awaits) > 0 || slices.ContainsFunc(st.Deps, func(a addr.Address) bool { return again[a] }) {
			s, open[st.Addr], again[st.Addr] = nil, true, true
		}
		first = append(first, verdict{stage: st, step: s})
	}
	return first, nil
}

// decide decides one stage; step is nil if its mistakes do not let it.
func (m *maker) decide(ctx context.Context, st *config.Stage) (step *Step, diags hcl.Diagnostics, err error) {
	// Metrics that have become known since may decide more.
	if st.Open() || len(st.Mistakes) > 0 {
		if st, diags = m.p.Resolve(st.Addr, m.known); diags.HasErrors() {
			return nil, diags, nil
		}
	}
	outcome := func(a addr.Address) Outcome {
		if s := m.decided[a]; s != nil {
			return OutcomeOf(s)
		}
		return Outcome{}
	}
	if step, err = Decide(ctx, m.w, st, outcome, m.opts); err != nil {
		if len(stage.ProblemsIn(err)) == 0 {
			return nil, nil, err
		}
		return nil, m.p.Diagnose(st.Addr, err), nil
	}
	if i := slices.IndexFunc(st.Awaits, func(a addr.Address) bool { return m.refused[a] }); i >= 0 && step.Action != Blocked {
		step.behind(st.Awaits[i])
	}
	return step, nil, nil
}

// take takes in what became of a stage, in the order of the graph. A result is
// certain if the stage will not run, nor anything that could make it do so.
func (m *maker) take(d verdict, told seen) (diags hcl.Diagnostics, err error) {
	s := d.step
	if s == nil || d.err != nil {
		return d.diags, d.err
	}
	m.steps = append(m.steps, s)
	if m.decided[s.Addr] == s {
		return nil, nil // in an earlier round
	}
	m.decided[s.Addr] = s
	if err := m.look.inspect(s); err != nil {
		if len(stage.ProblemsIn(err)) == 0 {
			return nil, err
		}
		for _, p := range m.p.Diagnose(s.Addr, err) {
			if told.first(p.Subject.String(), p.Summary) {
				diags = append(diags, p)
			}
		}
	}
	m.known.Add(s)
	doubtful := func(a addr.Address) bool {
		_, known := m.known.Metrics(a)
		_, certain := m.certain.Metrics(a)
		return known && !certain
	}
	if s.Known && (s.Given() || s.Action != Run) && !slices.ContainsFunc(s.Stage.Deps, doubtful) {
		m.certain.Add(s)
	}
	return diags, nil
}

// deferred says of what is still deferred what it waits for.
func (m *maker) deferred() []Deferred {
	var all []Deferred
	for _, d := range m.blocks {
		one := Deferred{Deferred: d}
		for _, a := range d.Needs {
			s := m.decided[a]
			if s == nil {
				continue
			}
			if len(d.Mistakes) > 0 {
				continue
			}
			if o := OutcomeOf(s); o.State == Closed && !one.Blocked {
				one.Blocked = true
				one.Reason = Reason{Kind: Upstream, Text: fmt.Sprintf("%s is blocked: %s", o.Blame.Addr, o.Blame.Why), Stages: []addr.Address{o.Blame.Addr}}
			}
			if _, certain := m.certain.Metrics(a); !certain && s.Action != Blocked {
				one.waits = append(one.waits, a)
			}
		}
		i := slices.IndexFunc(d.Awaits, func(a addr.Address) bool { return m.refused[a] })
		switch {
		case len(d.Mistakes) > 0:
			one.Reason = refusal(d)
		case i >= 0 && !one.Blocked:
			one.Blocked, one.Reason = true, behindText(d.Awaits[i])
		case !one.Blocked:
			one.Reason = Reason{Kind: Upstream, Text: upstreamText(one.waits, d.Awaits) + m.part(d), Stages: one.waits}
		}
		all = append(all, one)
	}
	return all
}

// part says which instances of a block are wanted, "" if all are: those that were
// asked for, unless something else needs the block.
func (m *maker) part(d config.Deferred) string {
	if m.choice.Part == nil ||
		slices.ContainsFunc(m.steps, func(s *Step) bool { return slices.Contains(s.Stage.Awaits, d.Addr) }) ||
		slices.ContainsFunc(m.blocks, func(b config.Deferred) bool { return slices.Contains(b.Awaits, d.Addr) }) {
		return ""
	}
	if part := m.choice.Part(d); part != "" {
		return "; of its instances only " + part
	}
	return ""
}

// OutcomeOf is what a decision means to the stages that depend on it.
func OutcomeOf(s *Step) Outcome {
	switch {
	case s.Action == Blocked:
		return Outcome{State: Closed, Blame: blame(s)}
	case s.Known:
		return Outcome{State: Ready, Results: s.Results, Outputs: s.Stage.Job.Outputs}
	}
	return Outcome{State: Pending, Doubtful: s.doubtful}
}

// Wanted returns the stages and deferred blocks that were chosen, and all that
// they need.
func Wanted(stages []*config.Stage, deferred []config.Deferred, c Choice) (map[addr.Address]bool, []config.Deferred) {
	chosen := make(map[addr.Address]bool, len(stages))
	at := make(map[addr.Address]config.Deferred, len(deferred))
	for _, d := range deferred {
		at[d.Addr] = d
	}
	blocks := map[addr.Address]bool{}
	var want func(addr.Address)
	want = func(a addr.Address) {
		if blocks[a] {
			return
		}
		blocks[a] = true
		for _, n := range at[a].Needs {
			chosen[n] = true
		}
		for _, b := range at[a].Awaits {
			want(b)
		}
	}
	for _, d := range deferred {
		if c.Blocks == nil || c.Blocks(d) {
			want(d.Addr)
		}
	}
	for _, st := range slices.Backward(stages) {
		if c.Stages != nil && !c.Stages(st.Addr) && !chosen[st.Addr] {
			continue
		}
		chosen[st.Addr] = true
		for _, d := range st.Deps {
			chosen[d] = true
		}
		for _, b := range st.Awaits {
			want(b)
		}
	}
	return chosen, slices.DeleteFunc(slices.Clone(deferred), func(d config.Deferred) bool { return !blocks[d.Addr] })
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
	f.Unknown += p.Later()
	longest := map[addr.Address]time.Duration{} // of stages that take, or wait for, some time
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
		if end := before + own; end > 0 {
			longest[s.Addr] = end
			f.CriticalPath = max(f.CriticalPath, end)
		}
		if s.Action == Restore {
			f.RestoreBytes += s.RestoreBytes
		}
	}
	return nil
}
