package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/par"
	"github.com/flow-pipelines/flow/engine/suggest"
)

// block is a stage block, decoded but not evaluated.
type block struct {
	addr  addr.Address // without keys
	mod   *module
	typ   *stageType
	body  *body
	meta  map[string]*hcl.Attribute
	retry *hcl.Block
	res   *hcl.Block
	Range hcl.Range
	scope scope // everything that the block mentions
	inner scope // of it, what is not for_each or count
	// keys is what for_each or count mention; self lists the top-level
	// arguments that mention the stage's own outputs.
	keys scope
	self []string
	// after are the entries of depends_on.
	after scope
	// rules are the preconditions and postconditions.
	rules []*rule
	// retryArgs and resArgs are the arguments of the meta-blocks.
	retryArgs, resArgs map[string]*hcl.Attribute
	life               *hcl.Block
	lifeArgs           map[string]*hcl.Attribute
}

type local struct {
	name  string
	expr  hcl.Expression
	Range hcl.Range
	scope scope
}

type output struct {
	name        string
	expr        hcl.Expression
	description string
	sensitive   bool
	Range       hcl.Range
	scope       scope
}

func (m *module) declareLocals(h *hcl.Block) hcl.Diagnostics {
	if len(h.Labels) > 0 {
		return labels(h, "locals", 0)
	}
	attrs, diags := h.Body.JustAttributes()
	for name, a := range attrs {
		if old := m.locals[name]; old != nil {
			diags = append(diags, duplicate(a.NameRange, old.Range, "local value "+name))
			continue
		}
		m.locals[name] = &local{name: name, expr: a.Expr, Range: a.NameRange}
	}
	return diags
}

func (m *module) declareOutput(h *hcl.Block) hcl.Diagnostics {
	if diags := labels(h, "output", 1); diags.HasErrors() {
		return diags
	}
	o := &output{name: h.Labels[0], Range: h.DefRange}
	c, diags := content(h, []string{"value", "description", "sensitive"}, nil)
	diags = append(diags, m.constantString(c, "description", &o.description)...)
	if a, ok := c.Attributes["sensitive"]; ok {
		v, more := m.constant(a, cty.Bool)
		diags = append(diags, more...)
		o.sensitive = !more.HasErrors() && !v.IsNull() && v.IsKnown() && v.True()
	}
	a, ok := c.Attributes["value"]
	if !ok {
		return append(diags, errorAt(h.DefRange, `Missing argument "value"`, "output needs a value: the expression to show after apply."))
	}
	o.expr = a.Expr
	i, found := slices.BinarySearchFunc(m.outputs, o.name, func(o *output, name string) int {
		return strings.Compare(o.name, name)
	})
	if found {
		return append(diags, duplicate(h.DefRange, m.outputs[i].Range, fmt.Sprintf("output %q", o.name)))
	}
	m.outputs = slices.Insert(m.outputs, i, o)
	return diags
}

// declareStages reads blocks whose types are none of flow's own.
func (m *module) declareStages(hs []*hcl.Block) hcl.Diagnostics {
	var diags hcl.Diagnostics
	blocks := make([]*block, len(hs))
	for i, h := range hs {
		var more hcl.Diagnostics
		blocks[i], more = m.declareStage(h)
		diags = append(diags, more...)
	}
	found := make([]hcl.Diagnostics, len(hs))
	par.Each(len(hs), func(i int) {
		if b := blocks[i]; b != nil {
			found[i] = b.decode(hs[i])
		}
	})
	return append(diags, slices.Concat(found...)...)
}

// declareStage declares a block by its header; nil: it is none.
func (m *module) declareStage(h *hcl.Block) (*block, hcl.Diagnostics) {
	st := m.p.types[h.Type]
	if st == nil && m.p.lacking {
		return nil, nil // what it may be cannot be known; that the plugin is lacking has been said
	}
	if st == nil {
		return nil, hcl.Diagnostics{m.unknownType(h)}
	}
	if diags := labels(h, "stage", 1); diags.HasErrors() {
		return nil, diags
	}
	b := &block{mod: m, addr: addr.Address{Module: m.path, Type: h.Type, Name: h.Labels[0]}, typ: st, Range: h.DefRange, meta: map[string]*hcl.Attribute{}}
	if old := m.blocks[b.addr]; old != nil {
		return nil, hcl.Diagnostics{duplicate(h.DefRange, old.Range, "stage "+b.addr.Local().String())}
	}
	m.blocks[b.addr] = b
	return b, nil
}

// decode reads what is in the braces.
func (b *block) decode(h *hcl.Block) hcl.Diagnostics {
	st := b.typ
	body, content, diags := decode(h.Body, st.body, h.Type, h.DefRange)
	b.body = body
	for name, a := range content.Attributes {
		if st.meta[name] {
			b.meta[name] = a
		}
	}
	for _, n := range content.Blocks {
		if !st.meta[n.Type] {
			continue
		}
		if n.Type == precondition || n.Type == postcondition {
			r, more := declareRule(n)
			diags = append(diags, more...)
			if r != nil {
				b.rules = append(b.rules, r)
			}
			continue
		}
		to, args := &b.retry, &b.retryArgs
		switch n.Type {
		case "resources":
			to, args = &b.res, &b.resArgs
		case "lifecycle":
			to, args = &b.life, &b.lifeArgs
		}
		if *to != nil {
			diags = append(diags, errorAt(n.DefRange, fmt.Sprintf("Duplicate block %q", n.Type),
				fmt.Sprintf("A stage has at most one; the first is at line %d.", (*to).DefRange.Start.Line)))
			continue
		}
		c, more := onlyArguments(n, metaBlockArguments[n.Type])
		diags = append(diags, more...)
		*to, *args = n, c
	}
	if b.meta["for_each"] != nil && b.meta["count"] != nil {
		diags = append(diags, errorAt(b.meta["count"].NameRange, "Both for_each and count", "A block makes its instances by one of them."))
	}
	return diags
}

func onlyArguments(h *hcl.Block, names []string) (map[string]*hcl.Attribute, hcl.Diagnostics) {
	c, diags := content(h, names, nil)
	return c.Attributes, diags
}

// unknownType explains a block type that is neither flow's nor a stage type.
func (m *module) unknownType(h *hcl.Block) *hcl.Diagnostic {
	rng := h.TypeRange
	summary := fmt.Sprintf("Unknown block type %q", h.Type)
	types := mapKeys(m.p.types)
	example := "train"
	if len(h.Labels) > 0 && m.p.types[h.Labels[0]] != nil {
		example = h.Labels[0]
	} else if h.Type == "data" && m.p.types["dataset"] != nil {
		example = "dataset"
	} else if len(types) > 0 && m.p.types["train"] == nil {
		example = types[0]
	}
	name := "NAME"
	if len(h.Labels) > 1 {
		name = h.Labels[1]
	}
	switch h.Type {
	case "resource", "data", "stage", "step", "task", "job":
		return errorAt(rng, summary, fmt.Sprintf("In flow the block's type is the stage type, and its one label the name: %s %q { … }. The stage types are %s.", example, name, list(types, 20)))
	case "terraform", "provider":
		return errorAt(rng, summary, `Settings of flow itself stand in a pipeline block: pipeline "NAME" { required_version = ">= 0.1" }.`)
	case "local":
		return errorAt(rng, summary, "Local values stand in a block called locals: locals { NAME = VALUE }.")
	case "var", "vars", "variables":
		return errorAt(rng, summary, `A variable is declared by a block of its own: variable "NAME" { default = VALUE }.`)
	}
	if m.p.finder != nil {
		if name := m.p.finder.Offering(h.Type); name != "" {
			return errorAt(rng, summary, fmt.Sprintf("It is a stage type of the plugin %s, which is installed but not declared. Declare it:\n\n  pipeline {\n    plugin %q {}\n  }", name, name))
		}
	}
	own := append(types, ownBlocks[:]...)
	detail := "flow has no such block."
	if s := suggest.Nearest(h.Type, own); s != "" {
		detail += fmt.Sprintf(" Did you mean %q?", s)
	} else {
		detail += fmt.Sprintf(" There is pipeline, variable, locals, output, module, check, moved and removed, and the stage types %s. Any program is a stage with exec.", list(types, 20))
	}
	return errorAt(rng, summary, detail)
}

// link finds what the block mentions.
func (b *block) link(m *module) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, name := range []string{"for_each", "count"} {
		if a := b.meta[name]; a != nil {
			diags = append(diags, m.mention(&b.keys, references(a.Expr), false)...)
			diags = append(diags, b.keys.forbid(name, true, true, true)...)
		}
	}
	var rest scope
	for _, name := range []string{"when", "description", "timeout"} {
		if a := b.meta[name]; a != nil {
			diags = append(diags, m.mention(&rest, references(a.Expr), false)...)
		}
	}
	for _, args := range []map[string]*hcl.Attribute{b.retryArgs, b.resArgs, b.lifeArgs} {
		for _, name := range mapKeys(args) {
			diags = append(diags, m.mention(&rest, args[name].Expr.Variables(), false)...)
		}
	}
	diags = append(diags, rest.forbid("not one of the arguments that make its results", false, false, true)...)
	for _, a := range b.body.schema.order {
		attr := b.body.attrs[a.Name]
		if attr == nil {
			continue
		}
		var s scope
		diags = append(diags, m.mention(&s, a.references(attr.Expr), a.lazy)...)
		b.note(&s, a.Name)
	}
	for _, n := range b.body.blocks {
		var s scope
		diags = append(diags, n.link(m, &s, nil)...)
		b.note(&s, n.schema.Name)
	}
	diags = append(diags, b.linkRules(m)...)
	b.scope.merge(&rest)
	b.inner.merge(&b.scope)
	b.scope.merge(&b.keys)
	diags = append(diags, b.scope.forbid("a block without for_each", b.meta["for_each"] == nil, false, false)...)
	diags = append(diags, b.scope.forbid("a block without count", false, b.meta["count"] == nil, false)...)
	after, more := m.linkAfter(b.meta["depends_on"])
	b.after = after
	return append(diags, more...)
}

func (b *block) note(s *scope, argument string) {
	if s.self != nil && !slices.Contains(b.self, argument) {
		b.self = append(b.self, argument)
	}
	b.scope.merge(s)
}

func (b *body) link(m *module, s *scope, bound []string) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, name := range mapKeys(b.attrs) {
		diags = append(diags, m.mention(s, unbound(b.schema.attrs[name].references(b.attrs[name].Expr), bound), b.schema.attrs[name].lazy)...)
	}
	for _, n := range b.blocks {
		diags = append(diags, n.link(m, s, bound)...)
	}
	return diags
}

// dependsOnHelp says how what stands there is written.
func dependsOnHelp(m *module, e hcl.Expression) string {
	text := strings.Trim(exprText(m.p, e), `"`)
	if _, err := addr.Parse(text); err != nil {
		text = "train.mlp, dataset.raw"
	}
	return fmt.Sprintf("Write depends_on = [%s].", text)
}

// linkAfter reads depends_on, a list of stages and modules.
func (m *module) linkAfter(a *hcl.Attribute) (scope, hcl.Diagnostics) {
	var s scope
	if a == nil {
		return s, nil
	}
	items, diags := hcl.ExprList(a.Expr)
	if diags.HasErrors() {
		return s, hcl.Diagnostics{errorAt(a.Expr.Range(), "depends_on is a list of stages", dependsOnHelp(m, a.Expr))}
	}
	for _, item := range items {
		t, more := hcl.AbsTraversalForExpr(item)
		if more.HasErrors() {
			diags = append(diags, errorAt(item.Range(), "depends_on is a list of stages", `Each entry is a stage as it is written in a reference, without quotes: train.mlp or train.mlp["small"].`))
			continue
		}
		to, more := m.target(t, false)
		diags = append(diags, more...)
		switch {
		case to.IsZero():
		case t.RootName() == "module":
			name, _ := member(t)
			for _, b := range m.calls[name].mod.everything() {
				s.add(b, item.Range(), false)
			}
		case m.blocks[to] == nil:
			diags = append(diags, errorAt(item.Range(), "depends_on is a list of stages", fmt.Sprintf("%s is not a stage.", to.Local())))
		default:
			if len(t) > 2 {
				if i, ok := t[2].(hcl.TraverseIndex); ok {
					to.Key = keyOf(i.Key)
				}
			}
			s.add(to, item.Range(), false)
		}
	}
	return s, diags
}

// keyOf is the key of an instance, zero if v cannot be one.
func keyOf(v cty.Value) addr.Key {
	switch {
	case v.IsNull() || !v.IsKnown():
	case v.Type() == cty.String:
		return addr.StringKey(v.AsString())
	case v.Type() == cty.Number:
		if i, accuracy := v.AsBigFloat().Int64(); accuracy == 0 && i >= 0 {
			return addr.IntKey(int(i))
		}
	}
	return addr.Key{}
}
