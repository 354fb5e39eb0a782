package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/par"
)

// shape says how a block makes its instances.
type shape int

const (
	single shape = iota
	each
	counted
)

// expansion is the instances of a block.
type expansion struct {
	kind      shape
	keys      []addr.Key
	index     map[addr.Key]int         // of keys, for for_each
	each      []cty.Value              // by key, for for_each
	lookup    func(addr.Key) cty.Value // instead of each, where one is wanted
	dynamic   bool                     // each holds unknowns
	failed    bool
	instances []*instance
	// needs are the stages whose results have said which instances there are.
	needs []addr.Address
	// deferred says that they have not yet.
	deferred *Deferred
}

// expansion returns a block's instances. In the base it evaluates them, if that
// has not been done yet.
func (f *frame) expansion(b *block) *expansion {
	if e := f.expansions[b.addr]; e != nil {
		return e
	}
	if base := f.base(); base != nil {
		e := base.expansions[b.addr]
		if !e.dynamic {
			return e
		}
		again := f.again(e, b.meta["for_each"], &b.keys)
		f.expansions[b.addr] = again
		return again
	}
	f.ev.resolve(f.begin(b))
	return f.expansions[b.addr]
}

// pending is an instance that is to be resolved, the i-th of its block.
type pending struct {
	f      *frame
	b      *block
	e      *expansion
	i      int
	before *instance // what an evaluation with less known has found
}

// begin finds out which instances a block has, in the base, and makes the context
// that they share. It returns those that are to be resolved; what nothing new
// concerns is taken over.
func (f *frame) begin(b *block) []pending {
	at := addr.Address{Module: f.at, Type: b.addr.Type, Name: b.addr.Name}
	e := f.expandAt(at, b.addr, b.meta["for_each"], b.meta["count"], &b.keys)
	e.instances = make([]*instance, len(e.keys))
	earlier := f.ev.earlier.expansion(at)
	var todo []pending
	for i, k := range e.keys {
		var before *instance
		if earlier != nil {
			before = earlier.instance(k)
		}
		if before != nil && !f.ev.learnt.changes(before) {
			e.instances[i] = before
			continue
		}
		todo = append(todo, pending{f, b, e, i, before})
	}
	if len(todo) > 0 {
		f.blockContext(b)
	}
	return todo
}

// resolve resolves instances, of which none needs another, side by side.
func (ev *evaluation) resolve(todo []pending) {
	diags := make([]hcl.Diagnostics, len(todo))
	par.Each(len(todo), func(i int) {
		t := todo[i]
		at := addr.Address{Module: t.f.at, Type: t.b.addr.Type, Name: t.b.addr.Name, Key: t.e.keys[t.i]}
		t.e.instances[t.i], diags[i] = t.f.resolve(t.b, at, t.before)
	})
	for i, t := range todo {
		ev.admit(t.e.instances[t.i], diags[i])
	}
}

// admit takes in what became of an instance. Only now all secrets have been met
// that what was resolved along with it knows of.
func (ev *evaluation) admit(in *instance, diags hcl.Diagnostics) *instance {
	ev.diags = append(ev.diags, diags...)
	if !in.failed && !ev.secretPaths(in.stage) {
		in.failed, in.stage.Job = true, nil
	}
	return in
}

// expandAt expands a block or a module block in the base, which before may have
// been evaluated with less known.
func (f *frame) expandAt(at addr.Address, n node, forEach, count *hcl.Attribute, keys *scope) *expansion {
	before := f.ev.earlier.expansion(at)
	if before != nil && !f.ev.learnt.concerns(before) {
		again := *before
		again.instances = nil
		return f.keep(n, &again)
	}
	e := f.expand(at, forEach, count, keys)
	if before != nil {
		e.needs = before.needs
		if before.deferred != nil {
			f.ev.learnt.blocks[at] = true // it may wait for others now
			e.needs = slices.Concat(e.needs, before.deferred.Needs)
		}
	}
	return f.keep(n, e)
}

func (f *frame) keep(n node, e *expansion) *expansion {
	if e.deferred != nil {
		f.ev.deferred = append(f.ev.deferred, *e.deferred)
	}
	f.expansions[n] = e
	return e
}

// again is an expansion of the base once more is known. The instances are the
// same. What each.value is to one of them is looked up when it is asked for:
// as a rule only one is, and there may be thousands.
func (f *frame) again(before *expansion, forEach *hcl.Attribute, keys *scope) *expansion {
	e := &expansion{kind: before.kind, keys: before.keys, index: before.index, dynamic: true, failed: before.failed, instances: before.instances}
	if to := f.soleBlock(forEach.Expr); to != nil {
		e.lookup = func(k addr.Key) cty.Value {
			if in := to.instance(k); in != nil {
				return f.ev.instanceValue(in)
			}
			return broken()
		}
		return e
	}
	v, marks, _ := f.keyValue(forEach.Expr, keys, "for_each")
	t := cty.DynamicPseudoType
	if v != cty.NilVal {
		t = v.Type()
	}
	switch {
	case !t.IsObjectType() && !t.IsMapType(), v.LengthInt() != len(e.keys):
		again := f.expand(addr.Address{}, forEach, nil, keys)
		again.instances = e.instances
		again.failed = again.failed || len(again.keys) != len(e.keys)
		return again
	}
	e.lookup = func(k addr.Key) cty.Value {
		if t.IsMapType() {
			if i := cty.StringVal(k.Text()); v.HasIndex(i).True() {
				return v.Index(i).WithMarks(marks)
			}
		} else if t.HasAttribute(k.Text()) {
			return v.GetAttr(k.Text()).WithMarks(marks)
		}
		return broken()
	}
	return e
}

// soleBlock returns the instances of a block with for_each if an expression is
// that block and nothing else.
func (f *frame) soleBlock(expr hcl.Expression) *expansion {
	t, diags := hcl.AbsTraversalForExpr(expr)
	if diags.HasErrors() || len(t) != 2 {
		return nil
	}
	name, _ := member(t)
	b := f.mod.blocks[node{Module: f.mod.path, Type: t.RootName(), Name: name}]
	if b == nil {
		return nil
	}
	if e := f.expansion(b); e.kind == each && !e.failed {
		return e
	}
	return nil
}

// expand evaluates for_each or count, of which at most one is there.
func (f *frame) expand(at addr.Address, forEach, count *hcl.Attribute, keys *scope) *expansion {
	e := &expansion{}
	switch {
	case forEach != nil:
		e.kind, e.index = each, map[addr.Key]int{}
		f.expandEach(e, at, forEach.Expr, keys)
	case count != nil:
		e.kind = counted
		f.expandCount(e, at, count.Expr, keys)
	default:
		e.keys = []addr.Key{{}}
	}
	return e
}

// instance returns the instance of a key, nil if there is none.
func (e *expansion) instance(k addr.Key) *instance {
	i, ok := 0, k.IsZero()
	switch e.kind {
	case each:
		i, ok = e.index[k]
	case counted:
		i, ok = k.Index(), k.IsInt()
	}
	if !ok || i >= len(e.instances) {
		return nil
	}
	return e.instances[i]
}

// keyValue evaluates for_each or count and refuses what keys may not be made
// of. It returns NilVal after an error, and with what it waits for if it is not
// known yet.
func (f *frame) keyValue(expr hcl.Expression, s *scope, name string) (cty.Value, cty.ValueMarks, *found) {
	v, diags := expr.Value(f.context(s))
	if diags.HasErrors() {
		f.ev.diags = append(f.ev.diags, f.ev.p.improve(diags)...)
		return cty.NilVal, nil, nil
	}
	v, marks := v.Unmark()
	var waits found
	waits.add(marks)
	fail := func(summary, detail string) (cty.Value, cty.ValueMarks, *found) {
		if !waits.broken {
			f.ev.diags = append(f.ev.diags, errorAt(expr.Range(), summary, detail))
		}
		return cty.NilVal, nil, nil
	}
	switch {
	case waits.broken:
		return fail("", "")
	case waits.sensitive:
		return fail(name+" is made from a sensitive value", "Its keys become part of addresses, which are shown and recorded. Use a value that may be seen.")
	case !v.IsKnown() && len(waits.instances) == 0:
		return fail(name+" is not known", "Nothing that runs will tell it, so there would never be an instance.")
	case !v.IsKnown():
		return cty.NilVal, nil, &waits
	case v.IsNull():
		return fail(name+" is null", "Leave it out for a single stage, or give it a value; an empty one makes no instances.")
	}
	return v, marks, nil
}

func (f *frame) expandEach(e *expansion, at addr.Address, expr hcl.Expression, s *scope) {
	v, marks, waits := f.keyValue(expr, s, "for_each")
	if v == cty.NilVal {
		e.wait(at, expr, waits)
		return
	}
	fail := func(detail string) {
		f.ev.diags = append(f.ev.diags, errorAt(expr.Range(), "for_each cannot use this value", detail))
		e.failed = true
		e.keys, e.each = nil, nil
	}
	t := v.Type()
	isMap := t.IsMapType() || t.IsObjectType()
	switch {
	case isStage(v):
		fail(fmt.Sprintf("%s is a single stage. for_each wants a map, whose keys name the instances, or a list of texts.", exprText(f.ev.p, expr)))
		return
	case !isMap && !t.IsSetType() && !t.IsListType() && !t.IsTupleType():
		fail(fmt.Sprintf("It is %s. for_each wants a map, whose keys name the instances, or a list of texts.", describe(t)))
		return
	}
	for it := v.ElementIterator(); it.Next(); {
		k, item := it.Element()
		if !isMap {
			plainItem, itemFound := strip(item)
			if itemFound.sensitive {
				fail("A sensitive value would become part of addresses, which are shown and recorded.")
				return
			}
			itemFound.add(marks) // a set has the marks of its entries
			if !plainItem.IsKnown() && len(itemFound.instances) > 0 {
				e.keys, e.each = nil, nil
				e.wait(at, expr, &itemFound)
				return
			}
			if !plainItem.IsKnown() || plainItem.IsNull() || (plainItem.Type() != cty.String && plainItem.Type() != cty.Number) {
				fail("The entries of a list must be known texts or numbers, for they name the instances. For other values write a map: { NAME = VALUE, … }.")
				return
			}
			k = cty.StringVal(literalText(plainItem))
		}
		key := addr.StringKey(k.AsString())
		if _, twice := e.index[key]; twice {
			fail(fmt.Sprintf("The list has %s twice, and the entries name the instances.", key.Text()))
			return
		}
		item = item.WithMarks(marks)
		if !item.IsWhollyKnown() {
			e.dynamic = true
		}
		e.index[key] = len(e.keys)
		e.keys = append(e.keys, key)
		e.each = append(e.each, item)
	}
}

func (f *frame) expandCount(e *expansion, at addr.Address, expr hcl.Expression, s *scope) {
	v, _, waits := f.keyValue(expr, s, "count")
	if v == cty.NilVal {
		e.wait(at, expr, waits)
		return
	}
	got, diags := convertTo(v, cty.Number, expr.Range())
	n := -1
	if !diags.HasErrors() {
		if i, accuracy := got.AsBigFloat().Int64(); accuracy == 0 && i >= 0 && i <= 1_000_000 {
			n = int(i)
		}
	}
	if n < 0 {
		f.ev.diags = append(f.ev.diags, errorAt(expr.Range(), "count is a whole number", fmt.Sprintf("It says how many instances there are, from 0 to a million; got %s.", describeValue(v))))
		e.failed = true
		return
	}
	for i := range n {
		e.keys = append(e.keys, addr.IntKey(i))
	}
}
