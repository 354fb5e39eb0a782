package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

// The kinds of rules, as their blocks are called.
const (
	precondition  = "precondition"
	postcondition = "postcondition"
	assertion     = "assert"
)

// Assertion is a rule of the user's, evaluated as far as what it depends on is
// known.
type Assertion struct {
	Condition
	// Kind is the block's: precondition, postcondition or assert.
	Kind string
	// Message is what error_message says, if the condition is false.
	Message string
}

// Open reports whether it is not known yet if the assertion holds.
func (a Assertion) Open() bool { return a.Value == Unknown }

// Diagnostic says that the assertion does not hold; of names what it is about.
func (a Assertion) Diagnostic(of string) *hcl.Diagnostic {
	return errorAt(a.Range, fmt.Sprintf("A %s of %s does not hold", a.Kind, of), a.Message)
}

// Check is a check block, evaluated as far as known.
type Check struct {
	Name       string
	Assertions []Assertion
	Range      hcl.Range
}

// Value is False if an assertion is, else Unknown if one is, else True.
func (c Check) Value() Truth {
	v := True
	for _, a := range c.Assertions {
		if a.Value == False {
			return False
		}
		if a.Value == Unknown {
			v = Unknown
		}
	}
	return v
}

// Warnings are what there is to say of assertions that do not hold. A check
// judges and stops nothing, so none is an error.
func (c Check) Warnings() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, a := range c.Assertions {
		if a.Value == False {
			d := errorAt(a.Range, fmt.Sprintf("Check %q does not hold", c.Name), a.Message)
			d.Severity = hcl.DiagWarning
			diags = append(diags, d)
		}
	}
	return diags
}

// rule is a condition with its message as they are written.
type rule struct {
	kind               string
	condition, message hcl.Expression
}

// check is a check block, decoded but not evaluated.
type check struct {
	name  string
	mod   *module
	rules []*rule
	Range hcl.Range
	scope scope
}

func declareRule(h *hcl.Block) (*rule, hcl.Diagnostics) {
	c, diags := content(h, metaBlockArguments[precondition], nil)
	condition, message := c.Attributes["condition"], c.Attributes["error_message"]
	if condition == nil || message == nil {
		if !diags.HasErrors() {
			diags = append(diags, errorAt(h.DefRange, fmt.Sprintf("Incomplete %s", h.Type), fmt.Sprintf("A block %s needs a condition and an error_message.", h.Type)))
		}
		return nil, diags
	}
	return &rule{h.Type, condition.Expr, message.Expr}, diags
}

func (m *module) declareCheck(h *hcl.Block) hcl.Diagnostics {
	if diags := labels(h, "check", 1); diags.HasErrors() {
		return diags
	}
	k := &check{name: h.Labels[0], mod: m, Range: h.DefRange}
	c, diags := content(h, []string{"description"}, []string{assertion})
	var description string
	diags = append(diags, m.constantString(c, "description", &description)...)
	for _, b := range c.Blocks {
		r, more := declareRule(b)
		diags = append(diags, more...)
		if r != nil {
			k.rules = append(k.rules, r)
		}
	}
	if len(c.Blocks) == 0 && !diags.HasErrors() {
		diags = append(diags, errorAt(h.DefRange, "A check without an assertion", "A check holds blocks assert { condition = … error_message = … }."))
	}
	p := m.p
	i, found := slices.BinarySearchFunc(p.checks, k, func(a, b *check) int {
		return cmp.Or(strings.Compare(a.mod.path.String(), b.mod.path.String()), strings.Compare(a.name, b.name))
	})
	if found {
		return append(diags, duplicate(h.DefRange, p.checks[i].Range, fmt.Sprintf("check %q", k.name)))
	}
	p.checks = slices.Insert(p.checks, i, k)
	return diags
}

// linkRules finds what the rules of a stage mention. Only a postcondition sees
// the stage itself, for it comes after the run.
func (b *block) linkRules(m *module) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, r := range b.rules {
		var s scope
		refs := r.variables()
		for _, t := range refs {
			if rng := t.SourceRange(); r.kind == precondition && t.RootName() == "self" {
				diags = append(diags, errorAt(rng, "A precondition comes before the run", "The stage has no result yet that self could be. A postcondition sees it."))
			}
		}
		refs = slices.DeleteFunc(refs, func(t hcl.Traversal) bool { return t.RootName() == "self" })
		diags = append(diags, m.mention(&s, refs, false)...)
		b.scope.merge(&s)
	}
	return diags
}

func (p *Pipeline) linkChecks() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, k := range p.checks {
		for _, r := range k.rules {
			diags = append(diags, k.mod.mention(&k.scope, r.variables(), false)...)
		}
		diags = append(diags, k.scope.forbid("a check", true, true, true)...)
	}
	return diags
}

func (r *rule) variables() []hcl.Traversal {
	return slices.Concat(r.condition.Variables(), r.message.Variables())
}

// assess evaluates a rule. f is what it was made from, whether known or not.
func (ev *evaluation) assess(r *rule, ctx *hcl.EvalContext) (a Assertion, f found, diags hcl.Diagnostics) {
	rng := r.condition.Range()
	a = Assertion{Kind: r.kind, Condition: Condition{Text: exprText(ev.p, r.condition), Range: rng}}
	v, diags := r.condition.Value(ctx)
	if diags.HasErrors() {
		return a, f, ev.p.improve(diags)
	}
	message, wrong := r.message.Value(ctx) // what is wrong with it must not hide the rule
	v, marks := v.UnmarkDeep()
	message, more := message.UnmarkDeep()
	f.add(marks)
	secret := f.sensitive
	f.add(more)
	if f.broken {
		return a, f, nil
	}
	if secret {
		v = v.Mark(sensitiveMark{})
	}
	got, diags := convertTo(v, cty.Bool, rng)
	got, _ = got.Unmark()
	switch {
	case diags.HasErrors():
	case !got.IsKnown():
		a.Value = Unknown
	case got.IsNull():
		diags = append(diags, errorAt(rng, "The condition is null", "A condition is true or false."))
	case got.False():
		hidden := f.sensitive || mentionsSecret(r.message, ctx)
		a.Value, a.Message = False, messageText(message, hidden, ev.p.improve(wrong))
	}
	return a, f, diags
}

// messageText is what an error_message says, or what is wrong with it.
func messageText(v cty.Value, secret bool, wrong hcl.Diagnostics) string {
	const fails = "The condition does not hold."
	switch {
	case secret && wrong.HasErrors():
		return fails + " Its error_message cannot be evaluated; why is not shown, for it is about a sensitive value."
	case secret:
		return "The message is not shown, for it is about a sensitive value."
	case wrong.HasErrors():
		d := wrong[0]
		return strings.TrimSpace(fmt.Sprintf("%s Its error_message cannot be evaluated: %s. %s", fails, strings.TrimSuffix(d.Summary, "."), d.Detail))
	case !v.IsKnown():
		return fails + " Its error_message is about what is not known yet."
	}
	if s, err := convert.Convert(v, cty.String); err == nil && !s.IsNull() {
		return s.AsString()
	}
	return fmt.Sprintf("%s Its error_message is no text but %s.", fails, describeValue(v))
}

// rules evaluates the conditions of an instance. Before it has run, those that
// come after the run only say what they depend on.
func (e *encoder) rules(s *Stage, outputs []outputMark) {
	if len(e.b.rules) == 0 {
		return
	}
	defer func() { s.Deps, s.Awaits = sorted(e.found.instances), sorted(e.found.awaits) }()
	for _, r := range e.b.rules {
		ctx := e.ctx
		if r.kind == postcondition {
			ctx = e.f.ownContext(e.b, e.addr, outputs, cty.DynamicVal)
		}
		a, f, diags := e.ev.assess(r, ctx)
		e.diags = append(e.diags, diags...)
		e.failed = e.failed || f.broken || diags.HasErrors()
		e.depend(f)
		if r.kind != precondition {
			continue
		}
		e.dynamic = e.dynamic || a.Value == Unknown
		s.Preconditions = append(s.Preconditions, a)
	}
}

// ownContext is the context of a postcondition: the block's, and the stage
// itself with its metrics.
func (f *frame) ownContext(b *block, a addr.Address, outputs []outputMark, metrics cty.Value) *hcl.EvalContext {
	ctx := f.blockContext(b).NewChild()
	ctx.Variables = f.expansion(b).names(a.Key)
	in := &instance{stage: &Stage{Addr: a}, outputs: outputs}
	self := in.attributes()
	self["metrics"] = metrics
	ctx.Variables["self"] = cty.ObjectVal(self)
	return ctx
}

// Postconditions evaluates what a stage says of its result, for the metrics
// own. A mistake that shows only now, such as a metric that is not there, is a
// diagnostic.
func (p *Pipeline) Postconditions(a addr.Address, r Results, own stage.Metrics) ([]Assertion, hcl.Diagnostics) {
	b := p.block(a)
	if b == nil || !slices.ContainsFunc(b.rules, func(r *rule) bool { return r.kind == postcondition }) {
		return nil, nil
	}
	base := p.evaluateBase()
	in := base.instance(a)
	if in == nil || in.failed {
		return nil, nil
	}
	ev := p.evaluationFor(in, r)
	ctx := ev.frame(a.Module).ownContext(b, a, in.outputs, metricsValue(own))
	var all []Assertion
	for _, r := range b.rules {
		if r.kind != postcondition {
			continue
		}
		found, _, diags := ev.assess(r, ctx)
		ev.diags = append(ev.diags, diags...)
		all = append(all, found)
	}
	return all, tidy(ev.diags)
}

// Checks evaluates the check blocks, sorted by name; those of a module once
// for each of its instances, whose path is part of the name. An assertion that cannot
// be evaluated does not hold.
func (p *Pipeline) Checks(r Results) []Check {
	base := p.evaluateBase()
	if p.failed || p.baseDiags.HasErrors() {
		return nil
	}
	ev := newEvaluation(p, r, base)
	var checks []Check
	for _, k := range p.checks {
		for _, f := range base.framesOf(k.mod) {
			checks = append(checks, ev.frame(f.at).judge(k))
		}
	}
	return checks
}

// judge evaluates a check block of the module.
func (f *frame) judge(k *check) Check {
	c := Check{Name: k.name, Range: k.Range}
	if f.up != nil {
		c.Name = f.at.String() + "." + k.name
	}
	ctx := f.context(&k.scope)
	for _, r := range k.rules {
		a, _, diags := f.ev.assess(r, ctx)
		if diags.HasErrors() {
			d := diags[0]
			a.Value, a.Message = False, strings.TrimSpace(fmt.Sprintf("It cannot be evaluated: %s. %s", strings.TrimSuffix(d.Summary, "."), d.Detail))
		}
		c.Assertions = append(c.Assertions, a)
	}
	return c
}
