package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/flow-pipelines/flow/engine/addr"
)

// frame is one instance of a module in an evaluation: the names that its
// expressions see, and their values as far as they were needed. The project
// itself is the root.
type frame struct {
	ev  *evaluation
	mod *module
	at  addr.Module
	up  *frame // where the module block stands; nil in the root
	key addr.Key

	expansions map[node]*expansion // of blocks and of module blocks
	values     map[node]cty.Value  // of blocks
	locals     map[string]cty.Value
	vars       map[string]cty.Value
	outs       map[string]cty.Value
	contexts   map[node]*hcl.EvalContext
}

func newFrame(ev *evaluation, m *module, at addr.Module, up *frame, k addr.Key) *frame {
	f := &frame{
		ev: ev, mod: m, at: at, up: up, key: k,
		expansions: map[node]*expansion{}, values: map[node]cty.Value{}, locals: map[string]cty.Value{},
		vars: map[string]cty.Value{}, outs: map[string]cty.Value{}, contexts: map[node]*hcl.EvalContext{},
	}
	ev.frames[at] = f
	return f
}

// base is the same frame of the base; nil in the base itself.
func (f *frame) base() *frame {
	if f.ev.base == nil {
		return nil
	}
	return f.ev.base.frames[f.at]
}

// frame returns the instance of a module, nil if there is none.
func (ev *evaluation) frame(at addr.Module) *frame {
	if f := ev.frames[at]; f != nil || ev.base == nil {
		return f
	}
	b := ev.base.frames[at]
	if b == nil {
		return nil
	}
	return newFrame(ev, b.mod, at, ev.frame(b.up.at), b.key)
}

// framesOf returns all instances of a module.
func (ev *evaluation) framesOf(m *module) []*frame {
	if m.call == nil {
		return []*frame{ev.frame(addr.Module{})}
	}
	if fs, ok := ev.instances[m]; ok {
		return fs
	}
	var fs []*frame
	for _, up := range ev.framesOf(m.call.in) {
		for _, k := range up.modules(m.call).keys {
			fs = append(fs, ev.frame(up.at.Child(m.call.name, k)))
		}
	}
	ev.instances[m] = fs
	return fs
}

// modules returns the instances of a module block. In the base it makes them.
func (f *frame) modules(c *call) *expansion {
	n := c.mod.node()
	if e := f.expansions[n]; e != nil {
		return e
	}
	if base := f.base(); base != nil {
		e := base.expansions[n]
		if !e.dynamic {
			return e
		}
		again := f.again(e, c.forEach, &c.keys)
		f.expansions[n] = again
		return again
	}
	e := f.expandAt(addr.Address{Module: f.at.Child(c.name, addr.Key{})}, n, c.forEach, c.count, &c.keys)
	for _, k := range e.keys {
		newFrame(f.ev, c.mod, f.at.Child(c.name, k), f, k)
	}
	return e
}

// variable returns the value of one of the module's variables.
func (f *frame) variable(name string) cty.Value {
	v := f.mod.vars[name]
	if f.up == nil {
		return v.value
	}
	if value, ok := f.vars[name]; ok {
		return value
	}
	if base := f.base(); base != nil {
		if value, ok := base.vars[name]; ok && value.IsWhollyKnown() {
			return value
		}
	}
	value, rng := v.value, v.valueRange
	var diags hcl.Diagnostics
	if a := f.mod.call.args[name]; a != nil {
		rng = a.attr.Expr.Range()
		value, diags = f.argument(v, a)
	}
	if v.sensitive {
		f.ev.p.secrets.add(value)
		value = value.Mark(sensitiveMark{})
	}
	f.vars[name] = value
	if !diags.HasErrors() {
		diags = append(diags, f.validate(v, rng)...)
	}
	if diags.HasErrors() {
		f.vars[name] = broken()
	}
	f.ev.diags = append(f.ev.diags, diags...)
	return f.vars[name]
}

// argument evaluates what the module block gives to a variable.
func (f *frame) argument(v *variable, a *argument) (cty.Value, hcl.Diagnostics) {
	ctx := f.up.context(&a.scope)
	if e := f.up.modules(f.mod.call); e.kind != single {
		ctx = ctx.NewChild()
		ctx.Variables = e.names(f.key)
	}
	value, diags := a.attr.Expr.Value(ctx)
	if diags.HasErrors() {
		return broken(), f.ev.p.improve(diags)
	}
	got, diags := v.convert(value, a.attr.Expr.Range())
	if diags.HasErrors() {
		return broken(), diags
	}
	return got, nil
}

// convert makes a value one of the variable's type. What the value was made
// from stays on it.
func (v *variable) convert(value cty.Value, rng hcl.Range) (cty.Value, hcl.Diagnostics) {
	bare, f := strip(value)
	if v.defaults != nil && !bare.IsNull() {
		value = v.defaults.Apply(value)
	}
	got, err := convert.Convert(value, v.typ)
	if err != nil {
		shown := ""
		if t := bare.Type(); t.IsPrimitiveType() && !v.sensitive && !f.sensitive && bare.IsKnown() && !bare.IsNull() {
			shown = fmt.Sprintf(" (%s)", literal(bare))
		}
		return cty.NilVal, hcl.Diagnostics{errorAt(rng, fmt.Sprintf("Wrong type for variable %q", v.name),
			fmt.Sprintf("The variable is declared as %s at %s:%d, and got %s%s: %s.%s",
				typeexpr.TypeString(v.typ), v.Range.Filename, v.Range.Start.Line, describe(bare.Type()), shown, explainConversion(err), wrongHint(bare, v.typ)))}
	}
	if got.IsNull() && !v.nullable {
		return cty.NilVal, hcl.Diagnostics{errorAt(rng, fmt.Sprintf("Variable %q may not be null", v.name), "It is declared with nullable = false.")}
	}
	return got, nil
}

// output returns the value of one of the module's outputs.
func (f *frame) output(o *output) cty.Value {
	if v, ok := f.outs[o.name]; ok {
		return v
	}
	if base := f.base(); base != nil {
		if v, ok := base.outs[o.name]; ok && v.IsWhollyKnown() {
			return v
		}
	}
	v, diags := o.expr.Value(f.context(&o.scope))
	if diags.HasErrors() {
		f.ev.diags = append(f.ev.diags, f.ev.p.improve(diags)...)
		v = broken()
	}
	if o.sensitive {
		v = v.Mark(sensitiveMark{})
	}
	f.outs[o.name] = v
	return v
}

// module returns the value of module.NAME with some of its outputs: an object,
// or, with for_each or count, an object or a tuple of objects.
func (f *frame) module(c *call, outputs []*output) cty.Value {
	e := f.modules(c)
	switch {
	case e.failed:
		return broken()
	case e.deferred != nil:
		return e.deferred.value()
	}
	object := func(k addr.Key) cty.Value {
		child := f.ev.frame(f.at.Child(c.name, k))
		attrs := make(map[string]cty.Value, len(outputs))
		for _, o := range outputs {
			attrs[o.name] = child.output(o)
		}
		return cty.ObjectVal(attrs)
	}
	switch e.kind {
	case single:
		return object(addr.Key{})
	case counted:
		values := make([]cty.Value, len(e.keys))
		for i, k := range e.keys {
			values[i] = object(k)
		}
		return cty.TupleVal(values)
	}
	values := make(map[string]cty.Value, len(e.keys))
	for _, k := range e.keys {
		values[k.Text()] = object(k)
	}
	return cty.ObjectVal(values)
}

// context holds what the scope mentions.
func (f *frame) context(s *scope) *hcl.EvalContext {
	roots := map[string]map[string]cty.Value{}
	put := func(root, name string, v cty.Value) {
		if roots[root] == nil {
			roots[root] = map[string]cty.Value{}
		}
		roots[root][name] = v
	}
	ones := &keyed{f, map[[2]string]node{}}
	var calls []*call
	outputs := map[*call][]*output{}
	use := func(c *call, os ...*output) {
		if _, ok := outputs[c]; !ok {
			calls = append(calls, c)
		}
		outputs[c] = append(outputs[c], os...)
	}
	for _, r := range s.refs {
		switch r.to.Type {
		case "var":
			put("var", r.to.Name, f.variable(r.to.Name))
		case "local":
			put("local", r.to.Name, f.local(r.to.Name))
		case "output":
			m := f.ev.p.modules[r.to.Module]
			use(m.call, m.output(r.to.Name))
		case "module":
			c := f.mod.calls[r.to.Name]
			use(c, c.mod.outputs...)
		default:
			if f.keyed(r) {
				ones.blocks[[2]string{r.to.Type, r.to.Name}] = r.to
			} else {
				put(r.to.Type, r.to.Name, f.block(r.to))
			}
		}
	}
	for _, c := range calls {
		put("module", c.name, f.module(c, outputs[c]))
	}
	if s.path {
		put("path", "module", cty.StringVal(f.mod.folder))
		put("path", "root", cty.StringVal("."))
	}
	ctx := &hcl.EvalContext{Variables: make(map[string]cty.Value, len(roots)), Functions: f.ev.callable()}
	for root, values := range roots {
		ctx.Variables[root] = cty.ObjectVal(values)
	}
	if len(ones.blocks) > 0 {
		ctx.Variables[keyedName] = cty.CapsuleVal(keyedType, ones)
	}
	return ctx
}

// names are each or count, as an instance sees them.
func (e *expansion) names(k addr.Key) map[string]cty.Value {
	switch e.kind {
	case each:
		value := broken()
		if e.lookup != nil {
			value = e.lookup(k)
		} else if i, ok := e.index[k]; ok && i < len(e.each) {
			value = e.each[i]
		}
		return map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(k.Text()), "value": value})}
	case counted:
		return map[string]cty.Value{"count": cty.ObjectVal(map[string]cty.Value{"index": cty.NumberIntVal(int64(k.Index()))})}
	}
	return map[string]cty.Value{}
}
