// Package formula compiles expressions over the rows of a table, such as
//
//	row.median_income > 3 && row.ocean_proximity != "ISLAND"
//	row.total_rooms / row.households
//
// from HCL's syntax into closures over typed cells. Stage types that take a
// stage.Expression about rows call it. It does not evaluate HCL: there are no
// loops, no objects, no functions that look at anything but their arguments,
// and the same row gives the same result on any machine, to the last bit.
//
// # Types
//
// What an expression yields is known before the first row ([Formula.Type]). A
// Text cell (a CSV field) takes the type that an operator asks of it: a number
// in arithmetic, where text that is no number is an error with its place, and
// in a comparison the type of the other side; two Text cells compare as numbers
// if both are, else as text. Arithmetic on Text cells is floating-point, on
// integers it is exact and an overflow is an error. Text is ordered by its
// bytes, so that ISO dates compare.
//
// # Missing values
//
// An operator or a function with a missing argument yields missing, and so does
// arithmetic without a finite result: a division by zero, the logarithm of a
// negative number. Comparisons with missing are missing. && and || yield what
// is certain: false && missing is false, true || missing is true. A condition
// that is missing makes a conditional missing, and [Formula.Test] false.
// row.x == null asks whether a cell is missing; coalesce(row.x, 0) replaces it.
package formula

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/flow-pipelines/flow/stages/table"
)

// Formula is a compiled expression. It is not safe for concurrent use.
type Formula struct {
	root  node
	frame frame
}

// node is a compiled subexpression.
type node struct {
	typ  table.Type // Missing for null, which has every type
	eval func(*frame) table.Value
	// constant says that eval needs no row; known holds its value.
	constant bool
	known    table.Value
	// source is the text, for messages.
	source string
}

// frame is what closures evaluate against.
type frame struct {
	row []table.Value
	err error // the first that happened in this row
}

func (f *frame) fail(format string, args ...any) table.Value {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
	return table.Value{}
}

// Compile compiles source for rows with the given columns. constants are the
// values of references other than row's, by their text, as JSON decodes them.
func Compile(source string, constants map[string]any, columns []table.Column) (*Formula, error) {
	expr, diags := hclsyntax.ParseExpression([]byte(source), "", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, fmt.Errorf("%s: %s", diags[0].Summary, diags[0].Detail)
	}
	c := &compiler{source: []byte(source), constants: constants, columns: columns}
	root, err := c.compile(expr)
	if err != nil {
		return nil, err
	}
	return &Formula{root: root}, nil
}

// Type is the type of what Eval returns: Text if it depends on the row, which
// it can only for Text cells; String for an expression that is always missing.
func (f *Formula) Type() table.Type {
	if f.root.typ == table.Missing {
		return table.String
	}
	return f.root.typ
}

// Eval evaluates the expression for one row.
func (f *Formula) Eval(row []table.Value) (table.Value, error) {
	f.frame.row, f.frame.err = row, nil
	v := f.root.eval(&f.frame)
	return v, f.frame.err
}

// Condition is a formula that is true or not.
type Condition struct{ formula *Formula }

// CompileCondition is Compile for an expression that must be a truth value.
func CompileCondition(source string, constants map[string]any, columns []table.Column) (*Condition, error) {
	f, err := Compile(source, constants, columns)
	if err != nil {
		return nil, err
	}
	if f.root, err = condition(f.root); err != nil {
		return nil, err
	}
	return &Condition{f}, nil
}

// Test reports whether the condition is true of the row; missing is not.
func (c *Condition) Test(row []table.Value) (bool, error) {
	v, err := c.formula.Eval(row)
	if err != nil {
		return false, err
	}
	b, _ := v.Bool()
	return b, nil
}
