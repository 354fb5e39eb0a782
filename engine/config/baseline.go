package config

import (
	"errors"
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
	"github.com/flow-pipelines/flow/engine/suggest"
)

// Baseline returns what a revision of the project has recorded. An error says,
// as a sentence that could follow a colon, why there is nothing; it may be an
// *UnknownRevision or an *UnreadableBaseline.
type Baseline func(rev string) (Recorded, error)

// Recorded is what a revision has recorded of its stages.
type Recorded struct {
	Metrics map[addr.Address]stage.Metrics
	// Doubtful are stages of which something is recorded that cannot be relied
	// on. To use it is a mistake for which try does not stand in: else a gate
	// that compares with it would open.
	Doubtful []addr.Address
}

// UnknownRevision says that there is no such revision, as opposed to one
// without the metric. Where try stands in for it, there is a warning.
type UnknownRevision struct{ Err error }

func (e *UnknownRevision) Error() string { return e.Err.Error() }

func (e *UnknownRevision) Unwrap() error { return e.Err }

// UnreadableBaseline says that the revision has recorded something that cannot
// be read. As with a doubtful stage, try does not stand in.
type UnreadableBaseline struct{ Err error }

func (e *UnreadableBaseline) Error() string { return e.Err.Error() }

func (e *UnreadableBaseline) Unwrap() error { return e.Err }

const baselineName = "baseline"

// baselineError says that there is nothing to compare with.
type baselineError struct {
	rev    string
	err    error
	faults *faults
}

func (e *baselineError) Error() string { return fmt.Sprintf("no baseline %q: %v", e.rev, e.err) }

func (e *baselineError) Unwrap() error { return e.err }

// faults are what is said of baselines besides the errors of expressions, which
// try would swallow.
type faults struct {
	mu               sync.Mutex
	errors, warnings hcl.Diagnostics
}

// add keeps d, unless the same is kept already.
func (f *faults) add(d *hcl.Diagnostic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	to := &f.errors
	if d.Severity == hcl.DiagWarning {
		to = &f.warnings
	}
	if !slices.ContainsFunc(*to, func(o *hcl.Diagnostic) bool { return o.Summary == d.Summary && subject(o) == subject(d) }) {
		*to = append(*to, d)
	}
}

// all returns the errors so far.
func (f *faults) all() hcl.Diagnostics {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.errors)
}

// since returns the errors after the first n, and forgets them.
func (f *faults) since(n int) hcl.Diagnostics {
	f.mu.Lock()
	defer f.mu.Unlock()
	later := slices.Clone(f.errors[n:])
	f.errors = slices.Clip(f.errors[:n])
	return later
}

// doubtMark is on what stands for a baseline that cannot be relied on. Who meets
// it tells of it: being a mark, it gets through try.
type doubtMark struct {
	faults          *faults
	summary, detail string
}

func (m doubtMark) value() cty.Value { return cty.DynamicVal.Mark(m) }

// tell says so, of a place if it is known.
func (m doubtMark) tell(rng *hcl.Range) {
	m.faults.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: m.summary, Detail: m.detail, Subject: rng})
}

// doubted returns the mark of v, if it has one.
func doubted(v cty.Value) (doubtMark, bool) {
	for m := range v.Marks() {
		if d, ok := m.(doubtMark); ok {
			return d, true
		}
	}
	return doubtMark{}, false
}

// swallowed warns of failures that try or can make nothing of.
func swallowed(diags hcl.Diagnostics) {
	for _, d := range diags {
		call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d)
		if !ok {
			continue
		}
		var base *baselineError
		var unknown *UnknownRevision
		if err := call.FunctionCallError(); errors.As(err, &base) && errors.As(err, &unknown) {
			base.faults.add(&hcl.Diagnostic{
				Severity: hcl.DiagWarning, Subject: d.Subject,
				Summary: fmt.Sprintf("There is no baseline %q", base.rev),
				Detail:  capital(unknown.Error()) + ". What try(…) gives in its place is compared with nothing.",
			})
		}
	}
}

// baselineFunction is baseline(rev): an object of types, names, perhaps keys,
// and metrics; what is in modules is under module.NAME. A revision is read once, so that all of a command sees the same
// even if a branch moves meanwhile. Without a reader nothing is known.
func baselineFunction(read Baseline, told *faults) function.Function {
	type entry struct {
		value cty.Value
		err   error
	}
	var mu sync.Mutex
	seen := map[string]entry{}
	get := func(args []cty.Value) (cty.Value, error) {
		bare, marks := args[0].Unmark()
		if _, secret := marks[sensitiveMark{}]; secret {
			return cty.DynamicVal, function.NewArgErrorf(0, "the name of a revision is shown, and this one is sensitive")
		}
		if read == nil || !bare.IsKnown() {
			return cty.DynamicVal.WithMarks(marks), nil
		}
		rev := bare.AsString()
		mu.Lock()
		defer mu.Unlock()
		e, ok := seen[rev]
		if !ok {
			recorded, err := read(rev)
			var unreadable *UnreadableBaseline
			switch {
			case errors.As(err, &unreadable):
				e.value = doubtMark{told, fmt.Sprintf("The baseline %q cannot be read", rev), capital(err.Error()) + ". try(…) does not stand in for this."}.value()
			case err != nil:
				e.err = &baselineError{rev, err, told}
				e.value = cty.DynamicVal
			default:
				e.value = baselineValue(rev, recorded, told)
			}
			seen[rev] = e
		}
		return e.value.WithMarks(marks), e.err
	}
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "revision", Type: cty.String, AllowMarked: true}},
		Type: func(args []cty.Value) (cty.Type, error) {
			v, err := get(args)
			return v.Type(), err
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return get(args) },
	})
}

// baselineTree is metrics by the steps that lead to them; the leaves are
// stage.Metrics or values.
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
		switch v := v.(type) {
		case baselineTree:
			values[name] = v.value()
		case cty.Value:
			values[name] = v
		default:
			values[name] = valueOf(v)
		}
	}
	return cty.ObjectVal(values)
}

// baselineValue nests metrics as references name stages: evaluate.final.f1,
// train.mlp["small"].f1, train.seeds[0].f1, module.eu.train.mlp.f1.
func baselineValue(rev string, r Recorded, told *faults) cty.Value {
	tree := baselineTree{}
	for _, a := range slices.SortedFunc(maps.Keys(r.Metrics), addr.Compare) {
		tree.put(a, r.Metrics[a])
	}
	for _, a := range r.Doubtful {
		tree.put(a, doubtMark{
			told, fmt.Sprintf("The baseline %q of %s cannot be relied on", rev, a),
			"Its lines in flow.lock of that revision do not fit together, as after a merge by hand. try(…) does not stand in for this: compare with another revision, or apply there and commit flow.lock again.",
		}.value())
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
	if call, ok := e.Source.(*calling); ok && call.Name == baselineName && len(call.Args) == 1 {
		return &baselineTraversal{e, call.FunctionCallExpr}
	}
	return e
}

// Value implements hcl.Expression.
func (b *baselineTraversal) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := b.RelativeTraversalExpr.Value(ctx)
	at, more := b.call.Value(ctx)
	if more.HasErrors() {
		return v, diags
	}
	if m, ok := b.doubt(at); ok {
		m.tell(b.Range().Ptr())
		return broken(), nil
	}
	if !diags.HasErrors() {
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

// doubt walks from the function's value and reports whether it meets something
// that cannot be relied on.
func (b *baselineTraversal) doubt(at cty.Value) (doubtMark, bool) {
	for _, s := range b.Traversal {
		if m, ok := doubted(at); ok {
			return m, true
		}
		at, _ = at.Unmark()
		next, _, diags := traverse(at, s)
		if diags.HasErrors() {
			return doubtMark{}, false
		}
		at = next
	}
	return doubted(at)
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
	if s := suggest.Nearest(name, have); s != "" {
		detail += fmt.Sprintf(" Did you mean %s?", s)
	} else {
		detail += " try(…, VALUE) allows for it."
	}
	return errorAt(b.Range(), fmt.Sprintf("The baseline %q has no %s", rev, here), detail)
}
