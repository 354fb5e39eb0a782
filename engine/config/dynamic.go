package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/stage"
)

// dynamicBlock is the type of the block that stands for several nested ones:
//
//	dynamic "numeric" {
//	  for_each = local.columns
//	  labels   = [numeric.key]
//	  content { scale = numeric.value }
//	}
//
// hcl's ext/dynblock expands a body before it is decoded. Here a body is
// decoded, and checked, before anything is evaluated, so that a dynamic block
// is a nested block with a number of its own, which the encoder finds out.
const dynamicBlock = "dynamic"

// dynamic is what a nested block has besides its content if it is dynamic.
type dynamic struct {
	forEach  hcl.Expression
	iterator string
	label    hcl.Expression // nil if the block takes none
}

// decodeDynamic reads a dynamic block of a body.
func decodeDynamic(h *hcl.Block, s *bodySchema, what string) (*nested, hcl.Diagnostics) {
	name := h.Labels[0]
	bs := s.blocks[name]
	if bs == nil {
		return nil, hcl.Diagnostics{errorAt(h.LabelRanges[0], fmt.Sprintf("Unknown block %q", name),
			fmt.Sprintf("The label of a dynamic block is the block that it stands for, and %s has no block %q.%s", what, name, didYouMean(name, mapKeys(s.blocks))))}
	}
	c, diags := content(h, []string{"for_each", "iterator", "labels"}, []string{"content"})
	if len(c.Blocks) != 1 || c.Attributes["for_each"] == nil {
		return nil, append(diags, errorAt(h.DefRange, "Incomplete dynamic block", fmt.Sprintf("It needs for_each, and one block content { … }: what stands in %s.", name)))
	}
	d := &dynamic{forEach: c.Attributes["for_each"].Expr, iterator: name}
	if a := c.Attributes["iterator"]; a != nil {
		if d.iterator = hcl.ExprAsKeyword(a.Expr); d.iterator == "" {
			diags = append(diags, errorAt(a.Expr.Range(), "The iterator is a name", "Write it without quotes: iterator = column."))
		}
	}
	label, more := d.readLabels(c.Attributes["labels"], h, bs)
	diags = append(diags, more...)
	if diags.HasErrors() {
		return nil, diags
	}
	inner := *c.Blocks[0]
	inner.Type, inner.Labels, inner.LabelRanges = name, nil, h.LabelRanges
	if bs.takesLabel() {
		inner.Labels = []string{label}
	}
	var n *nested
	if d.label != nil && bs.Kind == stage.Choice && label == "" {
		n, diags = decodeVariants(&inner, bs, what)
	} else {
		n, diags = decodeNested(&inner, bs, what)
	}
	if n != nil {
		n.dynamic = d
	}
	return n, diags
}

// decodeVariants reads a block whose kind is computed as each kind there is: what
// is wrong with it is told if it turns out to be that one, or at once if it is
// wrong as any.
func decodeVariants(h *hcl.Block, bs *blockSchema, what string) (*nested, hcl.Diagnostics) {
	all := &nested{schema: bs, Range: h.DefRange, variants: map[string]variant{}}
	var least hcl.Diagnostics
	for _, kind := range mapKeys(bs.variants) {
		h.Labels = []string{kind}
		n, diags := decodeNested(h, bs, what)
		all.variants[kind] = variant{n.body, diags}
		if !diags.HasErrors() && all.body == nil {
			all.body = n.body
		}
		if least == nil || len(diags) < len(least) || len(diags) == len(least) && strings.Contains(diags.Error(), "Did you mean") {
			least = diags
		}
	}
	if all.body == nil {
		return nil, least
	}
	return all, nil
}

// bodyAs returns the body of a block that has turned out to have this label.
func (n *nested) bodyAs(label string) *body {
	if n.variants == nil {
		return n.body
	}
	return n.variants[label].body
}

// bodies are all that the block may turn out to hold.
func (n *nested) bodies() []*body {
	if n.variants == nil {
		return []*body{n.body}
	}
	var all []*body
	for _, kind := range mapKeys(n.variants) {
		if v := n.variants[kind]; !v.diags.HasErrors() {
			all = append(all, v.body)
		}
	}
	return all
}

// readLabels reads the argument labels. constant is the label of a block that has
// kinds, "" if it is computed.
func (d *dynamic) readLabels(a *hcl.Attribute, h *hcl.Block, bs *blockSchema) (constant string, diags hcl.Diagnostics) {
	switch {
	case a == nil && bs.takesLabel():
		return "", hcl.Diagnostics{errorAt(h.DefRange, `Missing argument "labels"`, fmt.Sprintf("%s takes a label: labels = [%s.key].", h.Labels[0], d.iterator))}
	case a == nil:
		return "", nil
	case !bs.takesLabel():
		return "", hcl.Diagnostics{errorAt(a.NameRange, `Unknown argument "labels"`, fmt.Sprintf("%s takes no label.", h.Labels[0]))}
	}
	items, more := hcl.ExprList(a.Expr)
	if more.HasErrors() || len(items) != 1 {
		return "", hcl.Diagnostics{errorAt(a.Expr.Range(), "labels is a list of one", fmt.Sprintf("%s takes one label: labels = [%s.key].", h.Labels[0], d.iterator))}
	}
	d.label = items[0]
	if bs.Kind != stage.Choice {
		return "", nil
	}
	v, more := d.label.Value(nil)
	if more.HasErrors() || !v.IsKnown() {
		return "", nil
	}
	if v.Type() != cty.String || v.IsNull() || v.AsString() == "" {
		return "", hcl.Diagnostics{errorAt(d.label.Range(), "A label is a text", fmt.Sprintf("This one is %s; %s has the kinds %s.", describeValue(v), h.Labels[0], quoted(mapKeys(bs.variants))))}
	}
	return v.AsString(), nil
}

// unbound returns the traversals that do not begin with a name of iterators.
func unbound(ts []hcl.Traversal, bound []string) []hcl.Traversal {
	if len(bound) == 0 {
		return ts
	}
	return slices.DeleteFunc(slices.Clone(ts), func(t hcl.Traversal) bool { return slices.Contains(bound, t.RootName()) })
}

// link finds what the block mentions. bound are the iterators around it.
func (n *nested) link(m *module, s *scope, bound []string) hcl.Diagnostics {
	var diags hcl.Diagnostics
	if d := n.dynamic; d != nil {
		diags = append(diags, m.mention(s, unbound(d.forEach.Variables(), bound), false)...)
		bound = append(slices.Clip(bound), d.iterator)
		if d.label != nil {
			diags = append(diags, m.mention(s, unbound(d.label.Variables(), bound), false)...)
		}
	}
	for _, b := range n.bodies() {
		diags = append(diags, b.link(m, s, bound)...)
	}
	return diags
}

// each calls encode for each block that n stands for, in a context of its own.
func (e *encoder) each(n *nested, where string, encode func(label string)) {
	d := n.dynamic
	if d == nil {
		encode(n.label)
		return
	}
	v, diags := d.forEach.Value(e.ctx)
	if diags.HasErrors() {
		e.failed = true
		e.diags = append(e.diags, e.ev.p.improve(diags)...)
		return
	}
	v, marks := v.Unmark()
	e.note(marks, where, nil)
	t := v.Type()
	switch {
	case !v.IsKnown():
		e.unknown = true
		return
	case v.IsNull() || isStage(v) || !v.CanIterateElements():
		e.failAt(d.forEach.Range(), "for_each cannot use this value", fmt.Sprintf("It is %s. for_each of a dynamic block wants a list, a set or a map.", describeValue(v)))
		return
	}
	outer := e.ctx
	defer func() { e.ctx = outer }()
	for it := v.ElementIterator(); it.Next(); {
		k, item := it.Element()
		if t.IsSetType() {
			k = item
		}
		e.ctx = outer.NewChild()
		e.ctx.Variables = map[string]cty.Value{d.iterator: cty.ObjectVal(map[string]cty.Value{"key": k, "value": item.WithMarks(marks)})}
		label, ok := n.label, true
		if d.label != nil && label == "" {
			if label, ok = e.label(d.label, where); ok {
				ok = e.fits(n, label)
			}
		}
		if ok {
			encode(label)
		}
	}
}

// fits reports whether a block may have the label that was computed.
func (e *encoder) fits(n *nested, label string) bool {
	if n.variants == nil {
		return true
	}
	v, ok := n.variants[label]
	switch {
	case !ok:
		e.failAt(n.dynamic.label.Range(), fmt.Sprintf("Unknown kind of %s: %q", n.schema.Name, label),
			fmt.Sprintf("The label of a %s block chooses one of its kinds: %s.%s", n.schema.Name, quoted(mapKeys(n.variants)), guess(label, mapKeys(n.variants))))
	case v.diags.HasErrors():
		e.failed = true
		e.diags = append(e.diags, v.diags...)
	}
	return ok && !v.diags.HasErrors()
}

// label evaluates the label of one block.
func (e *encoder) label(expr hcl.Expression, where string) (string, bool) {
	v, diags := expr.Value(e.ctx)
	if diags.HasErrors() {
		e.failed = true
		e.diags = append(e.diags, e.ev.p.improve(diags)...)
		return "", false
	}
	v, marks := v.Unmark()
	e.note(marks, where, nil)
	switch {
	case !v.IsKnown():
		e.unknown = true
		return "", false
	case v.IsNull() || v.Type() != cty.String && v.Type() != cty.Number:
		e.failAt(expr.Range(), "A label is a text", fmt.Sprintf("This one is %s.", describeValue(v)))
		return "", false
	}
	return literalText(v), true
}

// failAt reports a mistake at a place that is no argument of the schema.
func (e *encoder) failAt(rng hcl.Range, summary, detail string) {
	e.failed = true
	if e.addr != e.addr.Block() {
		detail += fmt.Sprintf("\n\nThis is in %s.", e.addr)
	}
	e.diags = append(e.diags, errorAt(rng, summary, detail))
}

// find returns the block that index i of a list of blocks comes from: with
// dynamic blocks among them, the one that it most likely does.
func find(same []*nested, i int) *nested {
	for j, n := range same {
		if n.dynamic != nil || j == i {
			return n
		}
	}
	return nil
}

// jsonDynamic is a dynamic block in JSON.
func (b *bodySchema) jsonDynamic() jsonBlock {
	return jsonBlock{1, func(labels []string) jsonObject {
		inner := jsonObject{}
		n := b.blocks[labels[0]]
		switch {
		case n != nil && n.body != nil:
			inner = n.body.jsonShape()
		case n != nil: // which of its kinds it is, nobody knows yet
			inner.blocks = map[string]jsonBlock{}
			for _, kind := range mapKeys(n.variants) {
				maps.Copy(inner.blocks, n.variants[kind].jsonShape().blocks)
			}
		}
		return jsonObject{blocks: map[string]jsonBlock{"content": plainBlock(0, inner)}, exprs: map[string]bool{"iterator": true}}
	}}
}
