package kernel

import (
	"math"

	"github.com/flow-pipelines/flow/stages/portable"
)

// Tanh returns the hyperbolic tangent of x, rounded to float32 from a float64
// whose error is below 1e-15.
func Tanh(x float32) float32 {
	a := math.Abs(float64(x))
	var y float64
	switch {
	case a < 1e-4:
		// 1 - 2/(e^2a + 1) would cancel; the series' next term is below 1e-21.
		y = a - float64(float64(a*a)*a)/3
	case a > 20:
		y = 1
	default:
		y = 1 - 2/(portable.Exp(2*a)+1)
	}
	if math.IsNaN(a) {
		y = a
	}
	return float32(math.Copysign(y, float64(x)))
}

// Sigmoid returns 1/(1+e^-x).
func Sigmoid(x float32) float32 {
	return float32(1 / (1 + portable.Exp(-float64(x))))
}

// Softmax writes e^x[i] / sum of e^x into out, which may be x. The largest
// element is subtracted first, so that no logit overflows; the sum runs from
// the first element to the last in float64.
func Softmax(out, x []float32) {
	top, sum := SoftmaxTerms(x)
	for i, v := range x {
		out[i] = float32(portable.Exp(float64(v)-float64(top)) / sum)
	}
}

// SoftmaxTerms returns the largest element of x and the sum of e^(x[i]-largest).
// x must not be empty.
func SoftmaxTerms(x []float32) (largest float32, sum float64) {
	largest = x[0]
	for _, v := range x[1:] {
		// A comparison with NaN is false; an explicit test lets it through, so
		// that a broken logit is seen in the loss.
		if v > largest || v != v {
			largest = v
		}
	}
	for _, v := range x {
		sum += portable.Exp(float64(v) - float64(largest))
	}
	return largest, sum
}
