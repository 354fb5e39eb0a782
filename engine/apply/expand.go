package apply

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/config"
	"github.com/flow-pipelines/flow/engine/event"
	"github.com/flow-pipelines/flow/engine/executor"
	"github.com/flow-pipelines/flow/engine/plan"
	"github.com/flow-pipelines/flow/engine/schedule"
)

// fan is a block whose instances are not known yet. When the stages that tell
// them have finished, its instances become nodes; until then the stages that
// use them wait for it as for a stage.
type fan struct {
	config.Deferred
	needs   int     // unfinished stages among Needs
	waiting []*node // stages that await it
	over    bool    // it was expanded, or never will be
	count   string  // the name it is counted under; "" if it was expanded
}

// pipeline is what is carried out, as far as it is expanded.
func (a *apply) pipeline() *config.Pipeline {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.expanded
}

// choose finds out what the user wants of the pipeline as it is now.
func (a *apply) choose(p *config.Pipeline, stages []*config.Stage) (map[addr.Address]bool, []config.Deferred, error) {
	var c plan.Choice
	deferred := p.Deferred()
	if a.Choose != nil {
		var err error
		if c, err = a.Choose(stages, deferred); err != nil {
			return nil, nil, err
		}
	}
	a.mu.Lock()
	a.rerun = c.Rerun
	a.mu.Unlock()
	wanted, blocks := plan.Wanted(stages, deferred, c)
	return wanted, blocks, nil
}

// forced is plan.Options.Rerun with what is known of the pipeline now.
func (a *apply) forced(at addr.Address) string {
	a.mu.Lock()
	rerun := a.rerun
	a.mu.Unlock()
	if rerun == nil {
		return ""
	}
	return rerun(at)
}

// next returns a block that can be expanded now, nil if there is none.
func (s *scheduler) next(ctx context.Context) *fan {
	for _, f := range s.fans {
		if !f.over && f.needs == 0 && !s.stopping && ctx.Err() == nil && (len(f.Awaits) == 0 || s.closed(f) != "") {
			return f
		}
	}
	return nil
}

// closed says why a block will not be expanded though all has finished.
func (s *scheduler) closed(f *fan) string {
	for _, a := range f.Needs {
		if up := s.byAddr[a]; up != nil && up.outcome.State == plan.Closed {
			return fmt.Sprintf("%s is blocked: %s", up.outcome.Blame.Addr, up.outcome.Blame.Why)
		}
	}
	return ""
}

// expand makes the instances of a block nodes.
func (s *scheduler) expand(ctx context.Context, f *fan) error {
	f.over = true
	if why := s.closed(f); why != "" {
		s.emit(event.Event{Kind: event.Skipped, Addr: f.Addr, Text: why})
		for _, n := range f.waiting {
			s.arrive(n) // its own decision tells that it is blocked
		}
		return nil
	}
	p := s.pipeline().Expand(s, f.Addr)
	for _, d := range p.Deferred() {
		switch {
		case d.Addr != f.Addr:
		case len(d.Mistakes) > 0:
			s.refuse(f, d)
			return nil
		case len(d.Awaits) == 0:
			s.giveUp(f, failf("%s is not known though all that it is made from has finished", p.Text(f.Range)))
			return nil
		}
	}
	stages, diags := p.Stages(config.NoResults{})
	if diags.HasErrors() {
		s.giveUp(f, mistake(diags))
		return nil
	}
	wanted, blocks, err := s.choose(p, stages)
	if err != nil {
		s.giveUp(f, failf("%v", err))
		return nil
	}
	s.mu.Lock()
	s.expanded = p
	s.mu.Unlock()
	s.secrets.Store(executor.NewSecrets(p.Secrets()))
	return s.adopt(ctx, f, stages, wanted, blocks)
}

// refuse settles a block whose instances would make the pipeline wrong. If the
// mistake is in the text of a stage that uses them, that stage fails.
func (s *scheduler) refuse(f *fan, d config.Deferred) {
	err := mistake(d.Mistakes)
	e := &err.(*failure).event //nolint:errorlint // made here
	if place := d.Mistakes[0].Subject; place != nil {
		at, _ := s.pipeline().BlockAt(*place)
		if n := s.byAddr[at]; n != nil && n.status == waiting && at != f.Addr {
			s.settleMistake(n, *e)
			why := at.String() + " failed"
			s.emit(event.Event{Kind: event.Skipped, Addr: f.Addr, Text: why})
			s.drop(f, why)
			return
		}
	}
	e.Hints = []string{plan.Remedy(d.Needs)}
	s.giveUp(f, err)
}

// settleMistake fails a stage that waits still: its text is wrong, as is known
// now.
func (s *scheduler) settleMistake(n *node, e event.Event) {
	e.Kind, e.Addr = event.Failed, n.step.Addr
	s.emit(e)
	_ = s.settle(result{node: n, step: n.step, count: Failed}) // has an error only where something was done
}

// giveUp settles a block that cannot be expanded.
func (s *scheduler) giveUp(f *fan, err error) {
	e := err.(*failure).event //nolint:errorlint // made here
	e.Kind, e.Addr, e.Action = event.Failed, f.Addr, event.Expand
	s.emit(e)
	s.failed = append(s.failed, f.Addr)
	f.count = Failed
	s.drop(f, fmt.Sprintf("%s failed", f))
	if !s.KeepGoing {
		s.stopping = true
	}
}

// drop settles a block that will not be expanded, as skipped if it has not failed,
// and what waits for it.
func (s *scheduler) drop(f *fan, why string) {
	f.over = true
	f.count = cmp.Or(f.count, Skipped)
	for _, n := range f.waiting {
		s.pass(n, why)
	}
	for _, other := range s.fans {
		if !other.over && slices.Contains(other.Awaits, f.Addr) {
			s.emit(event.Event{Kind: event.Skipped, Addr: other.Addr, Text: why})
			s.drop(other, why)
		}
	}
}

// adopt takes in the stages there are now.
func (s *scheduler) adopt(ctx context.Context, expanded *fan, stages []*config.Stage, wanted map[addr.Address]bool, blocks []config.Deferred) error {
	for _, d := range blocks {
		s.fan(d.Addr).Deferred = d
	}
	var fresh []addr.Address
	var touched []*node
	for _, st := range stages {
		n := s.byAddr[st.Addr]
		switch {
		case n == nil && wanted[st.Addr]:
			n = &node{step: &plan.Step{Addr: st.Addr, Stage: st, Action: plan.Defer}}
			s.nodes = append(s.nodes, n)
			s.byAddr[st.Addr] = n
			fresh = append(fresh, st.Addr)
			touched = append(touched, n)
			s.link(n, st.Deps, st.Awaits)
		case n != nil && n.status == waiting && len(n.step.Stage.Awaits) > 0:
			old := n.step.Stage
			step := *n.step
			step.Stage, step.Action = st, plan.Defer
			n.step, n.untouched = &step, false
			touched = append(touched, n)
			if !wanted[st.Addr] {
				s.pass(n, "it needs what was left out")
				continue
			}
			s.link(n, without(st.Deps, old.Deps), without(st.Awaits, old.Awaits))
		}
	}
	usual, err := s.World.Usual(ctx, fresh)
	if err != nil {
		return err
	}
	for _, a := range fresh {
		s.byAddr[a].step.Usual = usual[a]
	}
	s.rank(stages)
	for _, f := range s.fans {
		switch {
		case f.over && f != expanded:
		case slices.ContainsFunc(blocks, func(d config.Deferred) bool { return d.Addr == f.Addr }):
			s.watch(f)
		default: // expanded is, and perhaps others that it was made of
			f.over = true
			n := 0
			for _, a := range fresh {
				if f.Covers(a) {
					n++
				}
			}
			s.emit(event.Event{Kind: event.Expanded, Addr: f.Addr, Total: int64(n)})
			for _, n := range f.waiting {
				s.arrive(n)
			}
		}
	}
	for _, n := range touched {
		if n.needs == 0 && n.status == waiting {
			s.set(n, ready)
		}
	}
	return nil
}

func without(as, others []addr.Address) []addr.Address {
	return slices.DeleteFunc(slices.Clone(as), func(a addr.Address) bool { return slices.Contains(others, a) })
}

// link lets n wait for stages and blocks.
func (s *scheduler) link(n *node, deps, awaits []addr.Address) {
	for _, d := range deps {
		up := s.byAddr[d]
		switch {
		case up == nil:
		case up.status < finished:
			up.dependents = append(up.dependents, n)
			n.needs++
		case up.failed():
			s.pass(n, d.String()+" did not finish")
		}
	}
	for _, b := range awaits {
		f := s.fan(b)
		f.waiting = append(f.waiting, n)
		n.needs++
	}
}

// fan returns the block of this address.
func (s *scheduler) fan(a addr.Address) *fan {
	i := slices.IndexFunc(s.fans, func(f *fan) bool { return f.Addr == a })
	if i < 0 {
		i = len(s.fans)
		s.fans = append(s.fans, &fan{Deferred: config.Deferred{Addr: a}})
	}
	return s.fans[i]
}

// watch counts what a block waits for.
func (s *scheduler) watch(f *fan) {
	f.needs = 0
	for _, a := range f.Needs {
		up := s.byAddr[a]
		switch {
		case up == nil:
		case up.status < finished:
			f.needs++
			if !slices.Contains(up.fans, f) {
				up.fans = append(up.fans, f)
			}
		case up.failed():
			s.drop(f, a.String()+" did not finish")
			return
		}
	}
}

// rank orders all nodes anew: those that were added may be the longest way.
func (s *scheduler) rank(stages []*config.Stage) {
	var nodes []*node
	var steps []*plan.Step
	for _, st := range stages {
		if n := s.byAddr[st.Addr]; n != nil {
			nodes, steps = append(nodes, n), append(steps, n.step)
		}
	}
	for i, remaining := range schedule.Remaining(steps) {
		nodes[i].remaining, nodes[i].order = remaining, i
	}
	heap.Init(&s.ready)
}
