package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// conditional is HCL's C ? A : B with one difference: once C is known, the
// marks of the branch that was not taken do not reach the result. HCL keeps
// them; here that would make
//
//	data = var.small ? dataset.small : dataset.large
//
// depend on both data sets. It works by embedding: what HCL asks of an
// expression in private, the embedded one answers.
type conditional struct{ *hclsyntax.ConditionalExpr }

var _ hclsyntax.Expression = (*conditional)(nil)

// Value evaluates each part once and leaves types and errors to HCL, which
// gets the parts as literals.
func (c *conditional) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	cond, diags := c.Condition.Value(ctx)
	yes, yesDiags := c.TrueResult.Value(ctx)
	no, noDiags := c.FalseResult.Value(ctx)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	if bare, _ := cond.Unmark(); bare.Type() == cty.Bool && bare.IsKnown() && !bare.IsNull() {
		if bare.True() {
			diags = append(diags, yesDiags...)
			no, _ = no.Unmark()
		} else {
			diags = append(diags, noDiags...)
			yes, _ = yes.Unmark()
		}
		if diags.HasErrors() {
			return cty.DynamicVal, diags
		}
	}
	literal := func(v cty.Value, e hclsyntax.Expression) hclsyntax.Expression {
		return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: e.Range()}
	}
	again := hclsyntax.ConditionalExpr{
		Condition: literal(cond, c.Condition), TrueResult: literal(yes, c.TrueResult), FalseResult: literal(no, c.FalseResult),
		SrcRange: c.SrcRange,
	}
	v, more := again.Value(ctx)
	return v, append(diags, more...)
}

// index is HCL's C[K] with two differences: the marks of K reach the result,
// which HCL drops for objects; and while K is unknown the result may be any
// element, so that it carries the marks of them all.
type index struct{ *hclsyntax.IndexExpr }

var _ hclsyntax.Expression = (*index)(nil)

func (x *index) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	key, diags := x.Key.Value(ctx)
	var collection cty.Value
	if f, n, ok := x.lookup(ctx); ok && !diags.HasErrors() {
		if bare, marks := key.Unmark(); bare.IsKnown() {
			if v, ok := f.one(n, bare); ok {
				return v.WithMarks(marks), diags
			}
		}
		collection = f.block(n)
	} else {
		var more hcl.Diagnostics
		collection, more = x.Collection.Value(ctx)
		diags = append(more, diags...)
	}
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	v, more := hcl.Index(collection, key, &x.BracketRange)
	bare, keyMarks := key.Unmark()
	if more.HasErrors() {
		if _, secret := keyMarks[sensitiveMark{}]; !secret {
			x.explain(collection, bare, more)
		}
		return v, append(diags, more...)
	}
	v = v.WithMarks(keyMarks)
	if !bare.IsKnown() {
		_, all := collection.UnmarkDeep()
		v = v.WithMarks(all)
	}
	return v, diags
}

// explain says which keys there are.
func (x *index) explain(collection, key cty.Value, diags hcl.Diagnostics) {
	t, more := hcl.AbsTraversalForExpr(x.Collection)
	if more.HasErrors() || key.IsNull() || !key.IsKnown() || !key.Type().IsPrimitiveType() {
		return
	}
	collection, _ = collection.Unmark()
	text := t.RootName()
	for _, s := range t[1:] {
		switch s := s.(type) {
		case hcl.TraverseAttr:
			text += "." + s.Name
		case hcl.TraverseIndex:
			text += "[" + literal(s.Key) + "]"
		}
	}
	owner := ""
	if isStage(collection) {
		owner = addressOf(collection)
	}
	if summary, detail := explainStep(collection, literalText(key), false, text, owner); summary != "" {
		diags[0].Summary, diags[0].Detail = summary, detail
	}
}

// iteration, calling and object are HCL's for expressions, function calls and
// objects, with one difference: HCL drops the marks of a collection, of an argument
// or of a key whose type is not known yet. They are what makes the edge to the
// stage that it waits for.
type (
	iteration struct{ *hclsyntax.ForExpr }
	calling   struct{ *hclsyntax.FunctionCallExpr }
	object    struct{ *hclsyntax.ObjectConsExpr }
)

var (
	_ hclsyntax.Expression = (*iteration)(nil)
	_ hclsyntax.Expression = (*calling)(nil)
	_ hclsyntax.Expression = (*object)(nil)
)

func (x *iteration) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := x.ForExpr.Value(ctx)
	return keepMarks(v, diags, ctx, x.CollExpr)
}

func (x *calling) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := x.FunctionCallExpr.Value(ctx)
	if ownMarks[x.Name] {
		return v, diags
	}
	return keepMarks(v, diags, ctx, x.Args...)
}

func (x *object) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := x.ObjectConsExpr.Value(ctx)
	if v.IsKnown() || diags.HasErrors() {
		return v, diags
	}
	var parts []hclsyntax.Expression
	for _, item := range x.Items {
		parts = append(parts, item.KeyExpr, item.ValueExpr)
	}
	return keepMarks(v, diags, ctx, parts...)
}

// ownMarks are the functions that put on their results, known or not, other
// marks than those of their arguments.
var ownMarks = map[string]bool{
	"try": true, "can": true, "sensitive": true, "nonsensitive": true,
	"file": true, "filebase64": true, "filedigest": true, "fileexists": true, "fileset": true, "templatefile": true,
}

// keepMarks gives a value that is not known the marks of what it is made from.
func keepMarks(v cty.Value, diags hcl.Diagnostics, ctx *hcl.EvalContext, parts ...hclsyntax.Expression) (cty.Value, hcl.Diagnostics) {
	if v.IsKnown() || diags.HasErrors() {
		return v, diags
	}
	for _, e := range parts {
		part, _ := e.Value(ctx)
		_, marks := part.UnmarkDeep()
		v = v.WithMarks(marks)
	}
	return v, diags
}

// inText is what stands in a ${…} with text around it. HCL writes a number with all
// the digits that it computes with; a program is given no more than an argument has.
type inText struct{ *hclsyntax.ParenthesesExpr }

var _ hclsyntax.Expression = (*inText)(nil)

func (x *inText) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := x.Expression.Value(ctx)
	return asText(v), diags
}

// refineBody puts these in the place of HCL's in all of a body.
func refineBody(b *hclsyntax.Body) {
	for _, a := range b.Attributes {
		a.Expr = refine(a.Expr)
	}
	for _, blk := range b.Blocks {
		refineBody(blk.Body)
	}
}

func refine(e hclsyntax.Expression) hclsyntax.Expression {
	switch e := e.(type) {
	case *hclsyntax.ConditionalExpr:
		e.Condition, e.TrueResult, e.FalseResult = refine(e.Condition), refine(e.TrueResult), refine(e.FalseResult)
		return &conditional{e}
	case *hclsyntax.ParenthesesExpr:
		e.Expression = refine(e.Expression)
	case *hclsyntax.BinaryOpExpr:
		e.LHS, e.RHS = refine(e.LHS), refine(e.RHS)
	case *hclsyntax.UnaryOpExpr:
		e.Val = refine(e.Val)
	case *hclsyntax.FunctionCallExpr:
		refineAll(e.Args)
		return &calling{e}
	case *hclsyntax.TupleConsExpr:
		refineAll(e.Exprs)
	case *hclsyntax.ObjectConsExpr:
		for i := range e.Items {
			e.Items[i].KeyExpr, e.Items[i].ValueExpr = refine(e.Items[i].KeyExpr), refine(e.Items[i].ValueExpr)
		}
		return &object{e}
	case *hclsyntax.ObjectConsKeyExpr:
		e.Wrapped = refine(e.Wrapped)
	case *hclsyntax.ForExpr:
		e.CollExpr, e.ValExpr = refine(e.CollExpr), refine(e.ValExpr)
		if e.KeyExpr != nil {
			e.KeyExpr = refine(e.KeyExpr)
		}
		if e.CondExpr != nil {
			e.CondExpr = refine(e.CondExpr)
		}
		return &iteration{e}
	case *hclsyntax.SplatExpr:
		e.Source, e.Each = refine(e.Source), refine(e.Each)
	case *hclsyntax.IndexExpr:
		e.Collection, e.Key = refine(e.Collection), refine(e.Key)
		return &index{e}
	case *hclsyntax.RelativeTraversalExpr:
		e.Source = refine(e.Source)
		return refineTraversal(e)
	case *hclsyntax.TemplateExpr:
		for i, part := range e.Parts {
			if _, literal := part.(*hclsyntax.LiteralValueExpr); !literal {
				e.Parts[i] = &inText{&hclsyntax.ParenthesesExpr{Expression: refine(part), SrcRange: part.Range()}}
			}
		}
	case *hclsyntax.TemplateWrapExpr:
		e.Wrapped = refine(e.Wrapped)
	case *hclsyntax.TemplateJoinExpr:
		e.Tuple = refine(e.Tuple)
	}
	return e
}

func refineAll(es []hclsyntax.Expression) {
	for i := range es {
		es[i] = refine(es[i])
	}
}
