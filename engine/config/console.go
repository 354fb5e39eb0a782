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
		return cty.DynamicVal, false, p.baseDiags
	}
	ev := newEvaluation(p, r, base)
	before := len(p.faults.all())
	v, more := expr.Value(ev.root.context(&s))
	diags = append(diags, p.improve(more)...)
	bare, f := strip(v)
	diags = slices.Concat(diags, ev.diags, p.faults.since(before))
	if diags.HasErrors() {
		return cty.DynamicVal, false, tidy(diags)
	}
	return plainNumbers(bare), f.sensitive, tidy(diags)
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
