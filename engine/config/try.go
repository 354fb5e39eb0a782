package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/customdecode"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// tryFunction is HCL's try with one difference: the marks of an expression
// that is not known yet stay on the result, for they are what makes the edge
// to the stage that it waits for.
func tryFunction() function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "expressions", Type: customdecode.ExpressionClosureType},
		Type: func(args []cty.Value) (cty.Type, error) {
			v, err := try(args)
			if err != nil {
				return cty.NilType, err
			}
			return v.Type(), nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return try(args) },
	})
}

func try(args []cty.Value) (cty.Value, error) {
	if len(args) == 0 {
		return cty.NilVal, errors.New("at least one expression is needed")
	}
	var failures hcl.Diagnostics
	for _, arg := range args {
		v, diags := customdecode.ExpressionClosureFromVal(arg).Value()
		if diags.HasErrors() {
			swallowed(diags)
			failures = append(failures, diags...)
			continue
		}
		if !v.IsWhollyKnown() {
			// Once known it may fail, or have another type.
			_, marks := v.UnmarkDeep()
			return cty.DynamicVal.WithMarks(marks), nil
		}
		return v, nil
	}
	var b strings.Builder
	b.WriteString("no expression succeeded:")
	for _, d := range failures {
		fmt.Fprintf(&b, "\n- %s: %s", d.Summary, d.Detail)
	}
	return cty.NilVal, errors.New(b.String())
}

// canFunction is HCL's can, with marks as in tryFunction.
func canFunction() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "expression", Type: customdecode.ExpressionClosureType}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, diags := customdecode.ExpressionClosureFromVal(args[0]).Value()
			if diags.HasErrors() {
				swallowed(diags)
				return cty.False, nil
			}
			known := v.IsWhollyKnown()
			_, marks := v.UnmarkDeep()
			if !known {
				return cty.UnknownVal(cty.Bool).WithMarks(marks), nil
			}
			return cty.True.WithMarks(marks), nil
		},
	})
}
