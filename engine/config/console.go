package config

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// ConsoleFile is what diagnostics call the text of an expression that is in no
// file.
const ConsoleFile = "<console>"

// Evaluate evaluates an expression that is in no file, as an output's would be:
// var, local and stages are in it, each, count and self are not. The value has
// no marks; it may be or hold unknowns.
func (p *Pipeline) Evaluate(text string, r Results) (v cty.Value, sensitive bool, diags hcl.Diagnostics) {
	expr, diags := hclsyntax.ParseExpression([]byte(text), ConsoleFile, hcl.InitialPos)
	if diags.HasErrors() {
		return cty.DynamicVal, false, diags
	}
	expr = refine(expr)
	var s scope
	diags = append(diags, p.mention(&s, expr.Variables(), false)...)
	diags = append(diags, s.forbid("an expression by itself", true, true, true)...)
	if diags.HasErrors() {
		return cty.DynamicVal, false, tidy(diags)
	}
	base := p.evaluateBase()
	if p.baseDiags.HasErrors() {
		// A base that is made for this expression alone finds what is wrong with
		// what it needs, and not what is wrong elsewhere.
		if _, _, diags = p.evaluateOne((&evaluation{settled: base.settled}).of(p), expr, &s); diags.HasErrors() {
			return cty.DynamicVal, false, diags
		}
	}
	bare, f, diags := p.evaluateOne(newEvaluation(p, r, base), expr, &s)
	if f.broken && !diags.HasErrors() {
		diags = p.baseDiags
	}
	if diags.HasErrors() {
		return cty.DynamicVal, false, diags
	}
	return plainNumbers(bare), f.sensitive, diags
}

// evaluateOne evaluates an expression, and returns the mistakes of what it needs.
func (p *Pipeline) evaluateOne(ev *evaluation, expr hcl.Expression, s *scope) (cty.Value, found, hcl.Diagnostics) {
	before := p.faults.since(0) // so that one that was told of the pipeline is told again
	v, diags := expr.Value(ev.root.context(s))
	bare, f := strip(v) // which tells of doubtful baselines
	diags = slices.Concat(p.improve(diags), ev.diags, p.faults.since(0))
	for _, d := range before {
		p.faults.add(d)
	}
	return bare, f, tidy(diags)
}

// Names returns what an expression can begin with: var.NAME, local.NAME,
// TYPE.NAME, the instances of modules and their outputs, and the names of
// functions with their parenthesis; sorted.
func (p *Pipeline) Names() []string {
	var names []string
	for _, name := range mapKeys(p.vars) {
		names = append(names, "var."+name)
	}
	for _, name := range mapKeys(p.locals) {
		names = append(names, "local."+name)
	}
	for a := range p.blocks {
		names = append(names, a.String())
	}
	for _, c := range p.calls {
		for _, f := range p.evaluateBase().framesOf(c.mod) {
			names = append(names, f.at.String())
			for _, o := range c.mod.outputs {
				names = append(names, f.at.String()+"."+o.name)
			}
		}
	}
	for name := range maps.Keys(p.funcs.table) {
		names = append(names, name+"(")
	}
	slices.Sort(names)
	return names
}
