package formula

import (
	"math"

	"github.com/flow-pipelines/flow/stages/portable"
)

// logBase is exact where a power of the base is.
func logBase(x, base float64) float64 {
	y := portable.Log(x) / portable.Log(base)
	if r := math.Round(y); r != y && math.Abs(y-r) < 1e-9 && portable.Pow(base, r) == x {
		return r
	}
	return y
}
