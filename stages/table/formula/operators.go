package formula

import (
	"fmt"
	"math"
	"math/bits"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/flow-pipelines/flow/stages/table"
)

func (c *compiler) unary(e *hclsyntax.UnaryOpExpr) (node, error) {
	n, err := c.compile(e.Val)
	if err != nil {
		return node{}, err
	}
	if e.Op == hclsyntax.OpLogicalNot {
		if n, err = condition(n); err != nil {
			return node{}, err
		}
		return node{typ: table.Bool, eval: func(f *frame) table.Value {
			v := n.eval(f)
			if v.IsMissing() {
				return v
			}
			b, _ := v.Bool()
			return table.BoolValue(!b)
		}}, nil
	}
	if n.constant && n.typ.Numeric() { // -1 is a literal to everyone but HCL
		return negated(n.known)
	}
	return arithmetic(hclsyntax.OpSubtract, fixed(table.IntValue(0)), n)
}

func negated(v table.Value) (node, error) {
	if i, ok := v.Int(); ok && v.Type() == table.Int && i != math.MinInt64 {
		return fixed(table.IntValue(-i)), nil
	}
	x, _ := v.Float()
	return fixed(table.FloatValue(-x)), nil
}

func (c *compiler) binary(e *hclsyntax.BinaryOpExpr) (node, error) {
	left, err := c.compile(e.LHS)
	if err != nil {
		return node{}, err
	}
	right, err := c.compile(e.RHS)
	if err != nil {
		return node{}, err
	}
	switch e.Op {
	case hclsyntax.OpLogicalAnd:
		return logical(left, right, false)
	case hclsyntax.OpLogicalOr:
		return logical(left, right, true)
	case hclsyntax.OpEqual:
		return equal(left, right)
	case hclsyntax.OpNotEqual:
		n, err := equal(left, right)
		if err != nil {
			return node{}, err
		}
		return node{typ: table.Bool, eval: func(f *frame) table.Value {
			v := n.eval(f)
			if v.IsMissing() {
				return v
			}
			b, _ := v.Bool()
			return table.BoolValue(!b)
		}}, nil
	case hclsyntax.OpGreaterThan:
		return ordered(left, right, func(c int) bool { return c > 0 })
	case hclsyntax.OpGreaterThanOrEqual:
		return ordered(left, right, func(c int) bool { return c >= 0 })
	case hclsyntax.OpLessThan:
		return ordered(left, right, func(c int) bool { return c < 0 })
	case hclsyntax.OpLessThanOrEqual:
		return ordered(left, right, func(c int) bool { return c <= 0 })
	}
	return arithmetic(e.Op, left, right)
}

// condition makes a node yield a Bool or missing.
func condition(n node) (node, error) {
	switch n.typ {
	case table.Bool, table.Missing:
		return n, nil
	case table.Text:
		return n.read(table.Bool, "is neither true nor false", func(v table.Value) (table.Value, bool) {
			b, ok := v.Bool()
			return table.BoolValue(b), ok
		}), nil
	case table.String, table.Int, table.Float, table.JSON:
	}
	return node{}, fmt.Errorf("%s is %s, want a condition", n.source, kind(n.typ))
}

// read makes a node of text yield what stands in the text; a cell that is not
// missing and does not say that fails.
func (n node) read(typ table.Type, wrong string, parse func(table.Value) (table.Value, bool)) node {
	return node{typ: typ, source: n.source, eval: func(f *frame) table.Value {
		v := n.eval(f)
		if v.IsMissing() {
			return v
		}
		read, ok := parse(v)
		if !ok {
			return f.fail("%s: %q %s", n.source, v.Text(), wrong)
		}
		return read
	}}
}

// logical compiles && (decided by false) and || (decided by true).
func logical(left, right node, decides bool) (node, error) {
	left, err := condition(left)
	if err != nil {
		return node{}, err
	}
	if right, err = condition(right); err != nil {
		return node{}, err
	}
	return node{typ: table.Bool, eval: func(f *frame) table.Value {
		l := left.eval(f)
		if b, ok := l.Bool(); ok && b == decides {
			return l
		}
		r := right.eval(f)
		if b, ok := r.Bool(); ok && b == decides {
			return r
		}
		if l.IsMissing() {
			return l
		}
		return r
	}}, nil
}

// number makes a node yield an Int, a Float or missing.
func number(n node) (node, error) {
	switch n.typ {
	case table.Int, table.Float, table.Missing:
		return n, nil
	case table.Text:
		return n.read(table.Float, "is no number", func(v table.Value) (table.Value, bool) {
			x, ok := v.Float()
			return table.FloatValue(x), ok
		}), nil
	case table.String, table.JSON, table.Bool:
	}
	return node{}, fmt.Errorf("%s is %s, want a number; tonumber(…) converts", n.source, kind(n.typ))
}

func arithmetic(op *hclsyntax.Operation, left, right node) (node, error) {
	left, err := number(left)
	if err != nil {
		return node{}, err
	}
	if right, err = number(right); err != nil {
		return node{}, err
	}
	if left.typ == table.Int && right.typ == table.Int && op != hclsyntax.OpDivide {
		return integers(op, left, right), nil
	}
	apply, ok := floatOperators[op]
	if !ok {
		return node{}, fmt.Errorf("an operator that is not possible in an expression about rows")
	}
	return node{typ: table.Float, eval: func(f *frame) table.Value {
		x, ok := left.eval(f).Float()
		if !ok {
			return table.Value{}
		}
		y, ok := right.eval(f).Float()
		if !ok {
			return table.Value{}
		}
		return finite(apply(x, y))
	}}, nil
}

// finite makes a result that is no finite number missing.
func finite(x float64) table.Value {
	if math.IsInf(x, 0) {
		return table.Value{}
	}
	return table.FloatValue(x) // NaN is missing
}

var floatOperators = map[*hclsyntax.Operation]func(x, y float64) float64{
	hclsyntax.OpAdd:      func(x, y float64) float64 { return x + y },
	hclsyntax.OpSubtract: func(x, y float64) float64 { return x - y },
	hclsyntax.OpMultiply: func(x, y float64) float64 { return x * y },
	hclsyntax.OpDivide:   func(x, y float64) float64 { return x / y },
	hclsyntax.OpModulo:   math.Mod,
}

// integers is exact arithmetic; an overflow is an error rather than a number
// that is nearly right, such as a key that belongs to another row.
func integers(op *hclsyntax.Operation, left, right node) node {
	return node{typ: table.Int, eval: func(f *frame) table.Value {
		x, ok := left.eval(f).Int()
		if !ok {
			return table.Value{}
		}
		y, ok := right.eval(f).Int()
		if !ok {
			return table.Value{}
		}
		var z int64
		switch op {
		case hclsyntax.OpAdd:
			z = x + y
			ok = (z > x) == (y > 0)
		case hclsyntax.OpSubtract:
			z = x - y
			ok = (z < x) == (y > 0)
		case hclsyntax.OpMultiply:
			z, ok = product(x, y)
		case hclsyntax.OpModulo:
			if y == 0 {
				return table.Value{}
			}
			if y != -1 { // MinInt64 % -1 would trap
				z = x % y
			}
		}
		if !ok {
			return f.fail("%d and %d: the result is beyond 64 bits", x, y)
		}
		return table.IntValue(z)
	}}
}

func product(x, y int64) (int64, bool) {
	hi, lo := bits.Mul64(magnitude(x), magnitude(y))
	if hi != 0 {
		return 0, false
	}
	if (x < 0) != (y < 0) {
		return -int64(lo), lo <= 1<<63
	}
	return int64(lo), lo < 1<<63
}

func magnitude(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}

// equal compiles ==. The two sides must have a common type, since a number
// that is compared with a text is a mistake and not false.
func equal(left, right node) (node, error) {
	if left.typ == table.Missing && left.constant {
		left, right = right, left
	}
	if right.typ == table.Missing && right.constant {
		eval := left.eval
		return node{typ: table.Bool, eval: func(f *frame) table.Value { return table.BoolValue(eval(f).IsMissing()) }}, nil
	}
	if left.typ == table.Bool || right.typ == table.Bool {
		if !boolish(left.typ) || !boolish(right.typ) {
			return node{}, incomparable(left, right)
		}
		return compared(left, right, func(_ *frame, l, r table.Value) bool {
			x, okX := l.Bool()
			y, okY := r.Bool()
			return okX && okY && x == y
		}), nil
	}
	compare, err := comparison(left, right)
	if err != nil {
		return node{}, err
	}
	return compared(left, right, func(_ *frame, l, r table.Value) bool {
		c, ok := compare(l, r)
		return ok && c == 0 // a text that is no number equals no number
	}), nil
}

func boolish(t table.Type) bool {
	return t == table.Bool || t == table.Text || t == table.Missing
}

func incomparable(left, right node) error {
	return fmt.Errorf("%s is %s, but %s is %s: these cannot be compared; tonumber(…) and tostring(…) convert",
		left.source, kind(left.typ), right.source, kind(right.typ))
}

// ordered compiles <, <=, > and >=.
func ordered(left, right node, holds func(int) bool) (node, error) {
	if left.typ == table.Bool || right.typ == table.Bool {
		return node{}, fmt.Errorf("truth values have no order: %s, %s", left.source, right.source)
	}
	compare, err := comparison(left, right)
	if err != nil {
		return node{}, err
	}
	return compared(left, right, func(f *frame, l, r table.Value) bool {
		c, ok := compare(l, r)
		if !ok {
			culprit, source := l, left.source
			if _, isNumber := l.Float(); isNumber {
				culprit, source = r, right.source
			}
			f.fail("%s: %q is no number", source, culprit.Text())
		}
		return holds(c)
	}), nil
}

func compared(left, right node, test func(f *frame, l, r table.Value) bool) node {
	return node{typ: table.Bool, eval: func(f *frame) table.Value {
		l := left.eval(f)
		if l.IsMissing() {
			return l
		}
		r := right.eval(f)
		if r.IsMissing() {
			return r
		}
		return table.BoolValue(test(f, l, r))
	}}
}

// comparison returns how cells of the nodes' types compare: like
// strings.Compare, and ok is false for a text where a number is wanted.
func comparison(left, right node) (func(l, r table.Value) (c int, ok bool), error) {
	l, r := left.typ, right.typ
	switch {
	case l == table.Int && r == table.Int:
		return compareInts, nil
	case (l.Numeric() || l == table.Text || l == table.Missing) && r.Numeric(),
		l.Numeric() && (r == table.Text || r == table.Missing):
		return compareFloats, nil
	case l == table.Text && r == table.Text:
		return func(l, r table.Value) (int, bool) {
			if c, ok := compareFloats(l, r); ok {
				return c, true
			}
			return strings.Compare(l.Text(), r.Text()), true
		}, nil
	case l.Numeric() || r.Numeric():
		return nil, incomparable(left, right)
	}
	return func(l, r table.Value) (int, bool) { return strings.Compare(l.Text(), r.Text()), true }, nil
}

func compareInts(l, r table.Value) (int, bool) {
	x, _ := l.Int()
	y, _ := r.Int()
	switch {
	case x < y:
		return -1, true
	case x > y:
		return 1, true
	}
	return 0, true
}

func compareFloats(l, r table.Value) (int, bool) {
	x, okX := l.Float()
	y, okY := r.Float()
	switch {
	case !okX || !okY:
		return 0, false
	case x < y:
		return -1, true
	case x > y:
		return 1, true
	}
	return 0, true
}
