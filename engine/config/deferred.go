package config

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Deferred is a block with for_each or count, or a module with one, whose
// instances are not known until stages have run.
type Deferred struct {
	// Addr is the block's address in its module, or the module's, without a
	// key.
	Addr addr.Address
	// Needs are the stages whose results say which instances there are, sorted;
	// those of blocks that are deferred themselves are not known and not
	// among them. Awaits are those blocks, sorted.
	Needs, Awaits []addr.Address
	// Effects are the blocks among what is deferred that act outside of the
	// project, sorted.
	Effects []addr.Address
	// Range is that of for_each or count.
	Range hcl.Range
	// Mistakes are what is wrong with the instances that the results would
	// give: a list that is none, or two that would write one file. Then there
	// are none until the results, or the pipeline, are others.
	Mistakes hcl.Diagnostics
}

// Covers reports whether a could be an instance, or be in one.
func (d Deferred) Covers(a addr.Address) bool { return a.Within(d.Addr) }

// String names all instances: train.shard[*].
func (d Deferred) String() string { return d.Addr.String() + "[*]" }

// Local is the same within its module: shard[*] of exec is exec.shard[*].
func (d Deferred) Local() string {
	if !d.Addr.IsModule() {
		return d.Addr.Local().String() + "[*]"
	}
	steps := d.Addr.Module.Steps()
	return addr.Module{}.Child(steps[len(steps)-1].Name, addr.Key{}).String() + "[*]"
}

// wait makes e the expansion of what is not known yet, or, after an error, one
// that has failed.
func (e *expansion) wait(at addr.Address, expr hcl.Expression, waits *found) {
	if waits == nil || at.IsZero() {
		e.failed = true
		return
	}
	e.deferred = &Deferred{Addr: at, Needs: sorted(waits.instances), Awaits: sorted(waits.awaits), Range: expr.Range()}
}

// value stands for the instances of what is not known yet.
func (d *Deferred) value() cty.Value {
	marks := cty.NewValueMarks(deferredMark{d.Addr})
	for _, a := range d.Needs {
		marks[instanceMark{a}] = struct{}{}
	}
	for _, a := range d.Awaits {
		marks[deferredMark{a}] = struct{}{}
	}
	return cty.DynamicVal.WithMarks(marks)
}

// Deferred returns what is not expanded, sorted by address.
func (p *Pipeline) Deferred() []Deferred {
	all := slices.Clone(p.evaluateBase().deferred)
	slices.SortFunc(all, func(a, b Deferred) int { return addr.Compare(a.Addr, b.Addr) })
	for i := range all {
		all[i].Effects = p.effects(all[i])
		all[i].Mistakes = p.refused[all[i].Addr]
	}
	return all
}

func (p *Pipeline) effects(d Deferred) []addr.Address {
	var all []addr.Address
	for _, b := range p.order {
		if b.typ.schema.Effect && (d.Addr.Block() == b.addr || d.Addr.IsModule() && b.addr.Module.Within(d.Addr.Module.Declared())) {
			all = append(all, b.addr)
		}
	}
	slices.SortFunc(all, addr.Compare)
	return all
}

// Expand returns the pipeline with all instances that r lets be known: those of
// a deferred block are if the results of all stages that its for_each or count
// was made from are in r, which then count as settled for good. It is p itself
// if there are none. What had no part in it is taken over as it was, so that
// the cost is that of the new instances and of what mentions their block. A block
// whose instances would make the pipeline wrong stays as it is, with these
// mistakes, so that the rest of the pipeline is of use. If blocks are named, no
// others are expanded, and those that were refused before are tried again.
func (p *Pipeline) Expand(r Results, only ...addr.Address) *Pipeline {
	if len(only) > 0 && len(p.refused) > 0 {
		p = p.refusing(func(refused map[addr.Address]hcl.Diagnostics) {
			for _, a := range only {
				delete(refused, a)
			}
		})
	}
	for {
		next := p.expandOnce(r, only)
		if next == p {
			return p
		}
		p = next
	}
}

func (p *Pipeline) expandOnce(r Results, only []addr.Address) *Pipeline {
	base := p.evaluateBase()
	n := &learnt{settled: map[addr.Address]bool{}, blocks: map[addr.Address]bool{}}
	var tried []addr.Address
	settled := map[addr.Address]settledResult{}
	for a, s := range base.settled {
		settled[a] = s
	}
	for _, d := range base.deferred {
		if p.baseDiags.HasErrors() || len(d.Awaits) > 0 || p.refused[d.Addr] != nil || len(only) > 0 && !slices.Contains(only, d.Addr) || slices.ContainsFunc(d.Needs, func(a addr.Address) bool { _, ok := r.Metrics(a); return !ok }) {
			continue
		}
		n.blocks[d.Addr] = true
		tried = append(tried, d.Addr)
		for _, a := range d.Needs {
			if _, ok := settled[a]; !ok {
				n.settled[a] = true
				settled[a] = base.settle(a, r)
			}
		}
	}
	if len(n.blocks) == 0 {
		return p
	}
	told := len(p.faults.all())
	next := &Pipeline{text: p.text, refused: p.refused}
	next.once.Do(func() { next.evaluate(&evaluation{settled: settled, earlier: base, learnt: n}) })
	if next.baseDiags.HasErrors() {
		_ = p.faults.since(told) // forget them: next is not what there is
		if len(tried) == 1 {
			return p.refusing(func(refused map[addr.Address]hcl.Diagnostics) { refused[tried[0]] = next.baseDiags })
		}
		for _, a := range tried { // the others are right, perhaps
			p = p.expandOnce(r, []addr.Address{a})
		}
		return p
	}
	same := func(a, b Deferred) bool { return a.Addr == b.Addr && slices.Equal(a.Needs, b.Needs) }
	if slices.EqualFunc(base.deferred, next.base.deferred, same) {
		return p
	}
	return next
}

// refusing is p with other blocks among those refused.
func (p *Pipeline) refusing(change func(refused map[addr.Address]hcl.Diagnostics)) *Pipeline {
	refused := maps.Clone(p.refused)
	if refused == nil {
		refused = map[addr.Address]hcl.Diagnostics{}
	}
	change(refused)
	other := &Pipeline{text: p.text, base: p.base, baseDiags: p.baseDiags, placed: p.placed, written: p.written, refused: refused}
	other.once.Do(func() {}) // it is evaluated
	return other
}

// BlockAt returns the block that a place of the pipeline's files is in.
func (p *Pipeline) BlockAt(rng hcl.Range) (addr.Address, bool) {
	f := p.files[rng.Filename]
	if f == nil {
		return addr.Address{}, false
	}
	body, _ := f.Body.(*hclsyntax.Body)
	if body == nil {
		return addr.Address{}, false
	}
	i := slices.IndexFunc(body.Blocks, func(b *hclsyntax.Block) bool {
		return b.Range().Start.Byte <= rng.Start.Byte && rng.End.Byte <= b.Range().End.Byte
	})
	if i < 0 {
		return addr.Address{}, false
	}
	for _, b := range p.order {
		if b.Range == body.Blocks[i].DefRange() {
			return b.addr, true
		}
	}
	return addr.Address{}, false
}

// Settled reports whether instances are known from the results of a stage.
func (p *Pipeline) Settled(a addr.Address) bool {
	_, ok := p.evaluateBase().settled[a]
	return ok
}

// Text is what stands at a place of the pipeline's files.
func (p *Pipeline) Text(rng hcl.Range) string { return p.source(rng) }

// settledResult is what a stage has come to, for good.
type settledResult struct {
	metrics stage.Metrics
	outputs map[string]Content
}

func (ev *evaluation) settle(a addr.Address, r Results) settledResult {
	s := settledResult{outputs: map[string]Content{}}
	s.metrics, _ = r.Metrics(a)
	if in := ev.instance(a); in != nil {
		for _, o := range in.outputs {
			if c := r.Content(a, o.output); c != nil {
				s.outputs[o.output] = c
			}
		}
	}
	return s
}

// learnt is what a base knows more than the one before it.
type learnt struct {
	settled map[addr.Address]bool // stages
	blocks  map[addr.Address]bool // what may be expanded now
}

// concerns reports whether an expansion may be another one now.
func (n *learnt) concerns(e *expansion) bool {
	return e.failed || e.dynamic || e.deferred != nil && (n.blocks[e.deferred.Addr] || n.any(nil, e.deferred.Awaits))
}

// changes reports whether an instance is to be evaluated again.
func (n *learnt) changes(in *instance) bool {
	return !in.failed && (n.any(nil, in.stage.Awaits) || in.dynamic && n.any(in.stage.Deps, nil))
}

func (n *learnt) any(stages, blocks []addr.Address) bool {
	return slices.ContainsFunc(stages, func(a addr.Address) bool { return n.settled[a] }) ||
		slices.ContainsFunc(blocks, func(a addr.Address) bool { return n.blocks[a] })
}

// expansion returns that of a block or module, nil if there is none.
func (ev *evaluation) expansion(at addr.Address) *expansion {
	if ev == nil {
		return nil
	}
	if at.IsModule() {
		steps := at.Module.Steps()
		var up addr.Module
		for _, s := range steps[:len(steps)-1] {
			up = up.Child(s.Name, s.Key)
		}
		if f := ev.frames[up]; f != nil {
			return f.expansions[node{Module: at.Module.Declared()}]
		}
		return nil
	}
	if f := ev.frames[at.Module]; f != nil {
		return f.expansions[at.Block()]
	}
	return nil
}
