package config

import (
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// An apply resolves each stage once more when what it needs is known. If a
// reference such as train.m[each.key] were given the object of all instances of
// train.m for that, N stages that need one of N each would cost N² (18 ms for
// one of 10,000). So blocks that a scope mentions in this form alone are not in
// its context as values; index asks for the one instance.

// keyedName is what the context has them under: no name that an expression can
// have.
const keyedName = "\x00keyed"

// keyed finds single instances of blocks of a frame.
type keyed struct {
	f      *frame
	blocks map[[2]string]node // by type and name
}

var keyedType = cty.Capsule("instances", reflect.TypeFor[keyed]())

// references are an expression's references. In those that are the collection
// of an index expression the last step is a splat, which stands for a key that
// is known later.
func references(e hcl.Expression) []hcl.Traversal {
	ts := e.Variables()
	native, ok := e.(hclsyntax.Expression)
	if !ok || len(ts) == 0 {
		return ts
	}
	indexed := map[hcl.Range]bool{}
	_ = hclsyntax.VisitAll(native, func(n hclsyntax.Node) hcl.Diagnostics {
		if x, ok := n.(*index); ok {
			if c, ok := x.Collection.(*hclsyntax.ScopeTraversalExpr); ok && len(c.Traversal) == 2 {
				indexed[c.Traversal.SourceRange()] = true
			}
		}
		return nil
	})
	for i, t := range ts {
		if rng := t.SourceRange(); len(indexed) > 0 && indexed[rng] {
			ts[i] = hcl.Traversal{t[0], t[1], hcl.TraverseSplat{SrcRange: rng}}
		}
	}
	return ts
}

// references are those of an argument. What is evaluated for each row is parsed
// again, and has its names whole.
func (a *attrSchema) references(e hcl.Expression) []hcl.Traversal {
	if a.lazy {
		return e.Variables()
	}
	return references(e)
}

// isKeyed tells such a reference.
func isKeyed(t hcl.Traversal) bool {
	if len(t) != 3 {
		return false
	}
	_, ok := t[2].(hcl.TraverseSplat)
	return ok
}

// keyed returns what stands for the block in a context, false if its value is
// to stand there.
func (f *frame) keyed(r reference) bool {
	if !r.keyed || f.ev.matter == nil {
		return false
	}
	b := f.mod.blocks[r.to]
	return b != nil && (b.meta["for_each"] != nil || b.meta["count"] != nil)
}

// lookup returns the block that the expression indexes, if the context has it
// as keyed.
func (x *index) lookup(ctx *hcl.EvalContext) (*frame, node, bool) {
	c, ok := x.Collection.(*hclsyntax.ScopeTraversalExpr)
	if !ok || len(c.Traversal) != 2 {
		return nil, node{}, false
	}
	name, _ := member(c.Traversal)
	for ; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[keyedName]; ok {
			k := v.EncapsulatedValue().(*keyed)
			n, ok := k.blocks[[2]string{c.Traversal.RootName(), name}]
			return k.f, n, ok
		}
	}
	return nil, node{}, false
}

// one returns the instance that a key names, false if it is none.
func (f *frame) one(n node, key cty.Value) (cty.Value, bool) {
	e := f.expansion(f.mod.blocks[n])
	if e.failed || key.IsMarked() || !key.IsKnown() {
		return cty.NilVal, false
	}
	k := keyOf(key)
	if key.Type() == cty.Number && e.kind == each || key.Type() == cty.String && e.kind == counted {
		return cty.NilVal, false
	}
	in := e.instance(k)
	if k.IsZero() || in == nil {
		return cty.NilVal, false
	}
	return f.ev.instanceValue(in), true
}
