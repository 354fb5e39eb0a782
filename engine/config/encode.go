package config

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/stage"
)

// encoder turns one instance's values into the two JSON forms of its
// arguments, and collects on the way what the values depend on.
type encoder struct {
	ev   *evaluation
	f    *frame
	b    *block
	addr addr.Address
	ctx  *hcl.EvalContext

	args, hashed map[string]any
	inputs       []stage.Input
	roles        map[string]int // how many inputs there are of a path
	found        found
	names        struct{ unknown, sensitive []string }
	dynamic      bool // something depends on metrics
	failed       bool
	diags        hcl.Diagnostics

	done []string // top-level names that have been encoded
	// Of the top-level argument at hand:
	unknown, sensitive bool
	// hidden counts the sensitive values that the value at hand is in.
	hidden int
	// secretOptions are the meta-arguments with sensitive values.
	secretOptions []string
}

func newEncoder(f *frame, b *block, a addr.Address, ctx *hcl.EvalContext) *encoder {
	return &encoder{ev: f.ev, f: f, b: b, addr: a, ctx: ctx, args: map[string]any{}, hashed: map[string]any{}, roles: map[string]int{}}
}

// arguments encodes all arguments and blocks that are not done yet, but those
// in skip, which count as unknown.
func (e *encoder) arguments(skip []string) {
	schema := e.b.body.schema
	for _, a := range schema.order {
		if e.b.body.attrs[a.Name] == nil {
			if a.defaultArg != nil {
				e.args[a.Name] = a.defaultArg
			}
			continue
		}
		e.top(a.Name, skip, func() { e.attribute(e.b.body, a, "", e.args, e.hashed) })
	}
	for _, blk := range schema.names {
		if !slices.ContainsFunc(e.b.body.blocks, func(n *nested) bool { return n.schema.Block == blk }) {
			continue
		}
		e.top(blk.Name, skip, func() { e.blocks(e.b.body, blk, "", e.args, e.hashed) })
	}
	slices.Sort(e.names.unknown)
	slices.Sort(e.names.sensitive)
	e.names.sensitive = slices.Compact(e.names.sensitive)
	// In the order of the schema, whatever was encoded first.
	slices.SortStableFunc(e.inputs, func(a, b stage.Input) int { return cmp.Compare(e.place(a.Role), e.place(b.Role)) })
}

// place is where the argument of a role stands in the schema.
func (e *encoder) place(role string) int {
	name := role
	if i := strings.IndexAny(role, ".[#"); i >= 0 {
		name = role[:i]
	}
	return e.b.body.schema.places[name]
}

// top encodes the top-level argument or block of this name.
func (e *encoder) top(name string, skip []string, encode func()) {
	switch {
	case slices.Contains(e.done, name):
		return
	case slices.Contains(skip, name):
		e.names.unknown = append(e.names.unknown, name)
		return
	}
	e.done = append(e.done, name)
	e.unknown, e.sensitive = false, false
	if encode(); e.unknown {
		delete(e.args, name)
		delete(e.hashed, name)
		e.names.unknown = append(e.names.unknown, name)
		e.dynamic = true
	}
}

// attribute encodes one argument of a body into its JSON objects.
func (e *encoder) attribute(b *body, a *attrSchema, at string, args, hashed map[string]any) {
	attr := b.attrs[a.Name]
	if attr == nil {
		if a.defaultArg != nil {
			args[a.Name] = a.defaultArg
		}
		return
	}
	where := join(at, a.Name)
	arg, hash := e.expression(attr.Expr, a.Type, where)
	if arg == nil {
		if e.unknown || e.failed {
			return
		}
		if a.Required {
			e.fail(where, fmt.Sprintf("%q is null", a.Name), "The argument is required, so its value may not be null.")
		}
		if a.defaultArg != nil {
			args[a.Name] = a.defaultArg
		}
		return
	}
	if len(a.OneOf) > 0 {
		e.oneOf(arg, a, where)
	}
	args[a.Name] = arg
	if a.Unkeyed {
		return
	}
	if a.defaultJSON == "" || string(canonical(hash)) != a.defaultJSON {
		hashed[a.Name] = hash
	}
}

func (e *encoder) oneOf(arg any, a *attrSchema, where string) {
	switch arg := arg.(type) {
	case string:
		if !slices.Contains(a.OneOf, arg) && e.sensitive {
			e.fail(where, fmt.Sprintf("Not a value of %s", a.Name), fmt.Sprintf("%s is one of %s.", a.Name, quoted(a.OneOf)))
		} else if !slices.Contains(a.OneOf, arg) {
			e.fail(where, fmt.Sprintf("%q is not a value of %s", arg, a.Name), fmt.Sprintf("%s is one of %s.%s", a.Name, quoted(a.OneOf), guess(arg, a.OneOf)))
		}
	case []any:
		for i, item := range arg {
			e.oneOf(item, a, fmt.Sprintf("%s[%d]", where, i))
		}
	}
}

// blocks encodes all nested blocks of one name.
func (e *encoder) blocks(b *body, blk *stage.Block, at string, args, hashed map[string]any) {
	var many, manyHashed []any
	for _, n := range b.blocks {
		if n.schema.Block != blk {
			continue
		}
		e.each(n, join(at, blk.Name), func(label string) {
			inArgs, inHashed := map[string]any{}, map[string]any{}
			where := join(at, blk.Name)
			switch blk.Kind {
			case stage.Repeated:
				where = fmt.Sprintf("%s[%d]", where, len(many))
			case stage.Steps:
				where = fmt.Sprintf("%s[%d].%s", where, len(many), n.schema.step)
			case stage.Choice:
				where = join(where, label)
			}
			e.body(n.bodyAs(label), where, inArgs, inHashed)
			if n.schema.label != "" {
				inArgs[n.schema.label], inHashed[n.schema.label] = label, label
			}
			if _, twice := args[blk.Name]; twice {
				e.failAt(n.Range, fmt.Sprintf("Duplicate block %q", blk.Name), "There is at most one, and the dynamic block makes another.")
			}
			switch blk.Kind {
			case stage.Single:
				args[blk.Name], hashed[blk.Name] = inArgs, inHashed
			case stage.Choice:
				args[blk.Name], hashed[blk.Name] = map[string]any{label: inArgs}, map[string]any{label: inHashed}
			case stage.Repeated:
				many, manyHashed = append(many, inArgs), append(manyHashed, inHashed)
			case stage.Steps:
				many = append(many, map[string]any{n.schema.step: inArgs})
				manyHashed = append(manyHashed, map[string]any{n.schema.step: inHashed})
			}
		})
	}
	if many != nil {
		args[blk.Name], hashed[blk.Name] = many, manyHashed
	}
}

func (e *encoder) body(b *body, at string, args, hashed map[string]any) {
	for _, a := range b.schema.order {
		e.attribute(b, a, at, args, hashed)
	}
	for _, blk := range b.schema.names {
		e.blocks(b, blk, at, args, hashed)
	}
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

func (e *encoder) fail(where, summary, detail string) {
	e.failed = true
	if e.secretOption(where) {
		summary, detail = unshown(where)
	}
	if e.addr != e.addr.Block() {
		detail += fmt.Sprintf("\n\nThis is in %s.", e.addr)
	}
	detail += e.b.givenAt(where)
	e.diags = append(e.diags, errorAt(e.ev.p.rangeOf(e.b, where), summary, detail))
}

// expression evaluates and encodes one expression.
func (e *encoder) expression(expr hcl.Expression, t cty.Type, where string) (arg, hash any) {
	if holdsExpression(t) {
		return e.lazy(expr, t, where)
	}
	v, diags := expr.Value(e.ctx)
	if diags.HasErrors() {
		e.failed = true
		e.diags = append(e.diags, e.ev.p.improve(diags)...)
		return nil, nil
	}
	return e.value(v, t, where, nil)
}

// role is an output that a value was made from, and the input's role.
type role struct {
	outputMark
	name string
}

// note records a value's marks and returns the inputs in force for it: those
// it brings and those of the values around it.
func (e *encoder) note(marks cty.ValueMarks, where string, around []role) []role {
	if len(marks) == 0 {
		return around
	}
	var f found
	f.add(marks)
	if f.sensitive {
		e.sensitive = true
		e.names.sensitive = append(e.names.sensitive, where)
	}
	e.failed = e.failed || f.broken
	e.depend(f)
	roles := slices.Clip(around)
	for _, o := range f.outputs {
		if slices.ContainsFunc(around, func(r role) bool { return r.outputMark == o }) {
			continue
		}
		r := role{outputMark: o}
		if o.addr != e.addr {
			r.name = e.input(where, stage.Input{Path: o.path, From: &stage.Source{Address: o.addr.String(), Output: o.output}})
		}
		roles = append(roles, r)
	}
	return roles
}

// depend notes the stages that a value was made from.
func (e *encoder) depend(f found) {
	for a := range f.instances {
		if a != e.addr {
			e.found.instance(a)
		}
	}
	for a := range f.awaits {
		e.found.await(a)
	}
}

// input adds an input, whose role is the path of the argument that names it,
// with #2 and so on if that is taken.
func (e *encoder) input(where string, in stage.Input) string {
	in.Role = where
	e.roles[where]++
	if n := e.roles[where]; n > 1 {
		in.Role = fmt.Sprintf("%s#%d", where, n)
	}
	e.inputs = append(e.inputs, in)
	return in.Role
}

// narrow makes of the directory that a text is a path in, if it is nothing else,
// an input that is one file.
func (e *encoder) narrow(text cty.Value, fresh []role) {
	if text.Type() != cty.String {
		return
	}
	for _, r := range fresh {
		rel, ok := strings.CutPrefix(text.AsString(), r.path+"/")
		if !ok || r.name == "" || path.Clean("/"+rel) != "/"+rel {
			continue
		}
		i := slices.IndexFunc(e.inputs, func(in stage.Input) bool { return in.Role == r.name })
		e.inputs[i].Path, e.inputs[i].From.Path = text.AsString(), rel
	}
}

// value encodes v as type t. arg and hash are nil for null and after unknown
// or wrong values, which e.unknown and e.failed tell apart.
func (e *encoder) value(v cty.Value, t cty.Type, where string, around []role) (arg, hash any) {
	v, marks := v.Unmark()
	if _, sensitive := marks[sensitiveMark{}]; sensitive {
		e.hidden++
		defer func() { e.hidden-- }()
	}
	switch t {
	case stage.ArtifactType:
		return e.artifact(v, marks, where, around)
	case stage.ReferenceType:
		return e.reference(v, marks, where)
	}
	roles := e.note(marks, where, around)
	if !v.IsKnown() {
		e.unknown = true
		return nil, nil
	}
	if v.IsNull() {
		return nil, nil
	}
	switch {
	case t.IsListType() || t.IsSetType():
		return e.list(v, t.ElementType(), where, roles)
	case t.IsMapType():
		return e.mapping(v, t.ElementType(), where, roles)
	case t.IsObjectType():
		return e.object(v, t, where, roles)
	case t.IsTupleType():
		return e.tuple(v, t, where, roles)
	case t == cty.DynamicPseudoType:
		return e.anything(v, where, roles, roles[len(around):])
	}
	if t == cty.String {
		v = asText(v)
	}
	got, err := convert.Convert(v, t)
	if err != nil {
		e.wrong(v, t, where)
		return nil, nil
	}
	e.narrow(got, roles[len(around):])
	return e.primitive(got, roles)
}

func (e *encoder) primitive(v cty.Value, roles []role) (arg, hash any) {
	switch v.Type() {
	case cty.Bool:
		return v.True(), v.True()
	case cty.Number:
		n := number(v.AsBigFloat())
		if e.hidden > 0 {
			e.ev.p.secrets.derive(literalText(v))
		}
		return n, n
	}
	s := v.AsString()
	if e.hidden > 0 {
		e.ev.p.secrets.derive(s)
	}
	return s, hashText(s, roles)
}

// anything encodes a value of whatever type it has.
// fresh are the inputs that it brings itself.
func (e *encoder) anything(v cty.Value, where string, roles, fresh []role) (arg, hash any) {
	t := v.Type()
	switch {
	case isStage(v):
		e.fail(where, "A stage is not a value", "Name what is meant: its path (.path, or .NAME.path for one of several outputs) or its .metrics.")
		return nil, nil
	case t.IsPrimitiveType():
		e.narrow(v, fresh)
		return e.primitive(v, roles)
	case t.IsObjectType() || t.IsMapType():
		return e.mapping(v, cty.DynamicPseudoType, where, roles)
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		return e.list(v, cty.DynamicPseudoType, where, roles)
	}
	e.fail(where, "This value cannot be an argument", fmt.Sprintf("It is %s.", describe(t)))
	return nil, nil
}

func (e *encoder) list(v cty.Value, elem cty.Type, where string, roles []role) (arg, hash any) {
	t := v.Type()
	special := elem == stage.ArtifactType || elem == stage.ReferenceType
	switch {
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
	case special && (isStage(v) || isOutput(v)):
		// A single stage stands for a list of one, so that an argument such
		// as candidates takes a block with and without for_each.
		v = cty.TupleVal([]cty.Value{v})
	case special && isInstances(v):
	default:
		e.wrong(v, cty.List(elem), where)
		return nil, nil
	}
	args, hashes := []any{}, []any{}
	for it := v.ElementIterator(); it.Next(); {
		_, item := it.Element()
		at := fmt.Sprintf("%s[%d]", where, len(args))
		a, h := e.value(item, elem, at, roles)
		if a == nil && !e.unknown && !e.failed && elem != cty.DynamicPseudoType {
			e.fail(at, "An entry of the list is null", "Leave it out; compact([…]) drops nulls and empty texts.")
		}
		args, hashes = append(args, a), append(hashes, h)
	}
	return args, hashes
}

func (e *encoder) mapping(v cty.Value, elem cty.Type, where string, roles []role) (arg, hash any) {
	t := v.Type()
	if (!t.IsObjectType() && !t.IsMapType()) || (elem != cty.DynamicPseudoType && (isStage(v) || isOutput(v))) {
		e.wrong(v, cty.Map(elem), where)
		return nil, nil
	}
	args, hashes := map[string]any{}, map[string]any{}
	for it := v.ElementIterator(); it.Next(); {
		k, item := it.Element()
		name := k.AsString()
		a, h := e.value(item, elem, where+step(name), roles)
		if a == nil && elem != cty.DynamicPseudoType {
			continue // a null entry is one that is not there
		}
		args[name], hashes[name] = a, h
	}
	return args, hashes
}

func (e *encoder) object(v cty.Value, t cty.Type, where string, roles []role) (arg, hash any) {
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		e.wrong(v, t, where)
		return nil, nil
	}
	given := v.AsValueMap()
	args, hashes := map[string]any{}, map[string]any{}
	types := t.AttributeTypes()
	for _, name := range mapKeys(given) {
		if _, ok := types[name]; !ok {
			e.fail(where+step(name), fmt.Sprintf("Unknown name %q", name), fmt.Sprintf("The value has no %q.%s", name, didYouMean(name, mapKeys(types))))
		}
	}
	for _, name := range mapKeys(types) {
		item, ok := given[name]
		if !ok {
			if !t.AttributeOptional(name) {
				e.fail(where, fmt.Sprintf("%q is missing", name), fmt.Sprintf("The value needs %s.", list(mapKeys(types), 12)))
			}
			continue
		}
		if a, h := e.value(item, types[name], where+step(name), roles); a != nil {
			args[name], hashes[name] = a, h
		}
	}
	return args, hashes
}

func (e *encoder) tuple(v cty.Value, t cty.Type, where string, roles []role) (arg, hash any) {
	types := t.TupleElementTypes()
	if vt := v.Type(); (!vt.IsTupleType() && !vt.IsListType()) || v.LengthInt() != len(types) {
		e.wrong(v, t, where)
		return nil, nil
	}
	args, hashes := []any{}, []any{}
	for it := v.ElementIterator(); it.Next(); {
		_, item := it.Element()
		a, h := e.value(item, types[len(args)], fmt.Sprintf("%s[%d]", where, len(args)), roles)
		args, hashes = append(args, a), append(hashes, h)
	}
	return args, hashes
}

func (e *encoder) wrong(v cty.Value, t cty.Type, where string) {
	got := describeValue(v)
	if e.sensitive {
		got = describe(v.Type())
	}
	e.fail(where, fmt.Sprintf("Wrong type for %s", where), fmt.Sprintf("Expected %s, got %s.%s", describe(t), got, wrongHint(v, t)))
}
