package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

// blockContext is the context that all instances of a block share.
func (f *frame) blockContext(b *block) *hcl.EvalContext {
	ctx := f.contexts[b.addr]
	if ctx == nil {
		ctx = f.context(&b.inner)
		f.contexts[b.addr] = ctx
	}
	return ctx
}

// instanceContext adds each, count and, if the outputs are known, self.
func (f *frame) instanceContext(b *block, a addr.Address, outputs []outputMark) *hcl.EvalContext {
	parent := f.blockContext(b)
	if a.Key.IsZero() && len(b.self) == 0 {
		return parent
	}
	ctx := parent.NewChild()
	ctx.Variables = f.expansion(b).names(a.Key)
	if len(b.self) > 0 {
		self := outputValues(outputs)
		self["outputs"] = cty.ObjectVal(maps.Clone(self))
		self["address"] = cty.StringVal(a.String())
		if len(outputs) == 1 {
			self["path"] = cty.StringVal(outputs[0].path).Mark(outputs[0])
		}
		ctx.Variables["self"] = cty.ObjectVal(self)
	}
	return ctx
}

// resolve evaluates one instance. before is what the base found, nil in the
// base itself. Once the block has its context, instances can be resolved
// concurrently.
func (f *frame) resolve(b *block, a addr.Address, before *instance) (*instance, hcl.Diagnostics) {
	e := newEncoder(f, b, a, nil)
	in := e.resolve(before)
	return in, e.diags
}

func (e *encoder) resolve(before *instance) *instance {
	b, a := e.b, e.addr
	s := &Stage{Addr: a, Type: b.typ.typ, Schema: b.typ.schema, Range: b.Range}
	in := &instance{stage: s, failed: true}
	switch {
	case before != nil:
		in.outputs = before.outputs
	case len(b.self) > 0:
		outputs, ok := e.ownOutputs()
		if !ok {
			return in
		}
		in.outputs = outputs
	}
	e.ctx = e.f.instanceContext(b, a, in.outputs)
	e.arguments(nil)
	e.options(s)
	e.finish(s)
	if before != nil {
		for _, d := range before.stage.Deps {
			e.found.instance(d)
		}
		s.Deps = sorted(e.found.instances)
	}
	if e.failed {
		return in
	}
	job, ok := e.job(s.Args)
	if !ok {
		return in
	}
	outputs, ok := e.outputsOf(job)
	if !ok {
		return in
	}
	if e.rules(s, outputs); e.failed {
		return in
	}
	s.Job, in.outputs = job, outputs
	in.failed, in.dynamic = false, e.dynamic
	return in
}

// ownOutputs asks the stage type where the outputs will lie, before the
// arguments that mention them (self.…) are evaluated: to it these look like
// arguments that are not known yet, on which outputs may not depend. What was
// evaluated stays.
func (e *encoder) ownOutputs() ([]outputMark, bool) {
	e.ctx = e.f.instanceContext(e.b, e.addr, nil)
	e.arguments(e.b.self)
	if e.failed {
		return nil, false
	}
	job, ok := e.job(canonical(e.args))
	if !ok {
		return nil, false
	}
	e.names.unknown = slices.DeleteFunc(e.names.unknown, func(name string) bool { return slices.Contains(e.b.self, name) })
	return e.outputsOf(job)
}

// job has the stage type make a job of its arguments.
func (e *encoder) job(args json.RawMessage) (*stage.Job, bool) {
	job, err := e.b.typ.typ.Job(e.request(args))
	if err != nil {
		e.diags = append(e.diags, e.ev.p.diagnose(e.addr, err, e.names.sensitive)...)
		return nil, false
	}
	return job, true
}

// outputsOf checks a job's outputs.
func (e *encoder) outputsOf(job *stage.Job) ([]outputMark, bool) {
	var outputs []outputMark
	fail := func(name, summary, detail string, args ...any) bool {
		rng := e.ev.p.ArgRange(e.addr, "outputs."+name)
		e.diags = append(e.diags, errorAt(rng, summary, fmt.Sprintf(detail, args...)))
		return false
	}
	ok := true
	for i := range job.Outputs {
		o := &job.Outputs[i]
		clean, problem := projectPath(o.Path)
		if problem == "" {
			problem = e.ev.p.reservedPath(clean)
		}
		switch {
		case !addr.IsName(o.Name):
			ok = fail(o.Name, fmt.Sprintf("%q is not a name for an output", o.Name), "An output's name starts with a letter and holds letters, digits, _ and -.")
			continue
		case problem != "":
			ok = fail(o.Name, fmt.Sprintf("The output %q cannot be at %q", o.Name, o.Path), "An output is a file or directory in the project: %s.", problem)
			continue
		case slices.ContainsFunc(outputs, func(m outputMark) bool { return m.output == o.Name }):
			ok = fail(o.Name, fmt.Sprintf("Two outputs are called %q", o.Name), "The outputs of a stage have different names.")
			continue
		}
		o.Path = clean
		outputs = append(outputs, outputMark{e.addr, o.Name, clean})
	}
	return outputs, ok
}

// reservedPath says why an output may not be at a path of the project.
func (p *Pipeline) reservedPath(clean string) string {
	if clean == "." {
		return "it is the project itself"
	}
	if owner := stage.ReservedFor(clean); owner != "" {
		return fmt.Sprintf("%s belongs to %s", clean, owner)
	}
	// A module's directory, and one that holds text of the pipeline.
	if _, module := p.parsed[path.Dir(clean)]; module && stage.IsText(path.Base(clean)) {
		return fmt.Sprintf("%s belongs to the pipeline's text", clean)
	}
	if p.taken[clean] {
		return fmt.Sprintf("%s belongs to the pipeline's text", clean)
	}
	return ""
}
