package config

import (
	"math/big"

	"github.com/zclconf/go-cty/cty"
)

// plainNumbers replaces fractions by the nearest 64-bit floats. Expressions
// compute with 512 bits, in which 0.9 - 0.8 of two metrics has 150 digits that
// mean nothing.
func plainNumbers(v cty.Value) cty.Value {
	rounded, err := cty.Transform(v, func(_ cty.Path, v cty.Value) (cty.Value, error) {
		if v.Type() != cty.Number || !v.IsKnown() || v.IsNull() {
			return v, nil
		}
		bf := v.AsBigFloat()
		if bf.IsInt() || bf.IsInf() {
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
