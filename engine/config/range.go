package config

import (
	"fmt"
	"math/big"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// maxRange limits what range makes. It is far more than anybody has stages, and
// few enough for a mistake in a limit not to fill the memory.
const maxRange = 1_000_000

// rangeFunction is range(limit), range(start, limit) and range(start, limit, step).
// That of cty's library ends at 1,024 elements.
func rangeFunction() function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "numbers", Type: cty.Number},
		Type: func(args []cty.Value) (cty.Type, error) {
			if len(args) < 1 || len(args) > 3 {
				return cty.NilType, fmt.Errorf("range takes one to three numbers: range(LIMIT), range(START, LIMIT) or range(START, LIMIT, STEP)")
			}
			return cty.List(cty.Number), nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			start, limit, step := new(big.Float), args[len(args)-1].AsBigFloat(), big.NewFloat(1)
			if len(args) > 1 {
				start, limit = args[0].AsBigFloat(), args[1].AsBigFloat()
			}
			switch {
			case len(args) == 3:
				step = args[2].AsBigFloat()
				if step.Sign() == 0 || limit.Cmp(start)*step.Sign() < 0 {
					return cty.NilVal, function.NewArgErrorf(2, "with a step of %s, %s is never reached from %s", step.Text('g', -1), limit.Text('g', -1), start.Text('g', -1))
				}
			case limit.Cmp(start) < 0:
				step = big.NewFloat(-1)
			}
			var values []cty.Value
			n := new(big.Float).SetPrec(512).Set(start)
			for ; n.Cmp(limit)*step.Sign() < 0; n = new(big.Float).SetPrec(512).Add(n, step) {
				if len(values) == maxRange {
					return cty.NilVal, fmt.Errorf("range makes at most 1,000,000 numbers, and these are more")
				}
				values = append(values, cty.NumberVal(n))
			}
			if len(values) == 0 {
				return cty.ListValEmpty(cty.Number), nil
			}
			return cty.ListVal(values), nil
		},
	})
}
