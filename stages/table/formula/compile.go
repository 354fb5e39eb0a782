package formula

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/flow-pipelines/flow/engine/suggest"
	"github.com/flow-pipelines/flow/stages/table"
)

type compiler struct {
	source    []byte
	constants map[string]any
	columns   []table.Column
	depth     int
}

// maxDepth bounds the nesting, and so the stack, of an expression.
const maxDepth = 200

// compile compiles one expression to a single value.
func (c *compiler) compile(e hclsyntax.Expression) (node, error) {
	if c.depth++; c.depth > maxDepth {
		return node{}, fmt.Errorf("an expression nested more than %d levels deep", maxDepth)
	}
	defer func() { c.depth-- }()
	n, err := c.dispatch(e)
	if err != nil {
		return node{}, err
	}
	n.source = c.text(e.Range())
	return n, nil
}

func (c *compiler) dispatch(e hclsyntax.Expression) (node, error) {
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return c.literal(e.Val)
	case *hclsyntax.ParenthesesExpr:
		return c.compile(e.Expression)
	case *hclsyntax.TemplateWrapExpr:
		return c.compile(e.Wrapped)
	case *hclsyntax.TemplateExpr:
		return c.template(e)
	case *hclsyntax.ScopeTraversalExpr:
		return c.reference(e)
	case *hclsyntax.UnaryOpExpr:
		return c.unary(e)
	case *hclsyntax.BinaryOpExpr:
		return c.binary(e)
	case *hclsyntax.ConditionalExpr:
		return c.conditional(e)
	case *hclsyntax.FunctionCallExpr:
		return c.call(e)
	case *hclsyntax.TupleConsExpr:
		return node{}, fmt.Errorf("%s: a list can stand only in contains([…], value)", c.text(e.Range()))
	}
	return node{}, fmt.Errorf("%s: not possible in an expression about rows, which has operators, conditionals, templates and functions", c.text(e.Range()))
}

// text is the source of a range, shortened for messages.
func (c *compiler) text(r hcl.Range) string {
	if !r.CanSliceBytes(c.source) {
		return "expression"
	}
	s := []rune(strings.ToValidUTF8(string(r.SliceBytes(c.source)), "?"))
	if len(s) > 60 {
		return string(s[:59]) + "…"
	}
	return string(s)
}

func fixed(v table.Value) node {
	return node{typ: v.Type(), constant: true, known: v, eval: func(*frame) table.Value { return v }}
}

func (c *compiler) literal(v cty.Value) (node, error) {
	switch {
	case v.IsNull():
		return fixed(table.Value{}), nil
	case !v.IsKnown():
	case v.Type() == cty.String:
		return fixed(table.StringValue(v.AsString())), nil
	case v.Type() == cty.Bool:
		return fixed(table.BoolValue(v.True())), nil
	case v.Type() == cty.Number:
		if i, accuracy := v.AsBigFloat().Int64(); accuracy == 0 && v.AsBigFloat().IsInt() {
			return fixed(table.IntValue(i)), nil
		}
		f, _ := v.AsBigFloat().Float64()
		return fixed(table.FloatValue(f)), nil
	}
	return node{}, fmt.Errorf("a literal that is no text, number or truth value")
}

// reference compiles row.column, row["column"], and names of the pipeline,
// whose values came with the expression.
func (c *compiler) reference(e *hclsyntax.ScopeTraversalExpr) (node, error) {
	text := string(e.Traversal.SourceRange().SliceBytes(c.source))
	if e.Traversal.RootName() != "row" {
		v, ok := c.constants[text]
		if !ok {
			if _, err := table.Index(c.columns, text); err == nil {
				return node{}, fmt.Errorf("%s: a column of the row is written row.%s", text, text)
			}
			return node{}, fmt.Errorf("%s: not known here; a column is written row.NAME", text)
		}
		return c.constant(text, v)
	}
	if len(e.Traversal) != 2 {
		return node{}, fmt.Errorf("%s: name one column, as row.NAME or row[\"NAME\"]", text)
	}
	var name string
	switch step := e.Traversal[1].(type) {
	case hcl.TraverseAttr:
		name = step.Name
	case hcl.TraverseIndex:
		if step.Key.Type() != cty.String {
			return node{}, fmt.Errorf("%s: columns have names, not numbers", text)
		}
		name = step.Key.AsString()
	default:
		return node{}, fmt.Errorf("%s: name one column, as row.NAME or row[\"NAME\"]", text)
	}
	i, err := table.Index(c.columns, name)
	if err != nil {
		return node{}, fmt.Errorf("%s: %w", text, err)
	}
	return node{typ: c.columns[i].Type, eval: func(f *frame) table.Value { return f.row[i] }}, nil
}

func (c *compiler) constant(text string, v any) (node, error) {
	switch v := v.(type) {
	case nil:
		return fixed(table.Value{}), nil
	case bool:
		return fixed(table.BoolValue(v)), nil
	case string:
		return fixed(table.StringValue(v)), nil
	case float64:
		if v == float64(int64(v)) {
			return fixed(table.IntValue(int64(v))), nil
		}
		return fixed(table.FloatValue(v)), nil
	case json.Number:
		if i, ok := table.ParseInt(v.String()); ok {
			return fixed(table.IntValue(i)), nil
		}
		if f, err := v.Float64(); err == nil {
			return fixed(table.FloatValue(f)), nil
		}
		return node{}, fmt.Errorf("%s: %s is beyond the numbers of 64 bits", text, v)
	case []any:
		return node{}, fmt.Errorf("%s: a list can stand only in contains(%s, value)", text, text)
	}
	return node{}, fmt.Errorf("%s: want a text, a number or a truth value, not an object", text)
}

// list compiles an expression that stands for several values: [a, b], or a
// list of the pipeline's. ok is false if e is no list.
func (c *compiler) list(e hclsyntax.Expression) (items []node, ok bool, err error) {
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return c.list(e.Expression)
	case *hclsyntax.TupleConsExpr:
		for _, item := range e.Exprs {
			n, err := c.compile(item)
			if err != nil {
				return nil, true, err
			}
			items = append(items, n)
		}
		return items, true, nil
	case *hclsyntax.ScopeTraversalExpr:
		text := string(e.Traversal.SourceRange().SliceBytes(c.source))
		values, isList := c.constants[text].([]any)
		if !isList {
			return nil, false, nil
		}
		for i, v := range values {
			n, err := c.constant(text+"["+strconv.Itoa(i)+"]", v)
			if err != nil {
				return nil, true, err
			}
			n.source = text + "[" + strconv.Itoa(i) + "]"
			items = append(items, n)
		}
		return items, true, nil
	}
	return nil, false, nil
}

// template joins the texts of its parts.
func (c *compiler) template(e *hclsyntax.TemplateExpr) (node, error) {
	parts := make([]node, len(e.Parts))
	for i, part := range e.Parts {
		n, err := c.compile(part)
		if err != nil {
			return node{}, err
		}
		parts[i] = n
	}
	if len(parts) == 0 {
		return fixed(table.StringValue("")), nil
	}
	if len(parts) == 1 && parts[0].constant && parts[0].typ == table.String {
		return parts[0], nil
	}
	return node{typ: table.String, eval: func(f *frame) table.Value {
		var text []byte
		for _, p := range parts {
			v := p.eval(f)
			if v.IsMissing() {
				return v
			}
			text = v.AppendText(text)
		}
		return table.StringValue(string(text))
	}}, nil
}

func (c *compiler) conditional(e *hclsyntax.ConditionalExpr) (node, error) {
	cond, err := c.compile(e.Condition)
	if err != nil {
		return node{}, err
	}
	if cond, err = condition(cond); err != nil {
		return node{}, err
	}
	yes, err := c.compile(e.TrueResult)
	if err != nil {
		return node{}, err
	}
	no, err := c.compile(e.FalseResult)
	if err != nil {
		return node{}, err
	}
	t, err := unify(yes, no)
	if err != nil {
		return node{}, err
	}
	yes, no = yes.as(t), no.as(t)
	return node{typ: t, eval: func(f *frame) table.Value {
		v := cond.eval(f)
		if v.IsMissing() {
			return v
		}
		if b, _ := v.Bool(); b {
			return yes.eval(f)
		}
		return no.eval(f)
	}}, nil
}

// unify is the type that holds the values of all nodes.
func unify(nodes ...node) (table.Type, error) {
	var t table.Type
	for i, n := range nodes {
		switch {
		case n.typ == t || n.typ == table.Missing:
		case t == table.Missing:
			t = n.typ
		case t.Numeric() && n.typ.Numeric():
			t = table.Float
		case t == table.Text || n.typ == table.Text:
			t = table.Text
		case textual(t) || textual(n.typ):
			t = table.String
		default:
			return t, fmt.Errorf("%s is %s, but %s is %s", nodes[0].source, kind(nodes[0].typ), nodes[i].source, kind(n.typ))
		}
	}
	return t, nil
}

// as converts a node's values to the type that unify found.
func (n node) as(t table.Type) node {
	if n.typ == t || n.typ == table.Missing {
		return n
	}
	eval := n.eval
	n.eval = func(f *frame) table.Value {
		v, _ := eval(f).Convert(t) // to Float from Int, or to text: never fails
		return v
	}
	n.typ, n.constant = t, false
	return n
}

// textual types hold text that is not up for interpretation.
func textual(t table.Type) bool { return t == table.String || t == table.JSON }

// kind names a type for people.
func kind(t table.Type) string {
	switch t {
	case table.Int, table.Float:
		return "a number"
	case table.Bool:
		return "a truth value"
	case table.Missing:
		return "null"
	case table.Text, table.String, table.JSON:
	}
	return "a text"
}

func (c *compiler) call(e *hclsyntax.FunctionCallExpr) (node, error) {
	fn, ok := functions[e.Name]
	if !ok {
		names := slices.Sorted(maps.Keys(functions))
		if s := suggest.Nearest(e.Name, names); s != "" {
			return node{}, fmt.Errorf("no function %s; did you mean %s?", e.Name, s)
		}
		return node{}, fmt.Errorf("no function %s; there are %s", e.Name, strings.Join(names, ", "))
	}
	if e.ExpandFinal {
		return node{}, fmt.Errorf("%s(…): arguments cannot be expanded", e.Name)
	}
	if n := len(e.Args); n < fn.min || (fn.max >= 0 && n > fn.max) {
		return node{}, fmt.Errorf("%s: %d arguments, want %s", c.text(e.Range()), n, fn.usage)
	}
	if e.Name == "contains" {
		if items, isList, err := c.list(e.Args[0]); err != nil {
			return node{}, err
		} else if isList {
			return c.member(items, e.Args[1])
		}
	}
	args := make([]node, len(e.Args))
	for i, arg := range e.Args {
		n, err := c.compile(arg)
		if err != nil {
			return node{}, err
		}
		args[i] = n
	}
	n, err := fn.compile(args)
	if err != nil {
		return node{}, fmt.Errorf("%s: %w", e.Name, err)
	}
	return n, nil
}

// member compiles contains([a, b], x).
func (c *compiler) member(items []node, e hclsyntax.Expression) (node, error) {
	x, err := c.compile(e)
	if err != nil {
		return node{}, err
	}
	tests := make([]node, len(items))
	for i, item := range items {
		if tests[i], err = equal(x, item); err != nil {
			return node{}, err
		}
	}
	return node{typ: table.Bool, eval: func(f *frame) table.Value {
		unknown := x.eval(f).IsMissing() // even an empty list does not contain the unknown for certain
		for _, test := range tests {
			v := test.eval(f)
			if b, _ := v.Bool(); b {
				return v
			}
			unknown = unknown || v.IsMissing()
		}
		if unknown {
			return table.Value{}
		}
		return table.BoolValue(false)
	}}, nil
}
