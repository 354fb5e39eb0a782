package config

import (
	"errors"
	"math/big"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// HCL divides by zero without a word, and what comes of it has no form that
// programs could read.
func init() {
	hclsyntax.OpDivide.Impl = dividing(stdlib.DivideFunc)
	hclsyntax.OpModulo.Impl = dividing(stdlib.ModuloFunc)
}

// dividing is a division that refuses to divide by zero.
func dividing(f function.Function) function.Function {
	return function.New(&function.Spec{
		Params: f.Params(),
		Type:   function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if args[1].AsBigFloat().Sign() == 0 {
				return cty.NilVal, errors.New("it is a division by zero")
			}
			return f.Call(args)
		},
	})
}

// finite is a function of numbers that fails with the given reason where f
// comes to an infinity or to no number at all.
func finite(f function.Function, why string) function.Function {
	return function.New(&function.Spec{
		Params: f.Params(),
		Type:   function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, err := f.Call(args)
			if err != nil || v.AsBigFloat().IsInf() { // it panics inside of Call if there is none
				return cty.NilVal, errors.New(why)
			}
			return v, nil
		},
	})
}

// asText returns the text of a number that has more digits than an argument is
// given, and any other value as it is: HCL makes the same text of it.
func asText(v cty.Value) cty.Value {
	bare, marks := v.Unmark()
	if bare.Type() != cty.Number || !bare.IsKnown() || bare.IsNull() {
		return v
	}
	f := bare.AsBigFloat()
	if f.IsInt() || len(f.Text('f', -1)) <= exactDigits {
		return v
	}
	return cty.StringVal(number(f).String()).WithMarks(marks)
}

// toString is tostring, for numbers as asText has them.
func toString() function.Function {
	f := stdlib.MakeToFunc(cty.String)
	return function.New(&function.Spec{
		Params: f.Params(),
		Type:   func(args []cty.Value) (cty.Type, error) { return f.ReturnTypeForValues(args) },
		Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call([]cty.Value{asText(args[0])}) },
	})
}

// plainNumbers replaces fractions by the nearest 64-bit floats. Expressions
// compute with 512 bits, in which 0.9 - 0.8 of two metrics has 150 digits that
// mean nothing.
func plainNumbers(v cty.Value) cty.Value {
	rounded, err := cty.Transform(v, func(_ cty.Path, v cty.Value) (cty.Value, error) {
		if v.Type() != cty.Number || !v.IsKnown() || v.IsNull() {
			return v, nil
		}
		bf := v.AsBigFloat()
		if bf.IsInt() {
			return v, nil
		}
		f, _ := bf.Float64()
		return cty.NumberVal(big.NewFloat(f)), nil
	})
	if err != nil {
		return v // Transform fails only if the function does
	}
	return rounded
}
