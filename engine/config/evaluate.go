package config

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

// evaluation evaluates the pipeline against some results. The one with no
// results is the base: it decides which instances there are and where their
// outputs lie. Where results decide which there are, a further base is made with
// those settled; see Expand. An evaluation with results
// takes over from the base whatever had no unknowns in it, and keeps the rest
// to itself, so that the base can be shared between goroutines.
//
// Values are computed once and only when something mentions them; a context
// holds the names that are mentioned and no others. So the work is linear in
// the text and the number of instances.
type evaluation struct {
	p         *Pipeline
	results   Results
	base      *evaluation            // nil in the base
	matter    map[addr.Address]bool  // whose results matter; nil: all
	frames    map[addr.Module]*frame // instances of modules
	instances map[*module][]*frame
	root      *frame                       // the project itself
	functions map[string]function.Function // made when needed
	diags     hcl.Diagnostics

	// Of a base: the stages whose results it was made with, the base that was
	// made with fewer, what is new, and what is still deferred.
	settled  map[addr.Address]settledResult
	earlier  *evaluation
	learnt   *learnt
	deferred []Deferred
}

func newEvaluation(p *Pipeline, r Results, base *evaluation) *evaluation {
	return (&evaluation{results: r, base: base}).of(p)
}

func (ev *evaluation) of(p *Pipeline) *evaluation {
	ev.p, ev.frames, ev.instances = p, map[addr.Module]*frame{}, map[*module][]*frame{}
	ev.root = newFrame(ev, p.module, addr.Module{}, nil, addr.Key{})
	return ev
}

// instance is what is known about one instance.
type instance struct {
	stage   *Stage
	outputs []outputMark // in the order that the stage type gives
	dynamic bool         // something in it depends on metrics
	failed  bool
	// unknown is its value without metrics. It is shared: with thousands of
	// instances, a value that refers to one of them still has them all.
	unknown atomic.Pointer[cty.Value]
}

// evaluateBase evaluates everything with no results.
func (p *Pipeline) evaluateBase() *evaluation {
	p.once.Do(func() {
		p.evaluate(&evaluation{})
	})
	return p.base
}

// evaluate makes the base.
func (p *Pipeline) evaluate(ev *evaluation) {
	ev.of(p)
	if !p.failed {
		for _, blocks := range p.ranks {
			var todo []pending
			for _, b := range blocks {
				for _, f := range ev.framesOf(b.mod) {
					todo = append(todo, f.begin(b)...)
				}
			}
			ev.resolve(todo)
		}
		for _, b := range p.order {
			for _, f := range ev.framesOf(b.mod) {
				for _, in := range f.expansion(b).instances {
					p.placed = append(p.placed, placed{b, in})
				}
			}
		}
		ev.remainder()
		ev.diags = append(ev.diags, p.checkPaths()...)
		ev.diags = p.checkMissing(ev.diags, p.checkReads())
		ev.diags = append(ev.diags, ev.checkKinds()...)
	}
	p.baseDiags = tidy(append(ev.diags, p.faults.all()...))
	p.base = ev
}

// remainder evaluates what no stage needs, for the sake of its mistakes.
func (ev *evaluation) remainder() {
	for _, m := range ev.p.tree {
		for _, f := range ev.framesOf(m) {
			for _, name := range mapKeys(m.locals) {
				f.local(name)
			}
			if f.up == nil {
				continue
			}
			for _, name := range mapKeys(m.vars) {
				f.variable(name)
			}
			for _, o := range m.outputs {
				f.output(o)
			}
		}
	}
}

// placed is an instance and the block that it comes from.
type placed struct {
	b  *block
	in *instance
}

// Stages returns all instances, dependencies first, in an order that depends
// on the files alone. If there are errors, stages that have none are still
// right. What is wrong only with the results is told of the stage that reads
// them.
func (p *Pipeline) Stages(r Results) ([]*Stage, hcl.Diagnostics) {
	base := p.evaluateBase()
	ev := newEvaluation(p, r, base)
	stages := make([]*Stage, 0, len(p.placed))
	for _, at := range p.placed {
		if in := at.in; !in.dynamic || in.failed || p.baseDiags.HasErrors() {
			stages = append(stages, in.stage)
			continue
		}
		before := len(ev.diags)
		st := ev.resolved(at.in)
		if len(st.Mistakes) > 0 {
			ev.diags = ev.diags[:before]
		} else if st.Job == nil {
			// What is wrong was told of another stage that needs the same.
			st, _ = p.Resolve(st.Addr, r)
		}
		stages = append(stages, st)
	}
	reads, faults := p.checkReads(), p.faults.all()
	if len(ev.diags)+len(reads)+len(faults) == 0 {
		return stages, p.baseDiags
	}
	return stages, tidy(append(p.checkMissing(append(ev.diags, p.baseDiags...), reads), faults...))
}

// Resolve returns one instance, nil if there is none of this address. It costs
// what evaluating that instance costs, and nothing if metrics do not matter
// to it.
func (p *Pipeline) Resolve(a addr.Address, r Results) (*Stage, hcl.Diagnostics) {
	base := p.evaluateBase()
	in := base.instance(a)
	if in == nil {
		return nil, nil
	}
	if !in.dynamic || in.failed {
		return in.stage, nil
	}
	ev := p.evaluationFor(in, r)
	st := ev.resolved(in)
	if len(st.Mistakes) > 0 {
		ev.diags = nil
	}
	return st, tidy(append(ev.diags, p.faults.all()...))
}

// resolved is an instance of the base with what is known of results. If these
// are no good for it, its Mistakes say so; if it has neither these nor a Job, the
// evaluation has told what is wrong before.
func (ev *evaluation) resolved(base *instance) *Stage {
	a := base.stage.Addr
	before := len(ev.diags)
	in := ev.admit(ev.frame(a.Module).resolve(ev.p.block(a), a, base))
	own := ev.diags[before:]
	if !in.failed || !own.HasErrors() {
		return in.stage
	}
	st := *base.stage
	st.When, st.Deps, st.Mistakes = in.stage.When, in.stage.Deps, tidy(slices.Clone(own))
	return &st
}

// evaluationFor is an evaluation that is about one instance of the base.
func (p *Pipeline) evaluationFor(in *instance, r Results) *evaluation {
	ev := newEvaluation(p, r, p.base)
	ev.matter = make(map[addr.Address]bool, len(in.stage.Deps))
	for _, d := range in.stage.Deps {
		ev.matter[d] = true
	}
	return ev
}

// Outputs evaluates the output blocks, sorted by name; of a pipeline with
// mistakes, none. One that the results known so far are no good for has Mistakes;
// the diagnostics are of all.
func (p *Pipeline) Outputs(r Results) ([]Output, hcl.Diagnostics) {
	base := p.evaluateBase()
	if p.failed || p.baseDiags.HasErrors() {
		return nil, p.baseDiags
	}
	ev := newEvaluation(p, r, base)
	var outs []Output
	for _, o := range p.outputs {
		before := len(ev.diags) // what it is made from may be wrong: a local, an output of a module
		v, diags := o.expr.Value(ev.root.context(&o.scope))
		if diags.HasErrors() {
			ev.diags = append(ev.diags, p.improve(diags)...)
		}
		if own := ev.diags[before:]; own.HasErrors() {
			outs = append(outs, Output{
				Name: o.name, Value: cty.DynamicVal, Sensitive: o.sensitive, Description: o.description, Range: o.Range, Mistakes: tidy(slices.Clone(own)),
			})
			continue
		}
		v, f := strip(v)
		outs = append(outs, Output{
			Name: o.name, Value: plainNumbers(v), Sensitive: o.sensitive || f.sensitive,
			Description: o.description, Deps: sorted(f.instances), Range: o.Range,
		})
	}
	return outs, tidy(append(p.checkMissing(ev.diags, p.checkReads()), p.faults.all()...))
}

// instance returns the base's instance, nil if there is none.
func (ev *evaluation) instance(a addr.Address) *instance {
	f := ev.frames[a.Module]
	if f == nil {
		return nil
	}
	if e := f.expansions[a.Block()]; e != nil {
		return e.instance(a.Key)
	}
	return nil
}

func (f *frame) local(name string) cty.Value {
	if v, ok := f.locals[name]; ok {
		return v
	}
	if base := f.base(); base != nil {
		if v := base.locals[name]; v.IsWhollyKnown() {
			return v
		}
	}
	l := f.mod.locals[name]
	v, diags := l.expr.Value(f.context(&l.scope))
	if diags.HasErrors() {
		f.ev.diags = append(f.ev.diags, f.ev.p.improve(diags)...)
		v = broken()
	}
	f.locals[name] = v
	return v
}

// block returns the value of all instances of a block: the instance itself,
// an object of them by key, or a tuple.
func (f *frame) block(a node) cty.Value {
	if v, ok := f.values[a]; ok {
		return v
	}
	v := f.buildBlock(a, f.expansion(f.mod.blocks[a]))
	f.values[a] = v
	return v
}

func (f *frame) buildBlock(a node, e *expansion) cty.Value {
	switch {
	case e.failed:
		return broken()
	case e.deferred != nil:
		return e.deferred.value()
	}
	instances := e.instances
	if base := f.base(); base != nil {
		if !f.ev.news(base, a, instances) {
			return base.baseBlock(a, e)
		}
	}
	switch e.kind {
	case single:
		return f.ev.instanceValue(instances[0])
	case counted:
		values := make([]cty.Value, len(instances))
		for i, in := range instances {
			values[i] = f.ev.instanceValue(in)
		}
		return cty.TupleVal(values)
	}
	values := make(map[string]cty.Value, len(instances))
	for _, in := range instances {
		values[in.stage.Addr.Key.Text()] = f.ev.instanceValue(in)
	}
	return cty.ObjectVal(values)
}

// news reports whether a metric of the instances matters and is known.
func (ev *evaluation) news(base *frame, a node, instances []*instance) bool {
	known := func(in *instance) bool {
		_, ok := ev.metrics(in.stage.Addr)
		return ok
	}
	if ev.matter == nil || len(instances) <= len(ev.matter) {
		return slices.ContainsFunc(instances, known)
	}
	e := base.expansions[a]
	for d := range ev.matter {
		if d.Module == base.at && d.Block() == a {
			if in := e.instance(d.Key); in != nil && known(in) {
				return true
			}
		}
	}
	return false
}

// metrics are the results of a stage as far as they matter.
func (ev *evaluation) metrics(a addr.Address) (stage.Metrics, bool) {
	if s, ok := cmp.Or(ev.base, ev).settled[a]; ok {
		return s.metrics, true
	}
	if ev.base == nil || ev.matter != nil && !ev.matter[a] {
		return nil, false
	}
	return ev.results.Metrics(a)
}

// content is what a stage has written as an output, as far as it matters; nil:
// that is not known.
func (ev *evaluation) content(o outputMark) Content {
	if s, ok := cmp.Or(ev.base, ev).settled[o.addr]; ok {
		return s.outputs[o.output]
	}
	if ev.base == nil || ev.matter != nil && !ev.matter[o.addr] {
		return nil
	}
	return ev.results.Content(o.addr, o.output)
}

// baseBlock returns the base's value if it was needed in the base, else builds
// it without keeping it: the base does not change any more.
func (f *frame) baseBlock(a node, e *expansion) cty.Value {
	if v, ok := f.values[a]; ok {
		return v
	}
	return f.buildBlock(a, e)
}

func (ev *evaluation) instanceValue(in *instance) cty.Value {
	if in.failed {
		return broken()
	}
	m, ok := ev.metrics(in.stage.Addr)
	ok = ok || in.measuresNothing()
	if v := in.unknown.Load(); v != nil && !ok {
		return *v
	}
	attrs := in.attributes()
	attrs["metrics"] = cty.DynamicVal
	if ok {
		attrs["metrics"] = metricsValue(m)
	}
	v := cty.ObjectVal(attrs).Mark(instanceMark{in.stage.Addr})
	if !ok {
		in.unknown.Store(&v)
	}
	return v
}

// measuresNothing reports whether the instance will have no metrics whatever it
// does: it would write them to files, and names none, nor may it when the metrics
// of others are known.
func (in *instance) measuresNothing() bool {
	_, ok := in.stage.Type.(stage.Measurer)
	return ok && !in.dynamic && in.stage.Job != nil && len(in.stage.Job.MetricsFiles) == 0
}

// attributes are what a reference to the instance can name, without metrics.
func (in *instance) attributes() map[string]cty.Value {
	outputs := outputValues(in.outputs)
	attrs := make(map[string]cty.Value, len(outputs)+4)
	for name, v := range outputs {
		attrs[name] = v
	}
	attrs["outputs"] = cty.ObjectVal(outputs)
	attrs["address"] = cty.StringVal(in.stage.Addr.String())
	// Of several outputs none stands for the stage: a model trained on the part
	// that sorts first, which is called test, would be a mistake without a word.
	if len(in.outputs) == 1 {
		attrs["path"] = outputs[in.outputs[0].output].GetAttr("path")
	}
	return attrs
}

// outputValues makes an object of each output, marked.
func outputValues(outputs []outputMark) map[string]cty.Value {
	values := make(map[string]cty.Value, len(outputs))
	for _, o := range outputs {
		values[o.output] = cty.ObjectVal(map[string]cty.Value{"path": cty.StringVal(o.path)}).Mark(o)
	}
	return values
}

// metricsValue makes a value of metrics. What is not a number is null.
func metricsValue(m stage.Metrics) cty.Value { return valueOf(map[string]any(m)) }

// isStage tells a stage's object from others by its attributes, which no
// other value of flow's has together.
func isStage(v cty.Value) bool {
	t := v.Type()
	return t.IsObjectType() && t.HasAttribute("address") && t.HasAttribute("outputs") && t.HasAttribute("metrics")
}
