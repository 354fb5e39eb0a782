package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

// Baseline returns the metrics that a revision of the project has recorded, by
// stage. An error says, as a sentence that could follow a colon, why there are
// none.
type Baseline func(rev string) (map[addr.Address]stage.Metrics, error)

const baselineName = "baseline"

// baselineError says that there is nothing to compare with.
type baselineError struct {
	rev string
	err error
}

func (e *baselineError) Error() string { return fmt.Sprintf("no baseline %q: %v", e.rev, e.err) }

func (e *baselineError) Unwrap() error { return e.err }

// baselineFunction is baseline(rev): an object of types, names, perhaps keys,
// and metrics; what is in modules is under module.NAME. A revision is read once, so that all of a command sees the same
// even if a branch moves meanwhile. Without a reader nothing is known.
func baselineFunction(read Baseline) function.Function {
	type entry struct {
		value cty.Value
		err   error
	}
	var mu sync.Mutex
	seen := map[string]entry{}
	get := func(args []cty.Value) (cty.Value, error) {
		if read == nil || !args[0].IsKnown() {
			return cty.DynamicVal, nil
		}
		rev := args[0].AsString()
		mu.Lock()
		defer mu.Unlock()
		e, ok := seen[rev]
		if !ok {
			metrics, err := read(rev)
			if e.value = baselineValue(metrics); err != nil {
				e.err = &baselineError{rev, err}
			}
			seen[rev] = e
		}
		return e.value, e.err
	}
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "revision", Type: cty.String}},
		Type: func(args []cty.Value) (cty.Type, error) {
			v, err := get(args)
			return v.Type(), err
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return get(args) },
	})
}

// baselineTree is metrics by the steps that lead to them; the leaves are
// stage.Metrics.
type baselineTree map[string]any

// under returns the tree at a step, which it makes.
func (t baselineTree) under(step string) baselineTree {
	below, ok := t[step].(baselineTree)
	if !ok {
		below = baselineTree{}
		t[step] = below
	}
	return below
}

// put places what an address has. Both kinds of keys work as attributes of an
// object: HCL converts a number to a text there.
func (t baselineTree) put(a addr.Address, leaf any) {
	for _, s := range a.Module.Steps() {
		t = t.under("module").under(s.Name)
		if !s.Key.IsZero() {
			t = t.under(s.Key.Text())
		}
	}
	if t = t.under(a.Type); a.Key.IsZero() {
		t[a.Name] = leaf
	} else {
		t.under(a.Name)[a.Key.Text()] = leaf
	}
}

func (t baselineTree) value() cty.Value {
	values := make(map[string]cty.Value, len(t))
	for name, v := range t {
		if below, ok := v.(baselineTree); ok {
			values[name] = below.value()
		} else {
			values[name] = valueOf(v)
		}
	}
	return cty.ObjectVal(values)
}

// baselineValue nests metrics as references name stages: evaluate.final.f1,
// train.mlp["small"].f1, train.seeds[0].f1, module.eu.train.mlp.f1.
func baselineValue(all map[addr.Address]stage.Metrics) cty.Value {
	tree := baselineTree{}
	for _, a := range slices.SortedFunc(maps.Keys(all), addr.Compare) {
		tree.put(a, all[a])
	}
	return tree.value()
}

// baselineTraversal is HCL's baseline(REV).A.B.C with one difference: it says
// what of it the revision has not recorded.
type baselineTraversal struct {
	*hclsyntax.RelativeTraversalExpr
	call *hclsyntax.FunctionCallExpr
}

var _ hclsyntax.Expression = (*baselineTraversal)(nil)

func refineTraversal(e *hclsyntax.RelativeTraversalExpr) hclsyntax.Expression {
	if call, ok := e.Source.(*hclsyntax.FunctionCallExpr); ok && call.Name == baselineName && len(call.Args) == 1 {
		return &baselineTraversal{e, call}
	}
	return e
}

// Value implements hcl.Expression.
func (b *baselineTraversal) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := b.RelativeTraversalExpr.Value(ctx)
	if !diags.HasErrors() {
		return v, diags
	}
	at, more := b.call.Value(ctx)
	if more.HasErrors() {
		return v, diags
	}
	rev, _ := b.call.Args[0].Value(ctx)
	rev, _ = rev.Unmark()
	var path []string
	for _, s := range b.Traversal {
		at, _ = at.Unmark()
		next, name, more := traverse(at, s)
		if more.HasErrors() && name != "" && at.Type().IsObjectType() {
			diags = hcl.Diagnostics{b.missing(literalText(rev), path, name, mapKeys(at.Type().AttributeTypes()))}
			break
		}
		if at = next; more.HasErrors() {
			break
		}
		path = append(path, name)
	}
	return v, diags
}

// traverse takes one step.
func traverse(v cty.Value, s hcl.Traverser) (next cty.Value, name string, diags hcl.Diagnostics) {
	switch s := s.(type) {
	case hcl.TraverseAttr:
		next, diags = hcl.GetAttr(v, s.Name, &s.SrcRange)
		return next, s.Name, diags
	case hcl.TraverseIndex:
		next, diags = hcl.Index(v, s.Key, &s.SrcRange)
		return next, literalText(s.Key), diags
	}
	return cty.DynamicVal, "", nil
}

func (b *baselineTraversal) missing(rev string, path []string, name string, have []string) *hcl.Diagnostic {
	here := strings.Join(append(path, name), ".")
	detail := ""
	switch len(path) {
	case 0:
		types := slices.DeleteFunc(slices.Clone(have), func(s string) bool { return s == "module" })
		detail = fmt.Sprintf("flow.lock of that revision has stages of the types %s.", list(types, 10))
		if len(types) == 0 {
			detail = "flow.lock of that revision has stages of modules only."
		}
		if len(have) == 0 {
			detail = "flow.lock of that revision has no stages."
		}
	case 1:
		detail = fmt.Sprintf("flow.lock of that revision has %s of this type.", list(have, 10))
	default:
		detail = fmt.Sprintf("flow.lock of that revision has %s under %s.", list(have, 15), strings.Join(path, "."))
		if len(have) == 0 {
			detail = fmt.Sprintf("flow.lock of that revision has nothing under %s.", strings.Join(path, "."))
		}
	}
	if s := closest(name, have); s != "" {
		detail += fmt.Sprintf(" Did you mean %s?", s)
	} else {
		detail += " try(…, VALUE) allows for it."
	}
	return errorAt(b.Range(), fmt.Sprintf("The baseline %q has no %s", rev, here), detail)
}
